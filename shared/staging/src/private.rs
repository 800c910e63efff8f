//! Files and folders that only their owner may read: they hold what HubSpot shows of people.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::path::Path;

/// Makes a folder, and those above it that are missing, for the owner alone. One that is there stays as it is.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// As [`make_folder`]. One of ours that an older version made for all is the owner's from now on.
pub(crate) fn make_own_folder(path: &Path) -> io::Result<()> {
    make_folder(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let permissions = fs::metadata(path)?.permissions();
        if permissions.mode() & 0o077 != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
        }
    }
    Ok(())
}

/// Options of a file that only its owner may read and write, once it is made.
pub(crate) fn file() -> OpenOptions {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_the_owner_may_read() {
        let root = tempfile::tempdir().unwrap();
        let (outer, inner) = (root.path().join("a"), root.path().join("a/b"));
        make_folder(&inner).unwrap();
        file().write(true).create_new(true).open(inner.join("c")).unwrap();
        assert_eq!([mode(&outer), mode(&inner), mode(&inner.join("c"))], [0o700, 0o700, 0o600]);
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o755)).unwrap();
        make_folder(&inner).unwrap();
        assert_eq!(mode(&inner), 0o755);
        make_own_folder(&inner).unwrap();
        assert_eq!(mode(&inner), 0o700);
    }
}
