//! A control group with the CPU and the memory of a small Lambda function. It needs Linux, and the right to make one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

const ROOT: &str = "/sys/fs/cgroup";
const PERIOD_US: u64 = 100_000;
/// Memory that comes with a whole core
/// (<https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>).
const CORE_MIB: u64 = 1_769;

/// A control group. It is removed when it is dropped; its processes must have ended by then.
#[derive(Debug)]
pub(crate) struct Group {
    folders: Vec<PathBuf>,
}

impl Group {
    pub(crate) fn of_function(memory_mib: u64) -> anyhow::Result<Group> {
        let quota_us = PERIOD_US * memory_mib / CORE_MIB;
        let bytes = memory_mib << 20;
        let name = format!("hubspot-bench-{}", std::process::id());
        let mut group = Group { folders: Vec::new() };
        let root = Path::new(ROOT);
        if root.join("cgroup.controllers").exists() {
            set(root, "cgroup.subtree_control", "+cpu +memory")?;
            let folder = group.make(root.join(name))?;
            set(&folder, "cpu.max", &format!("{quota_us} {PERIOD_US}"))?;
            set(&folder, "memory.max", &bytes.to_string())?;
        } else {
            let cpu = group.make(root.join("cpu").join(&name))?;
            set(&cpu, "cpu.cfs_period_us", &PERIOD_US.to_string())?;
            set(&cpu, "cpu.cfs_quota_us", &quota_us.to_string())?;
            let memory = group.make(root.join("memory").join(&name))?;
            set(&memory, "memory.limit_in_bytes", &bytes.to_string())?;
        }
        Ok(group)
    }

    fn make(&mut self, folder: PathBuf) -> anyhow::Result<PathBuf> {
        fs::create_dir(&folder)
            .with_context(|| format!("no control group can be made in {} (root may)", folder.display()))?;
        self.folders.push(folder.clone());
        Ok(folder)
    }

    /// Returns the files into which a process writes its id to join the group.
    pub(crate) fn members(&self) -> impl Iterator<Item = PathBuf> {
        self.folders.iter().map(|folder| folder.join("cgroup.procs"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for folder in &self.folders {
            if let Err(error) = fs::remove_dir(folder) {
                eprintln!("{} is left: {error}", folder.display());
            }
        }
    }
}

fn set(folder: &Path, file: &str, value: &str) -> anyhow::Result<()> {
    let path = folder.join(file);
    fs::write(&path, value).with_context(|| format!("{} can't be set to {value}", path.display()))
}
