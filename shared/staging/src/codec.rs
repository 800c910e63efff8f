//! Compression of staged files.

use std::str::FromStr;

use anyhow::bail;
use parquet::basic::{Compression, ZstdLevel};

/// The codec of a staged file's pages. A file names its own, so files of both are read side by side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Codec {
    /// Level 1: smaller files than by Snappy at the same speed.
    #[default]
    Zstd,
    /// For readers that don't know zstd in Parquet.
    Snappy,
}

impl Codec {
    pub(crate) fn compression(self) -> anyhow::Result<Compression> {
        Ok(match self {
            Codec::Zstd => Compression::ZSTD(ZstdLevel::try_new(1)?),
            Codec::Snappy => Compression::SNAPPY,
        })
    }
}

impl FromStr for Codec {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Codec> {
        match name {
            "zstd" => Ok(Codec::Zstd),
            "snappy" => Ok(Codec::Snappy),
            _ => bail!("no codec of staged files: one of zstd, snappy"),
        }
    }
}
