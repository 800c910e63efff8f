//! Sources of secrets beside the environment: files and commands.

use std::path::PathBuf;

/// HubSpot's credential.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct TokenFrom {
    /// File with HubSpot's token, instead of HUBSPOT_TOKEN; nobody else may read it
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Command that prints HubSpot's token, such as one of a keyring; no shell is in between
    #[arg(long, value_name = "COMMAND", conflicts_with = "token_file")]
    pub(crate) token_command: Option<String>,
}

/// The warehouse's password.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct PasswordFrom {
    /// File with the warehouse's password, instead of WAREHOUSE_PASSWORD; nobody else may read it
    #[arg(long, value_name = "FILE")]
    pub(crate) warehouse_password_file: Option<PathBuf>,
    /// Command that prints the warehouse's password, such as one of a keyring; no shell is in between
    #[arg(long, value_name = "COMMAND", conflicts_with = "warehouse_password_file")]
    pub(crate) warehouse_password_command: Option<String>,
}
