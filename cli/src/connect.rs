//! The warehouse that a command names.

use anyhow::bail;
use lambda::Aws;
use warehouse::Warehouse;

use crate::args::PasswordFrom;
use crate::credential::warehouse_password;

/// In the place of a URL: files are staged only. For commands that go without tables.
pub(crate) const NONE: &str = "none";

/// Connects, with the password where the warehouse may have one, and with AWS's own credentials where it takes those.
pub(crate) async fn connect(
    url: &str,
    schema: &str,
    password: &PasswordFrom,
) -> anyhow::Result<Box<dyn Warehouse>> {
    if url == NONE {
        bail!("this command works on tables: name the warehouse that holds them, instead of {NONE}");
    }
    let aws = match warehouse::needs_aws(url) {
        true => Some(Aws::connect().await.config),
        false => None,
    };
    // Nobody is asked to unlock a keyring for nothing.
    let password = match aws.is_some() || url.starts_with("duckdb:") {
        true => None,
        false => warehouse_password(password).await?,
    };
    Ok(warehouse::connect(url, schema, password, aws.as_ref()).await?)
}
