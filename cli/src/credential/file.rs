//! A secret in a file. As ssh does with a private key, it refuses one of the user's own that others may read.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, bail};
use secrecy::SecretString;

use super::OutOfReach;
use super::secret::{MOST_BYTES, secret};

/// # Errors
/// When it can't be read, others may read it, or nothing is in it; the message names the file, and shows nothing of it.
/// [`OutOfReach`] where the drive fails.
pub(super) fn read(path: &Path) -> anyhow::Result<SecretString> {
    let shown = path.display();
    let unread = |error: io::Error| match error.kind() {
        ErrorKind::NotFound
        | ErrorKind::PermissionDenied
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory => anyhow::Error::new(error).context(format!("{shown} can't be read")),
        _ => OutOfReach(format!("{shown} can't be read: {error}")).into(),
    };
    let file = File::open(path).map_err(unread)?;
    let of_file = file.metadata().map_err(unread)?;
    let is_own = of_file.uid() == nix::unistd::Uid::effective().as_raw();
    if is_own && of_file.mode() & 0o077 != 0 {
        bail!(
            "others may read {shown} (mode {:04o}): chmod 600 {shown}; a mounted secret takes mode 0400 where it is \
             declared",
            of_file.mode() & 0o777
        );
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes).map_err(unread)?;
    secret(bytes).with_context(|| format!("{shown} holds no secret"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_drive_that_fails_is_out_of_reach_and_a_wrong_name_is_not() {
        // Its first byte is no memory: an error of the device.
        let failed = read(Path::new("/proc/self/mem")).unwrap_err();
        assert!(failed.is::<OutOfReach>(), "{failed:#}");
        for wrong in ["/nowhere/token", "/proc/self/mem/token"] {
            let failed = read(Path::new(wrong)).unwrap_err();
            assert!(!failed.is::<OutOfReach>() && failed.to_string().contains(wrong), "{failed:#}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "pat-1\n").unwrap();
        for (mode, is_read) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o777, false)]
        {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            match read(&path) {
                Ok(secret) => assert!(is_read && secret.expose_secret() == "pat-1", "{mode:o}"),
                Err(error) => {
                    let text = error.to_string();
                    assert!(
                        !is_read && text.contains("chmod 600") && text.contains(&format!("{mode:04o}")),
                        "{text}"
                    );
                }
            }
        }
    }
}
