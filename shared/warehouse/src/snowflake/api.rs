//! The calls of Snowflake's SQL API. A request is sent, then asked for until it is done; the rows of each of its
//! statements are fetched by a handle of their own.
//!
//! <https://docs.snowflake.com/en/developer-guide/sql-api/reference>

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use uuid::Uuid;

use super::failure::{failed_at, failure, refusal};
use super::key::Key;
use super::url::Target;
use crate::catalog::Rows;
use crate::error::{Error, Kind, Result};
use crate::sql_over_http::{Failed, http_client, rows_of, text_of};

/// The time that a statement may take at most; also what a claim on a schema has to outlive (see [`super`]).
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(3_000);
const MAX_ATTEMPTS: u32 = 6;
const FIRST_RETRY: Duration = Duration::from_millis(200);
const FIRST_POLL: Duration = Duration::from_millis(20);
const LONGEST_POLL: Duration = Duration::from_secs(2);
/// A token is replaced when it has no more left than this.
const LEAST_LIFE: TimeDelta = TimeDelta::minutes(5);

#[derive(Debug)]
pub(super) struct Api {
    http: Client,
    target: Target,
    key: Key,
    token: Mutex<Option<(SecretString, DateTime<Utc>)>>,
}

impl Api {
    pub(super) fn new(target: Target, key: Key) -> Result<Api> {
        Ok(Api { http: http_client()?, target, key, token: Mutex::default() })
    }

    /// Runs the statements one after the other in a session of their own, and answers with the rows of those that are
    /// `wanted`. What follows a statement that failed is not run; what is in no transaction stays.
    pub(super) async fn run(&self, statements: &[&str], wanted: &[usize]) -> Result<Vec<Rows>, Failed> {
        let (text, first_lines) = joined(statements);
        let done = self.submit(&text, statements.len()).await?;
        let done = match done {
            (StatusCode::OK, done) => done,
            (_, failed) => return Err(self.explained(statements, &first_lines, &failed)),
        };
        let mut rows = Vec::with_capacity(wanted.len());
        for position in wanted {
            let of_statement = match statements.len() {
                1 => done.clone(),
                _ => self.answer_to(handle_of(&done, *position)?).await?,
            };
            rows.push(self.rows(of_statement).await?);
        }
        Ok(rows)
    }

    /// A request that is sent again, since its answer was lost, has the same id and is not executed again.
    async fn submit(&self, text: &str, count: usize) -> Result<(StatusCode, Value)> {
        let Target { database, warehouse, role, .. } = &self.target;
        let mut body = json!({
            "statement": text,
            "timeout": STATEMENT_TIMEOUT.as_secs(),
            "database": database,
            "warehouse": warehouse,
            "parameters": {"QUERY_TAG": "hubspot-source"},
        });
        if let Some(role) = role {
            body["role"] = json!(role);
        }
        if count > 1 {
            body["parameters"]["MULTI_STATEMENT_COUNT"] = json!(count.to_string());
        }
        let path = format!("/api/v2/statements?requestId={}", Uuid::now_v7());
        let answer = self.call(&path, Some(body.to_string())).await?;
        self.waited(answer).await
    }

    async fn answer_to(&self, handle: &str) -> Result<Value> {
        let answer = self.call(&format!("/api/v2/statements/{handle}"), None).await?;
        match self.waited(answer).await? {
            (StatusCode::OK, answer) => Ok(answer),
            (_, failed) => Err(failure(&failed)),
        }
    }

    /// Asks until it is done, in whichever way.
    async fn waited(&self, mut answer: (StatusCode, Value)) -> Result<(StatusCode, Value)> {
        let mut delay = FIRST_POLL;
        while answer.0 == StatusCode::ACCEPTED {
            let path = format!("/api/v2/statements/{}", text_of("snowflake", &answer.1, "statementHandle")?);
            tokio::time::sleep(delay).await;
            delay = (delay * 3 / 2).min(LONGEST_POLL);
            answer = self.call(&path, None).await?;
        }
        Ok(answer)
    }

    /// The first part of the rows came with the answer.
    async fn rows(&self, answer: Value) -> Result<Rows> {
        let handle = text_of("snowflake", &answer, "statementHandle")?;
        let parts = answer.pointer("/resultSetMetaData/partitionInfo").and_then(Value::as_array);
        let parts = parts.map_or(1, Vec::len);
        let mut rows = rows_of(&answer["data"]);
        for part in 1..parts {
            let path = format!("/api/v2/statements/{handle}?partition={part}");
            match self.call(&path, None).await? {
                (StatusCode::OK, part) => rows.extend(rows_of(&part["data"])),
                (_, failed) => return Err(failure(&failed)),
            }
        }
        Ok(rows)
    }

    /// Sends a call, and again for as long as that makes sense. The answer is of 200, of 202, or says why a statement
    /// failed (408, 422); everything else is an error.
    async fn call(&self, path: &str, body: Option<String>) -> Result<(StatusCode, Value)> {
        let url = format!("{}{path}", self.target.endpoint);
        let mut attempt = 0;
        loop {
            let call = match &body {
                Some(body) if attempt == 0 => self.http.post(&url).body(body.clone()),
                Some(body) => self.http.post(format!("{url}&retry=true")).body(body.clone()),
                None => self.http.get(&url),
            };
            let sent = call
                .header(AUTHORIZATION, format!("Bearer {}", self.token()?.expose_secret()))
                .header("X-Snowflake-Authorization-Token-Type", "KEYPAIR_JWT")
                .header(ACCEPT, "application/json")
                .header(CONTENT_TYPE, "application/json")
                .send()
                .await;
            let answer = match sent {
                Ok(response) => {
                    let status = response.status();
                    response.bytes().await.map(|body| (status, body))
                }
                Err(error) => Err(error),
            };
            attempt += 1;
            let is_last = attempt == MAX_ATTEMPTS;
            match answer {
                Ok((status, _)) if is_transient(status) && !is_last => {}
                Err(_) if !is_last => {}
                Ok((status, body)) => {
                    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                    return match status.as_u16() {
                        200 | 202 | 408 | 422 => Ok((status, body)),
                        _ => Err(refusal(&self.target, status, &body)),
                    };
                }
                Err(source) => {
                    let message =
                        format!("snowflake does not answer at {}: check the account", self.target.endpoint);
                    return Err(Error::new(Kind::Unreachable, message).because(source.without_url()));
                }
            }
            tokio::time::sleep(FIRST_RETRY * 2_u32.pow(attempt - 1)).await;
        }
    }

    fn token(&self) -> Result<SecretString> {
        let now = Utc::now();
        let mut kept = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some((token, until)) if *until - now > LEAST_LIFE => Ok(token.clone()),
            _ => {
                let (token, until) = self.key.token(now)?;
                *kept = Some((token.clone(), until));
                Ok(token)
            }
        }
    }

    fn explained(&self, statements: &[&str], first_lines: &[usize], failed: &Value) -> Failed {
        let statement = match statements.len() {
            1 => Some(0),
            _ => failed_at(failed, statements, first_lines),
        };
        Failed { statement, error: failure(failed) }
    }
}

/// All statements as one text, and the line, from 1, in which each of them begins.
fn joined(statements: &[&str]) -> (String, Vec<usize>) {
    let (mut first_lines, mut line) = (Vec::with_capacity(statements.len()), 1);
    for statement in statements {
        first_lines.push(line);
        line += 1 + statement.matches('\n').count();
    }
    (statements.join(";\n"), first_lines)
}

fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 500 | 502..=504)
}

fn handle_of(answer: &Value, position: usize) -> Result<&str> {
    let handle = answer.get("statementHandles").and_then(|handles| handles.get(position)?.as_str());
    handle.ok_or_else(|| Error::new(Kind::Engine, format!("snowflake gave statement {position} no handle")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_know_their_lines() {
        let (text, lines) = joined(&["BEGIN", "SELECT 'a\nb'", "COMMIT"]);
        assert_eq!(text, "BEGIN;\nSELECT 'a\nb';\nCOMMIT");
        assert_eq!(lines, [1, 2, 4]);
    }
}
