//! The calls of BigQuery's API. A job has an id that this program chooses: one whose answer is lost is found again by
//! it, and never made twice.
//!
//! <https://cloud.google.com/bigquery/docs/reference/rest>

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use uuid::Uuid;

use super::auth::Auth;
use super::failure::{failed_job, is_transient, refusal};
use super::url::Target;
use crate::catalog::Rows;
use crate::error::{Error, Kind, Result};
use crate::sql_over_http::{self, http_client};

/// The time that a job may take at most; also what a claim on a dataset has to outlive (see [`super`]).
pub(super) const JOB_TIMEOUT: Duration = Duration::from_secs(3_000);
const MAX_ATTEMPTS: u32 = 6;
const FIRST_RETRY: Duration = Duration::from_millis(200);
const FIRST_POLL: Duration = Duration::from_millis(20);
const LONGEST_POLL: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Api {
    pub(super) http: Client,
    pub(super) target: Target,
    auth: Auth,
}

/// An answer that is no error of the connection.
pub(super) type Answer = (StatusCode, Value);

impl Api {
    pub(super) fn new(target: Target, auth: Auth) -> Result<Api> {
        Ok(Api { http: http_client()?, target, auth })
    }

    /// Returns a table as the API describes it; `None` if there is none.
    pub(super) async fn table(&self, dataset: &str, table: &str) -> Result<Option<Value>> {
        let path = format!("/datasets/{dataset}/tables/{table}?fields=schema,clustering,type");
        match self.call(Method::GET, &path, None).await? {
            (StatusCode::OK, table) => Ok(Some(table)),
            (StatusCode::NOT_FOUND, _) => Ok(None),
            refused => Err(self.refused(&refused)),
        }
    }

    /// Makes a dataset, unless it is there.
    pub(super) async fn create_dataset(&self, dataset: &str, location: Option<&str>) -> Result<()> {
        let Target { project, location: of_url, .. } = &self.target;
        let mut body = json!({"datasetReference": {"projectId": project, "datasetId": dataset}});
        if let Some(location) = location.or(of_url.as_deref()) {
            body["location"] = json!(location);
        }
        match self.call(Method::POST, "/datasets", Some(&body)).await? {
            (StatusCode::OK | StatusCode::CONFLICT, _) => Ok(()),
            refused => Err(self.refused(&refused)),
        }
    }

    /// Returns the location of a dataset; `None` if it is not there.
    pub(super) async fn location(&self, dataset: &str) -> Result<Option<String>> {
        match self.call(Method::GET, &format!("/datasets/{dataset}"), None).await? {
            (StatusCode::OK, found) => Ok(found.get("location").and_then(Value::as_str).map(str::to_owned)),
            (StatusCode::NOT_FOUND, _) => Ok(None),
            refused => Err(self.refused(&refused)),
        }
    }

    pub(super) fn project(&self) -> &str {
        &self.target.project
    }

    /// Makes a table. One that is there is the one that an earlier call made, whose answer was lost: names are new.
    pub(super) async fn create_table(
        &self,
        dataset: &str,
        table: &str,
        schema: &Value,
        expires_ms: i64,
    ) -> Result<()> {
        let project = &self.target.project;
        let body = json!({
            "tableReference": {"projectId": project, "datasetId": dataset, "tableId": table},
            "schema": schema,
            "expirationTime": expires_ms.to_string(),
        });
        match self.call(Method::POST, &format!("/datasets/{dataset}/tables"), Some(&body)).await? {
            (StatusCode::OK | StatusCode::CONFLICT, _) => Ok(()),
            refused => Err(self.refused(&refused)),
        }
    }

    pub(super) async fn delete_table(&self, dataset: &str, table: &str) -> Result<()> {
        let path = format!("/datasets/{dataset}/tables/{table}");
        match self.call(Method::DELETE, &path, None).await? {
            (status, _) if status.is_success() || status == StatusCode::NOT_FOUND => Ok(()),
            refused => Err(self.refused(&refused)),
        }
    }

    /// Runs statements as one job.
    pub(super) async fn run(&self, sql: &str) -> Result<()> {
        self.query_job(sql).await.map(drop)
    }

    pub(super) async fn rows(&self, sql: &str) -> Result<Rows> {
        let id = self.query_job(sql).await?;
        let mut rows = Rows::new();
        let mut token: Option<String> = None;
        loop {
            let page = token.iter().map(|token| format!("&pageToken={token}")).collect::<String>();
            let path = format!("/queries/{id}?{}maxResults=10000{page}", self.place());
            let answer = match self.call(Method::GET, &path, None).await? {
                (StatusCode::OK, answer) => answer,
                refused => return Err(self.refused(&refused)),
            };
            rows.extend(rows_of(&answer));
            token = answer.get("pageToken").and_then(Value::as_str).map(str::to_owned);
            if token.is_none() {
                return Ok(rows);
            }
        }
    }

    /// Returns the job's id when it is done.
    async fn query_job(&self, sql: &str) -> Result<String> {
        let id = Uuid::now_v7().simple().to_string();
        let query = json!({"query": sql, "useLegacySql": false, "priority": "INTERACTIVE"});
        let job = self.job(&id, json!({"query": query}));
        match self.call(Method::POST, "/jobs", Some(&job)).await? {
            (StatusCode::OK, job) => self.done(&id, Some(job)).await?,
            // An earlier call made it, whose answer was lost.
            (StatusCode::CONFLICT, _) => self.done(&id, None).await?,
            refused => return Err(self.refused(&refused)),
        };
        Ok(id)
    }

    /// A job as it is made.
    pub(super) fn job(&self, id: &str, mut configuration: Value) -> Value {
        let Target { project, location, .. } = &self.target;
        configuration["jobTimeoutMs"] = json!(JOB_TIMEOUT.as_millis().to_string());
        configuration["labels"] = json!({"program": "hubspot-source"});
        let mut reference = json!({"projectId": project, "jobId": id});
        if let Some(location) = location {
            reference["location"] = json!(location);
        }
        json!({"jobReference": reference, "configuration": configuration})
    }

    /// Waits until a job is done.
    ///
    /// # Errors
    /// When it failed.
    pub(super) async fn done(&self, id: &str, mut known: Option<Value>) -> Result<Value> {
        let mut delay = FIRST_POLL;
        loop {
            let job = match known.take() {
                Some(job) => job,
                None => match self.call(Method::GET, &format!("/jobs/{id}?{}", self.place()), None).await? {
                    (StatusCode::OK, job) => job,
                    refused => return Err(self.refused(&refused)),
                },
            };
            if job.pointer("/status/state").and_then(Value::as_str) == Some("DONE") {
                return match job.pointer("/status/errorResult") {
                    Some(error) => Err(failed_job(error)),
                    None => Ok(job),
                };
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 3 / 2).min(LONGEST_POLL);
        }
    }

    fn place(&self) -> String {
        self.target.location.iter().map(|location| format!("location={location}&")).collect()
    }

    /// The address of the project, or of its uploads.
    pub(super) fn address(&self, root: &str) -> String {
        let Target { endpoint, project, .. } = &self.target;
        format!("{endpoint}{root}/bigquery/v2/projects/{project}")
    }

    pub(super) fn refused(&self, (status, answer): &Answer) -> Error {
        refusal(&self.target.endpoint, *status, answer)
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let url = format!("{}{path}", self.address(""));
        let body = body.map(Value::to_string);
        let request = || {
            let request = self.http.request(method.clone(), &url);
            match &body {
                Some(body) => request.header(CONTENT_TYPE, "application/json").body(body.clone()),
                None => request,
            }
        };
        let (status, _, body) = self.sent(request).await?;
        Ok((status, body))
    }

    /// Sends a call, and again for as long as that makes sense; answers with the status, the address that it names, and
    /// what it says.
    pub(super) async fn sent(
        &self,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<(StatusCode, Option<String>, Value)> {
        let (mut attempt, mut is_refused) = (0, false);
        loop {
            let mut call = request();
            if let Some(token) = self.auth.token(&self.http, is_refused).await? {
                call = call.header(AUTHORIZATION, format!("Bearer {}", token.expose_secret()));
            }
            let answer = answered(call).await;
            attempt += 1;
            let is_last = attempt == MAX_ATTEMPTS;
            match answer {
                Ok((StatusCode::UNAUTHORIZED, ..)) if !is_refused => {
                    is_refused = true;
                    continue;
                }
                Ok((status, _, body)) if is_transient(status, &body) && !is_last => {}
                Err(_) if !is_last => {}
                Ok(answer) => return Ok(answer),
                Err(source) => return Err(self.unreachable(source)),
            }
            tokio::time::sleep(FIRST_RETRY * 2_u32.pow(attempt - 1)).await;
        }
    }

    pub(super) fn unreachable(&self, source: reqwest::Error) -> Error {
        let message = format!("bigquery does not answer at {}", self.target.endpoint);
        Error::new(Kind::Unreachable, message).because(source.without_url())
    }
}

/// Status, the address that the answer names, and what it says.
pub(super) async fn answered(call: RequestBuilder) -> reqwest::Result<(StatusCode, Option<String>, Value)> {
    let (status, headers, body) = sql_over_http::answered(call).await?;
    let header = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
    Ok((status, header("location").or_else(|| header("range")), body))
}

/// Values are texts, whatever their type.
fn rows_of(answer: &Value) -> Rows {
    let list =
        |value: &Value, field: &str| value.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    let cell = |cell: &Value| match cell.get("v") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    };
    list(answer, "rows").iter().map(|row| list(row, "f").iter().map(cell).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_texts() {
        let answer = json!({"rows": [{"f": [{"v": "1"}, {"v": null}]}, {"f": [{"v": "a"}, {"v": "b"}]}]});
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(rows_of(&answer), [[text("1"), None], [text("a"), text("b")]]);
        assert!(rows_of(&json!({"totalRows": "0"})).is_empty());
    }
}
