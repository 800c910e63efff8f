//! A bucket in a local folder: a key is a path below it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::gone;

#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    pub(super) fn new(root: &Path) -> Folder {
        Folder { root: root.to_owned() }
    }

    /// Moves a synced file to its key: a link fails where a rename would overwrite.
    pub(super) fn adopt(&self, scratch: &Path, key: &str) -> anyhow::Result<()> {
        let target = self.root.join(key);
        let parent = target.parent().unwrap_or(&self.root);
        let adopt = || -> io::Result<()> {
            fs::create_dir_all(parent)?;
            fs::hard_link(scratch, &target)?;
            fs::remove_file(scratch)?;
            File::open(parent)?.sync_all()
        };
        Ok(adopt()?)
    }

    pub(super) fn path(&self, key: &str) -> anyhow::Result<PathBuf> {
        let path = self.root.join(key);
        if path.exists() { Ok(path) } else { Err(gone(&path.display().to_string())) }
    }
}
