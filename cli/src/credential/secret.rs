//! A secret, as a file or a command gives it.

use anyhow::bail;
use secrecy::SecretString;

/// Most bytes of a secret. A private key has some thousand.
pub(super) const MOST_BYTES: u64 = 64 << 10;

/// Returns what a file or a command gave, without the line's end that editors and programs put behind it.
///
/// # Errors
/// When nothing is left, or when it is no text.
pub(super) fn secret(bytes: Vec<u8>) -> anyhow::Result<SecretString> {
    let Ok(text) = String::from_utf8(bytes) else { bail!("it is no text") };
    let text = text.trim_end_matches(['\n', '\r']);
    if text.trim().is_empty() {
        bail!("it is empty");
    }
    Ok(text.to_owned().into())
}
