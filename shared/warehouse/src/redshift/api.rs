//! The calls of the Redshift Data API. A batch is submitted, then asked for until it is done; its rows are fetched by
//! statement.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_redshiftdata::config::BehaviorVersion;
use aws_sdk_redshiftdata::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_redshiftdata::operation::describe_statement::DescribeStatementOutput;
use aws_sdk_redshiftdata::types::{Field, StatementStatusString, StatusString};
use aws_sdk_redshiftdata::{Client, Config};
use uuid::Uuid;

use super::url::{Host, Target};
use crate::aws;
use crate::catalog::Rows;
use crate::error::{Error, Kind, Result};
use crate::sql_over_http::Failed;
use crate::statement::{Purpose, Statement};

/// The time for which scratch tables outlive a script: the calls of one merge follow each other at once.
const SESSION_SECONDS: i32 = 60;
const FIRST_DELAY: Duration = Duration::from_millis(20);
const LONGEST_DELAY: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Api {
    client: Client,
    target: Target,
}

/// A session of the Data API, once a script has begun one.
#[derive(Debug, Default)]
pub(crate) struct Session {
    id: Option<String>,
}

impl Api {
    pub(super) fn new(aws: &SdkConfig, target: Target) -> Api {
        let config = Config::from(aws).to_builder().behavior_version(BehaviorVersion::latest()).build();
        Api { client: Client::from_conf(config), target }
    }

    /// Runs the statements as one transaction; the answer has the rows of those that count. `keeps` leaves the session
    /// open for the next script.
    pub(super) async fn run(
        &self,
        session: &mut Session,
        script: &[Statement],
        keeps: bool,
    ) -> Result<Vec<Rows>, Failed> {
        let id = self.submit(session, script, keeps).await?;
        let done = self.wait(&id).await?;
        if done.status != Some(StatusString::Finished) {
            return Err(self.failure(&done));
        }
        let mut rows = Vec::new();
        for (position, statement) in script.iter().enumerate() {
            if statement.purpose == Purpose::Count {
                let statement = done.sub_statements().get(position).map_or(id.as_str(), |it| it.id());
                rows.push(self.rows(statement).await?);
            }
        }
        Ok(rows)
    }

    /// A call that is sent again, since its answer was lost, has the same token and is not executed again.
    async fn submit(&self, session: &mut Session, script: &[Statement], keeps: bool) -> Result<String> {
        let sqls = script.iter().map(|statement| statement.sql.clone()).collect();
        let mut call = self
            .client
            .batch_execute_statement()
            .set_sqls(Some(sqls))
            .client_token(Uuid::now_v7().to_string())
            .statement_name("hubspot-source");
        if keeps {
            call = call.session_keep_alive_seconds(SESSION_SECONDS);
        }
        call = match (&session.id, &self.target.host) {
            // A session has all of this already.
            (Some(id), _) => call.session_id(id),
            (None, Host::Workgroup(name)) => self.addressed(call.workgroup_name(name)),
            (None, Host::Cluster(name)) => {
                self.addressed(call.cluster_identifier(name)).set_db_user(self.target.user.clone())
            }
        };
        let sent = call.send().await.map_err(|error| self.refused("BatchExecuteStatement", error))?;
        if keeps {
            session.id = sent.session_id().map(str::to_owned).or(session.id.take());
        }
        sent.id.ok_or_else(|| Error::new(Kind::Engine, "redshift gave a batch no id"))
    }

    fn addressed(&self, call: Batch) -> Batch {
        call.database(&self.target.database).set_secret_arn(self.target.secret.clone())
    }

    async fn wait(&self, id: &str) -> Result<DescribeStatementOutput> {
        let mut delay = FIRST_DELAY;
        loop {
            let described = self.client.describe_statement().id(id).send().await;
            let described = described.map_err(|error| self.refused("DescribeStatement", error))?;
            let is_over = |status: &StatusString| {
                matches!(status, StatusString::Finished | StatusString::Failed | StatusString::Aborted)
            };
            if described.status.as_ref().is_some_and(is_over) {
                return Ok(described);
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 3 / 2).min(LONGEST_DELAY);
        }
    }

    async fn rows(&self, statement: &str) -> Result<Rows> {
        let mut rows = Rows::new();
        let mut next = None;
        loop {
            let page = self.client.get_statement_result().id(statement).set_next_token(next).send().await;
            let page = page.map_err(|error| self.refused("GetStatementResult", error))?;
            rows.extend(page.records().iter().map(|row| row.iter().map(text).collect()));
            next = page.next_token;
            if next.is_none() {
                return Ok(rows);
            }
        }
    }

    fn failure(&self, done: &DescribeStatementOutput) -> Failed {
        let failed = |status: Option<&StatementStatusString>| status == Some(&StatementStatusString::Failed);
        let statement = done.sub_statements().iter().position(|it| failed(it.status()));
        let of_statement = statement.and_then(|position| done.sub_statements().get(position)?.error());
        let words = of_statement.or(done.error()).unwrap_or("no reason was given");
        Failed { statement, error: failure(words) }
    }

    fn refused<E>(&self, call: &str, error: SdkError<E>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let host = match &self.target.host {
            Host::Workgroup(name) => format!("workgroup {name}"),
            Host::Cluster(name) => format!("cluster {name}"),
        };
        aws::refused(
            call,
            &format!("redshift's {host}"),
            &["ActiveStatementsExceededException", "ActiveSessionsExceededException"],
            error,
        )
    }
}

type Batch =
    aws_sdk_redshiftdata::operation::batch_execute_statement::builders::BatchExecuteStatementFluentBuilder;

fn text(field: &Field) -> Option<String> {
    match field {
        Field::StringValue(text) => Some(text.clone()),
        Field::LongValue(number) => Some(number.to_string()),
        Field::DoubleValue(number) => Some(number.to_string()),
        Field::BooleanValue(is_it) => Some(is_it.to_string()),
        _ => None,
    }
}

/// The meaning of Redshift's words about a statement.
fn failure(words: &str) -> Error {
    let says = |some: &[&str]| some.iter().any(|some| words.to_lowercase().contains(some));
    let (kind, message) = if says(&["serializable isolation", "conflict with concurrent", "deadlock"]) {
        (Kind::Locked, "redshift has another transaction on the same tables: try again later")
    } else if says(&["access denied", "not authorized to assume", "accessdenied", "unauthorizedexception"]) {
        (
            Kind::Unreachable,
            "redshift can't read the staged files: let the url's role read the bucket, and redshift have the role",
        )
    } else if says(&["permission denied", "must be owner", "does not have permission"]) {
        (
            Kind::Unreachable,
            "redshift lets this user not do it: grant CREATE on the database, and ownership of the tables",
        )
    } else if says(&["other objects depend on it"]) {
        (
            Kind::Unsupported,
            "a view stands in the way of a column that has to change: drop it, and make it again afterwards",
        )
    } else if says(&["longer than the length defined"]) {
        (
            Kind::BadFile,
            "there is a text of more than 65,535 bytes in it, which redshift has no type for: leave out its property",
        )
    } else if says(&["combined length of columns"]) {
        (
            Kind::Unsupported,
            "the rows have more in them than redshift processes at once, 65,535 characters (its error 8001): leave out \
             properties with long texts, or merge the collection into another warehouse",
        )
    } else if says(&["disk full", "out of memory", "insufficient memory", "statement timeout", "wlm"]) {
        (Kind::TooLarge, "redshift has too little memory, disk or time for a statement: use a larger one")
    } else {
        (Kind::Engine, "redshift failed in the middle")
    };
    Error::new(kind, message).because(words.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_kinds() {
        let kind = |words: &str| failure(words).kind();
        assert_eq!(kind("ERROR: 1023 DETAIL: Serializable isolation violation on table"), Kind::Locked);
        assert_eq!(kind("ERROR: S3ServiceException:Access Denied,Status 403"), Kind::Unreachable);
        assert_eq!(kind("ERROR: permission denied for schema hubspot"), Kind::Unreachable);
        assert_eq!(kind("ERROR: cannot drop column x because other objects depend on it"), Kind::Unsupported);
        let too_wide = "ERROR: 8001 DETAIL: The combined length of columns processed in the SQL statement exceeded the \
                        query-processing limit of 65535 characters (pid:7627)";
        assert_eq!(kind(too_wide), Kind::Unsupported);
        assert_eq!(kind("ERROR: syntax error"), Kind::Engine);
    }
}
