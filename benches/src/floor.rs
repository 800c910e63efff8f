//! The floor: the least cost of reading these pages. It sends the same requests with the same HTTP client, sixteen at
//! a time, and drops the answers, or scans them byte by byte and writes all values as text to Parquet, zstd 1. It has
//! no cursor, no rate limit and no types: it only serves as a measure.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use clap::Args;
use futures::StreamExt as _;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde::{Deserialize, Serialize};

use crate::scan::Scan;

/// Number of concurrent requests, as in `extract`.
const UNDER_WAY: usize = 16;

#[derive(Debug, Args)]
pub(crate) struct Floor {
    #[arg(long)]
    url: String,
    /// One request a line: method, path with query, body, separated by tabs
    #[arg(long)]
    requests: PathBuf,
    /// Scan the answers and write Parquet to this path; without it they are dropped
    #[arg(long)]
    scan_to: Option<PathBuf>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Floored {
    pub(crate) calls: u64,
    /// Bytes of the answers, decompressed.
    pub(crate) bytes: u64,
    pub(crate) parquet_bytes: u64,
}

/// Runs `bench floor`.
pub(crate) async fn floor(args: Floor) -> anyhow::Result<Floored> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    // As the product's client is made.
    let http = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(10))
        .timeout(Duration::from_secs(110))
        .pool_idle_timeout(Duration::from_secs(60))
        .redirect(reqwest::redirect::Policy::none())
        .tcp_nodelay(true)
        .build()?;
    let requests = std::fs::read_to_string(&args.requests)?;
    let answers = requests.lines().map(|line| {
        let mut parts = line.splitn(3, '\t');
        let (method, target, body) = (parts.next(), parts.next().unwrap_or_default(), parts.next());
        let url = format!("{}{target}", args.url);
        let request = match method {
            Some("POST") => http
                .post(url)
                .header(CONTENT_TYPE, "application/json")
                .body(body.unwrap_or_default().to_owned()),
            _ => http.get(url),
        };
        let request = request.bearer_auth("pat-na1-fake").header(ACCEPT, "application/json");
        async move {
            let answer = request.send().await?.error_for_status()?;
            anyhow::Ok((target, answer))
        }
    });
    let mut floored = Floored::default();
    match args.scan_to {
        None => {
            let sizes = answers.map(|answer| async move {
                let (_, mut answer) = answer.await?;
                let mut bytes = 0;
                while let Some(chunk) = answer.chunk().await? {
                    bytes += chunk.len() as u64;
                }
                anyhow::Ok(bytes)
            });
            let mut sizes = futures::stream::iter(sizes).buffer_unordered(UNDER_WAY);
            while let Some(bytes) = sizes.next().await {
                floored.calls += 1;
                floored.bytes += bytes?;
            }
        }
        Some(folder) => {
            let bodies = answers.map(|answer| async move {
                let (target, answer) = answer.await?;
                anyhow::Ok((target, whole(answer).await?))
            });
            let mut bodies = futures::stream::iter(bodies).buffer_unordered(UNDER_WAY);
            let mut scan = Scan::into_folder(&folder)?;
            while let Some(body) = bodies.next().await {
                let (target, body) = body?;
                floored.calls += 1;
                floored.bytes += body.len() as u64;
                scan.page(target, &body).with_context(|| format!("the answer to {target}"))?;
            }
            floored.parquet_bytes = scan.finish()?;
        }
    }
    Ok(floored)
}

async fn whole(mut answer: reqwest::Response) -> anyhow::Result<Bytes> {
    let expected = answer.content_length().unwrap_or(0) as usize;
    let mut body = BytesMut::with_capacity(expected);
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
