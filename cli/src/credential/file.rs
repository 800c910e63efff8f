//! A secret in a file. As ssh does with a private key, it refuses one of the user's own that others may read.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, bail};
use secrecy::SecretString;

use super::secret::{MOST_BYTES, secret};

/// # Errors
/// When it can't be read, others may read it, or nothing is in it; the message names the file, and shows nothing of it.
pub(super) fn read(path: &Path) -> anyhow::Result<SecretString> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("{shown} can't be read"))?;
    let of_file = file.metadata().with_context(|| format!("{shown} can't be read"))?;
    let is_own = of_file.uid() == nix::unistd::Uid::effective().as_raw();
    if is_own && of_file.mode() & 0o077 != 0 {
        bail!(
            "others may read {shown} (mode {:04o}): chmod 600 {shown}; a mounted secret takes mode 0400 where it is \
             declared",
            of_file.mode() & 0o777
        );
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes).with_context(|| format!("{shown} can't be read"))?;
    secret(bytes).with_context(|| format!("{shown} holds no secret"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;

    use super::*;

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
