//! A bucket in a local folder: a key is a path below it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{another, gone};
use crate::private;

#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    pub(super) fn new(root: &Path) -> Folder {
        Folder { root: root.to_owned() }
    }

    /// Moves a file to its key once it is synced: a link fails where a rename would overwrite. What is there already
    /// may be this very file, if a network file system lost the link's answer.
    pub(super) async fn adopt(&self, scratch: PathBuf, key: &str) -> anyhow::Result<()> {
        let target = self.root.join(key);
        let parent = target.parent().unwrap_or(&self.root).to_owned();
        let adopt = move || -> anyhow::Result<()> {
            File::open(&scratch)?.sync_all()?;
            private::make_folder(&parent)?;
            let link = || fs::hard_link(&scratch, &target);
            let linked = match link() {
                // Another process has removed the folder of the day with the last file in it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    private::make_folder(&parent)?;
                    link()
                }
                linked => linked,
            };
            match linked {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    let is_same = is_same(&scratch, &target)
                        .with_context(|| format!("{} is no staged file", target.display()))?;
                    if !is_same {
                        return Err(another(&target.display().to_string()));
                    }
                }
                linked => linked?,
            }
            fs::remove_file(&scratch)?;
            Ok(File::open(&parent)?.sync_all()?)
        };
        // The disk is waited for beside other work.
        tokio::task::spawn_blocking(adopt).await?
    }

    /// Puts a file in the place of one that is there.
    pub(super) fn replace(&self, key: &str, content: &[u8]) -> anyhow::Result<()> {
        let path = self.root.join(key);
        private::make_folder(path.parent().unwrap_or(&self.root))?;
        fs::write(&path, content).with_context(|| format!("{} can't be written", path.display()))
    }

    /// Removes a file, and the folder of its day with the last one.
    pub(super) fn remove(&self, key: &str) -> anyhow::Result<()> {
        let path = self.root.join(key);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("{} can't be removed", path.display()));
            }
            _ => {}
        }
        // It fails where other files are.
        let _ = path.parent().map(fs::remove_dir);
        Ok(())
    }

    /// Keys of the files below a folder of days.
    pub(super) fn keys(&self, prefix: &str) -> anyhow::Result<Vec<String>> {
        let mut keys = Vec::new();
        for day in listed(&self.root.join(prefix))? {
            for name in listed(&self.root.join(prefix).join(&day))? {
                keys.push(format!("{prefix}{day}/{name}"));
            }
        }
        Ok(keys)
    }

    pub(super) fn path(&self, key: &str) -> anyhow::Result<PathBuf> {
        let path = self.root.join(key);
        if path.exists() { Ok(path) } else { Err(gone(&path.display().to_string())) }
    }
}

/// Names in a folder; none, if it is not there.
fn listed(folder: &Path) -> anyhow::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("can't list {}", folder.display())),
    };
    let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    entries.map(name).collect()
}

/// `true`: two files hold the same bytes.
fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut ours, mut theirs) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let read = one.read(&mut ours)?;
        let (Some(ours), Some(theirs)) = (ours.get(..read), theirs.get_mut(..read)) else { return Ok(false) };
        other.read_exact(theirs)?;
        if ours.is_empty() || ours != &*theirs {
            return Ok(ours.is_empty());
        }
    }
}
