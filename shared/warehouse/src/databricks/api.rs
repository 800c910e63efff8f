//! The calls of the SQL Statement Execution API: a statement is sent, then asked for by its id until it is done; its rows
//! come with the answer, in chunks.
//! <https://docs.databricks.com/aws/en/dev-tools/sql-execution-tutorial>
//!
//! A call can't say that it is one that was sent before. So what may be executed twice is sent again when its answer is
//! lost; anything else is reported as [`Kind::Locked`], which begins the merge anew, and [`Api::take_unanswered`] names the
//! table that it may still change. Such a statement is only sent, and not waited for: the answer has its id, and a
//! connection that breaks later loses nothing.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::auth::Auth;
use super::failure::{failure, is_conflict, refusal};
use super::url::Target;
use crate::catalog::Rows;
use crate::error::{Error, Kind, Result};
use crate::sql_over_http::{answered, http_client, rows_of, text_of};

/// The time that a statement may take at most.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(3_000);
/// The time that it then has to be over.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(120);
const MAX_ATTEMPTS: u32 = 6;
const FIRST_RETRY: Duration = Duration::from_millis(200);
const FIRST_POLL: Duration = Duration::from_millis(5);
const LONGEST_POLL: Duration = Duration::from_secs(2);
/// Number of times that a statement is executed which another one's commit came before.
const MAX_EXECUTIONS: u32 = 4;
const CONFLICT_DELAY: Duration = Duration::from_millis(500);
/// The beginnings of statements that may be executed any number of times.
const REPEATABLE: [&str; 7] = [
    "SELECT ",
    "WITH ",
    "CREATE SCHEMA IF NOT EXISTS ",
    "CREATE TABLE IF NOT EXISTS ",
    "DROP TABLE IF EXISTS ",
    "OPTIMIZE ",
    "VACUUM ",
];

#[derive(Debug)]
pub(super) struct Api {
    http: Client,
    target: Target,
    auth: Auth,
    /// Tables that a statement may change whose answer was lost.
    unanswered: Mutex<Vec<String>>,
}

impl Api {
    pub(super) fn new(target: Target, secret: Option<&SecretString>) -> Result<Api> {
        let auth = Auth::new(&target, secret)?;
        Ok(Api { http: http_client()?, target, auth, unanswered: Mutex::default() })
    }

    pub(super) async fn query(&self, sql: &str) -> Result<Rows> {
        let done = self.execute(sql).await?;
        self.rows(done).await
    }

    /// Executes a statement, which is one commit of one table. One that another commit came before changed nothing; what
    /// it is to do depends on what it finds, so it is executed again.
    pub(super) async fn execute(&self, sql: &str) -> Result<Value> {
        let mut execution = 1;
        loop {
            let done = self.executed(sql).await?;
            let status = done.get("status").unwrap_or(&Value::Null);
            let error = match status.get("state").and_then(Value::as_str) {
                Some("SUCCEEDED") => return Ok(done),
                Some("FAILED") => failure(status),
                state => {
                    let message =
                        format!("a statement was ended in databricks ({})", state.unwrap_or("no state"));
                    return Err(Error::new(Kind::Engine, message));
                }
            };
            let words = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            if !is_conflict(&words) || execution == MAX_EXECUTIONS {
                return Err(error);
            }
            tracing::info!(execution, "another commit came first, trying again: {words}");
            tokio::time::sleep(CONFLICT_DELAY * execution).await;
            execution += 1;
        }
    }

    /// Returns the tables that statements may change whose answers were lost.
    pub(super) fn take_unanswered(&self) -> Vec<String> {
        std::mem::take(&mut *self.unanswered.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns a statement that is over, whatever came of it.
    async fn executed(&self, sql: &str) -> Result<Value> {
        let is_repeatable = REPEATABLE.iter().any(|beginning| sql.starts_with(beginning));
        let body = json!({
            "statement": sql,
            "warehouse_id": self.target.warehouse,
            "catalog": self.target.catalog,
            "wait_timeout": if is_repeatable { "30s" } else { "0s" },
            "on_wait_timeout": "CONTINUE",
            "disposition": "INLINE",
            "format": "JSON_ARRAY",
        });
        let sent = self.call(Method::POST, "", Some(body.to_string()), is_repeatable).await;
        let answer = match sent {
            Ok(answer) => answer,
            Err(Unanswered { error, may_have_arrived: false }) => return Err(error),
            Err(Unanswered { error, .. }) => return Err(self.lost(sql, error)),
        };
        self.waited(answer).await
    }

    /// Remembers which table a statement may change.
    fn lost(&self, sql: &str, error: Error) -> Error {
        let mut unanswered = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        unanswered.extend(changed_table(sql).map(str::to_owned));
        let message =
            "databricks' answer to a statement was lost, which may have been executed: merge again later";
        Error::new(Kind::Locked, message).because(error)
    }

    /// Asks until it is over; ends what takes too long.
    async fn waited(&self, mut answer: Value) -> Result<Value> {
        let (began, mut delay, mut ended) = (Instant::now(), FIRST_POLL, None);
        let state =
            |answer: &Value| answer.pointer("/status/state").and_then(Value::as_str).map(str::to_owned);
        while matches!(state(&answer).as_deref(), Some("PENDING" | "RUNNING")) {
            let path = format!("/{}", text_of("databricks", &answer, "statement_id")?);
            if began.elapsed() > STATEMENT_TIMEOUT && ended.is_none() {
                self.asked(Method::POST, &format!("{path}/cancel")).await?;
                ended = Some(Instant::now());
            }
            if ended.is_some_and(|ended| ended.elapsed() > CANCEL_TIMEOUT) {
                break;
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 3 / 2).min(LONGEST_POLL);
            answer = self.asked(Method::GET, &path).await?;
        }
        match ended {
            Some(_) if state(&answer).as_deref() != Some("SUCCEEDED") => {
                let message = "a statement took too long, and was ended: use a larger SQL warehouse";
                Err(Error::new(Kind::TooLarge, message))
            }
            _ => Ok(answer),
        }
    }

    /// The first chunk of the rows came with the answer.
    pub(super) async fn rows(&self, done: Value) -> Result<Rows> {
        let id = text_of("databricks", &done, "statement_id")?.to_owned();
        let mut chunk = done.get("result").cloned().unwrap_or_default();
        let mut rows = Rows::new();
        loop {
            rows.extend(rows_of(&chunk["data_array"]));
            let Some(next) = chunk.get("next_chunk_index").and_then(Value::as_u64) else { return Ok(rows) };
            chunk = self.asked(Method::GET, &format!("/{id}/result/chunks/{next}")).await?;
        }
    }

    /// A call that may be made twice.
    async fn asked(&self, method: Method, path: &str) -> Result<Value> {
        self.call(method, path, None, true).await.map_err(|unanswered| unanswered.error)
    }

    /// Sends a call, and again for as long as that makes sense.
    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        is_repeatable: bool,
    ) -> Result<Value, Unanswered> {
        let url = format!("{}/api/2.0/sql/statements{path}", self.target.endpoint);
        let (mut attempt, mut is_refused) = (0, false);
        loop {
            let token = self.auth.token(&self.http, is_refused).await?;
            let call = self
                .http
                .request(method.clone(), &url)
                .header(AUTHORIZATION, format!("Bearer {}", token.expose_secret()));
            let call = match &body {
                Some(body) => call.header(CONTENT_TYPE, "application/json").body(body.clone()),
                None => call,
            };
            let answer = answered(call).await;
            attempt += 1;
            let may_have_arrived = match &answer {
                Ok((StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, ..))
                    if !is_refused && self.auth.has_others() =>
                {
                    is_refused = true;
                    continue;
                }
                Ok((StatusCode::TOO_MANY_REQUESTS, ..)) => false,
                Ok((status, ..)) if status.is_server_error() => true,
                Ok((StatusCode::OK, _, body)) => return Ok(body.clone()),
                Ok((status, _, body)) => return Err(refusal(&self.target.endpoint, *status, body).into()),
                Err(error) => !error.is_connect(),
            };
            if attempt < MAX_ATTEMPTS && (is_repeatable || !may_have_arrived) {
                tokio::time::sleep(FIRST_RETRY * 2_u32.pow(attempt - 1)).await;
                continue;
            }
            let error = match answer {
                Ok((status, _, body)) => refusal(&self.target.endpoint, status, &body),
                Err(source) => {
                    let message =
                        format!("databricks does not answer at {}: check the host", self.target.endpoint);
                    Error::new(Kind::Unreachable, message).because(source.without_url())
                }
            };
            return Err(Unanswered { error, may_have_arrived });
        }
    }
}

/// A call that has no answer.
struct Unanswered {
    error: Error,
    may_have_arrived: bool,
}

impl From<Error> for Unanswered {
    fn from(error: Error) -> Unanswered {
        Unanswered { error, may_have_arrived: false }
    }
}

/// The quoted name of the table whose rows a statement changes. No name has a space in it.
fn changed_table(sql: &str) -> Option<&str> {
    let beginnings = ["INSERT INTO ", "MERGE INTO ", "DELETE FROM ", "UPDATE "];
    beginnings.iter().find_map(|beginning| sql.strip_prefix(beginning))?.split(' ').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_names_the_table_that_it_changes() {
        assert_eq!(changed_table("MERGE INTO `s`.`t` USING `s`.`u` AS s"), Some("`s`.`t`"));
        assert_eq!(changed_table("DELETE FROM `s`.`t`"), Some("`s`.`t`"));
        assert_eq!(changed_table("ALTER TABLE `s`.`t` DROP COLUMN `c`"), None);
    }
}
