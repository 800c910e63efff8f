//! The calls of Athena: a query is submitted, then asked for until it is done; its rows are fetched page by page.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_athena::Client;
use aws_sdk_athena::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_athena::types::{
    QueryExecution, QueryExecutionContext, QueryExecutionState, ResultConfiguration, Row,
};
use uuid::Uuid;

use super::url::Target;
use crate::aws;
use crate::catalog::Rows;
use crate::error::{Error, Kind, Result};

const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(2);
/// Number of times that a statement is executed which another one's commit came before.
const MAX_ATTEMPTS: u32 = 4;
const CONFLICT_DELAY: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Api {
    client: Client,
    target: Target,
}

impl Api {
    pub(super) fn new(aws: &SdkConfig, target: Target) -> Api {
        Api { client: Client::new(aws), target }
    }

    pub(super) async fn query(&self, sql: &str) -> Result<Rows> {
        let id = self.execute(sql, None).await?;
        self.rows(&id).await
    }

    /// One statement is one commit of a table. One that another commit came before changed nothing; what it is to do
    /// depends on what it finds, so it is executed again. `database` is for the statements that can't name it.
    pub(super) async fn execute(&self, sql: &str, database: Option<&str>) -> Result<String> {
        let mut attempt = 1;
        loop {
            let id = self.submit(sql, database).await?;
            let done = self.wait(&id).await?;
            let status = done.status();
            if status.and_then(|status| status.state()) == Some(&QueryExecutionState::Succeeded) {
                return Ok(id);
            }
            let words =
                status.and_then(|status| status.state_change_reason()).unwrap_or("no reason was given");
            if !is_conflict(words) || attempt == MAX_ATTEMPTS {
                return Err(failure(words));
            }
            tracing::info!(attempt, "another commit came first, trying again: {words}");
            tokio::time::sleep(CONFLICT_DELAY * attempt).await;
            attempt += 1;
        }
    }

    /// A call that is sent again, since its answer was lost, has the same token and is not executed again.
    async fn submit(&self, sql: &str, database: Option<&str>) -> Result<String> {
        let context = QueryExecutionContext::builder()
            .catalog(&self.target.catalog)
            .set_database(database.map(str::to_owned))
            .build();
        let results = self.target.results.as_ref();
        let results =
            results.map(|folder| ResultConfiguration::builder().output_location(folder.url()).build());
        let sent = self
            .client
            .start_query_execution()
            .query_string(sql)
            .client_request_token(Uuid::now_v7().to_string())
            .work_group(&self.target.workgroup)
            .query_execution_context(context)
            .set_result_configuration(results)
            .send()
            .await
            .map_err(|error| self.refused("StartQueryExecution", error))?;
        sent.query_execution_id.ok_or_else(|| Error::new(Kind::Engine, "athena gave a query no id"))
    }

    async fn wait(&self, id: &str) -> Result<QueryExecution> {
        let mut delay = FIRST_DELAY;
        loop {
            let asked = self.client.get_query_execution().query_execution_id(id).send().await;
            let asked = asked.map_err(|error| self.refused("GetQueryExecution", error))?;
            let is_over = |state: &QueryExecutionState| {
                use QueryExecutionState::{Cancelled, Failed, Succeeded};
                matches!(state, Succeeded | Failed | Cancelled)
            };
            if let Some(query) = asked.query_execution
                && query.status().and_then(|status| status.state()).is_some_and(is_over)
            {
                return Ok(query);
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 3 / 2).min(LONGEST_DELAY);
        }
    }

    /// The rows of a `SELECT`, which has the names of its columns as the first one.
    pub(super) async fn rows(&self, id: &str) -> Result<Rows> {
        let mut rows = Rows::new();
        let mut next = None;
        loop {
            let page =
                self.client.get_query_results().query_execution_id(id).set_next_token(next).send().await;
            let page = page.map_err(|error| self.refused("GetQueryResults", error))?;
            rows.extend(page.result_set.iter().flat_map(|set| set.rows()).map(texts));
            next = page.next_token;
            if next.is_none() {
                break;
            }
        }
        Ok(rows.split_off(rows.len().min(1)))
    }

    fn refused<E>(&self, call: &str, error: SdkError<E>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        aws::refused(
            call,
            &format!("athena's workgroup {}", self.target.workgroup),
            &["TooManyRequestsException", "ThrottlingException"],
            error,
        )
    }
}

fn texts(row: &Row) -> Vec<Option<String>> {
    row.data().iter().map(|datum| datum.var_char_value().map(str::to_owned)).collect()
}

/// <https://docs.aws.amazon.com/athena/latest/ug/querying-iceberg-updating-iceberg-table-data.html>
fn is_conflict(words: &str) -> bool {
    words.contains("ICEBERG_COMMIT_ERROR")
}

/// The meaning of Athena's words about a statement.
fn failure(words: &str) -> Error {
    let says = |some: &[&str]| some.iter().any(|some| words.to_lowercase().contains(some));
    let (kind, message) = if is_conflict(words) {
        (Kind::Locked, "athena has other commits to the same table all the time: try again later")
    } else if says(&["already exists"]) {
        (Kind::Locked, "another load made the same table or column at the same time: try again")
    } else if says(&["accessdenied", "access denied", "insufficient", "not authorized", "permission"]) {
        (
            Kind::Unreachable,
            "athena lets the caller not do it: allow it in IAM, for S3 and Glue, and in Lake Formation where that is used",
        )
    } else if says(&["exhausted resources", "query timeout"]) {
        (Kind::TooLarge, "athena has not enough memory for a statement: merge fewer files at a time")
    } else {
        (Kind::Engine, "athena failed in the middle")
    };
    Error::new(kind, message).because(words.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_kinds() {
        let kind = |words: &str| failure(words).kind();
        assert_eq!(kind("ICEBERG_COMMIT_ERROR: Failed to commit Iceberg update to table: t"), Kind::Locked);
        assert_eq!(kind("FAILED: SemanticException column `a` already exists"), Kind::Locked);
        assert_eq!(kind("Insufficient Lake Formation permission(s) on t"), Kind::Unreachable);
        assert_eq!(kind("PERMISSION_DENIED: Access denied when writing to location"), Kind::Unreachable);
        assert_eq!(kind("HIVE_CANNOT_OPEN_SPLIT: Error opening Hive split s3://b/k"), Kind::Engine);
    }
}
