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

    /// Moves a file to its key once it is synced: a link fails where a rename would overwrite.
    pub(super) async fn adopt(&self, scratch: PathBuf, key: &str) -> anyhow::Result<()> {
        let target = self.root.join(key);
        let parent = target.parent().unwrap_or(&self.root).to_owned();
        let adopt = move || -> io::Result<()> {
            File::open(&scratch)?.sync_all()?;
            fs::create_dir_all(&parent)?;
            fs::hard_link(&scratch, &target)?;
            fs::remove_file(&scratch)?;
            File::open(&parent)?.sync_all()
        };
        // The disk is waited for beside other work.
        Ok(tokio::task::spawn_blocking(adopt).await??)
    }

    pub(super) fn path(&self, key: &str) -> anyhow::Result<PathBuf> {
        let path = self.root.join(key);
        if path.exists() { Ok(path) } else { Err(gone(&path.display().to_string())) }
    }
}
