//! A staged file's way into a scratch table: a load job that is made by an upload in parts. A part whose answer is lost
//! is asked for, and goes on where it ended.
//!
//! <https://cloud.google.com/bigquery/docs/reference/api-uploads>

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use super::api::{Answer, Api, answered};
use super::dialect::loaded_type;
use super::failure::is_transient;
use super::footer::Sent;
use crate::LocatedFile;
use crate::error::{Error, Kind, Result};

/// Bytes of a part: a multiple of 256 KiB.
const PART_BYTES: usize = 8 << 20;
const MAX_ATTEMPTS: u32 = 6;
const FIRST_RETRY: Duration = Duration::from_millis(200);
/// 308: there is more to come.
const RESUME: u16 = 308;

impl Api {
    /// Loads a file into a table of its own, which is made for it. Its columns are `c0`, `c1`, ...
    pub(super) async fn load(
        &self,
        dataset: &str,
        table: &str,
        file: &LocatedFile,
        expires_ms: i64,
    ) -> Result<()> {
        let mut sent = Sent::open(file)?;
        let schema = schema(file);
        self.create_table(dataset, table, &schema, expires_ms).await?;
        let id = Uuid::now_v7().simple().to_string();
        let job = self.job(
            &id,
            json!({"load": {
                "destinationTable": {"projectId": self.target.project, "datasetId": dataset, "tableId": table},
                "sourceFormat": "PARQUET",
                "schema": schema,
                "createDisposition": "CREATE_NEVER",
                "writeDisposition": "WRITE_EMPTY",
            }}),
        );
        let job = match self.upload(&job, &mut sent).await? {
            (status, job) if status.is_success() => Some(job),
            // It is there already: the upload ended, and its answer was lost.
            (StatusCode::CONFLICT, _) => None,
            refused => return Err(self.refused(&refused)),
        };
        match self.done(&id, job).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == Kind::Engine => {
                let message =
                    format!("staged file {} can't be read by the warehouse: stage it again", file.key);
                Err(Error::new(Kind::BadFile, message).because(error))
            }
            Err(error) => Err(error),
        }
    }

    async fn upload(&self, job: &Value, sent: &mut Sent) -> Result<Answer> {
        let url = format!("{}/jobs?uploadType=resumable", self.address("/upload"));
        let (body, bytes) = (job.to_string(), sent.bytes());
        let begun = self
            .sent(|| {
                self.http
                    .post(&url)
                    .header(CONTENT_TYPE, "application/json")
                    .header("X-Upload-Content-Type", "application/octet-stream")
                    .header("X-Upload-Content-Length", bytes)
                    .body(body.clone())
            })
            .await?;
        let session = match begun {
            (status, Some(session), _) if status.is_success() => self.session(&session)?,
            (status, _, answer) => return Ok((status, answer)),
        };
        let (mut begin, mut attempt) = (0, 0);
        // After a failure, an empty part asks how much is there.
        let mut is_asked = false;
        loop {
            let part = match is_asked {
                true => Vec::new(),
                false => sent.part(begin, PART_BYTES).map_err(|source| {
                    Error::new(Kind::BadFile, "a staged file can't be read to its end").because(source)
                })?,
            };
            let range = match part.len() as u64 {
                0 => format!("bytes */{bytes}"),
                some => format!("bytes {begin}-{}/{bytes}", begin + some - 1),
            };
            let call = self
                .http
                .put(session.clone())
                .header(CONTENT_LENGTH, part.len())
                .header(CONTENT_RANGE, range)
                .body(part);
            match answered(call).await {
                Ok((status, range, _)) if status.as_u16() == RESUME => {
                    let there = range.map_or(0, |range| after(&range));
                    if there > begin {
                        attempt = 0;
                    }
                    (begin, is_asked) = (there, false);
                    continue;
                }
                Ok((status, _, answer)) if is_transient(status, &answer) && attempt < MAX_ATTEMPTS => {}
                Err(_) if attempt < MAX_ATTEMPTS => {}
                Ok((status, _, answer)) => return Ok((status, answer)),
                Err(source) => return Err(self.unreachable(source)),
            }
            is_asked = true;
            tokio::time::sleep(FIRST_RETRY * 2_u32.pow(attempt)).await;
            attempt += 1;
        }
    }

    /// The address of an upload carries a right of its own: it has to be where the call went, or Google's.
    fn session(&self, address: &str) -> Result<Url> {
        let parsed = |text: &str| Url::parse(text).ok();
        let is_google = |url: &Url| {
            url.scheme() == "https" && url.host_str().is_some_and(|host| host.ends_with(".googleapis.com"))
        };
        match (parsed(address), parsed(&self.target.endpoint)) {
            (Some(url), Some(own)) if url.origin() == own.origin() || is_google(&url) => Ok(url),
            _ => {
                Err(Error::new(Kind::Engine, "bigquery names an address for the upload that is not its own"))
            }
        }
    }
}

fn schema(file: &LocatedFile) -> Value {
    let columns = file.description.table.columns.iter().enumerate();
    let field = |(n, column): (usize, &staging::Column)| json!({"name": format!("c{n}"), "type": loaded_type(column.column_type), "mode": "NULLABLE"});
    json!({"fields": columns.map(field).collect::<Vec<_>>()})
}

/// Where the next part begins, by the range of those that are there.
fn after(range: &str) -> u64 {
    let last = range.rsplit('-').next().and_then(|last| last.trim().parse::<u64>().ok());
    last.map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_says_where_to_go_on() {
        assert_eq!(after("bytes=0-8388607"), 8_388_608);
        assert_eq!(after("0-41"), 42);
        assert_eq!(after(""), 0);
        assert_eq!(PART_BYTES % (256 << 10), 0);
    }
}
