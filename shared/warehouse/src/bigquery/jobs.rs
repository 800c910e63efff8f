//! The jobs that a script becomes: DDL, what claims the dataset while a column is widened, and the transaction.

use super::api::JOB_TIMEOUT;
use super::dialect::{FUNCTIONS, spelled};
use super::failure::IS_WIDENED;
use crate::dialect::backslashed_literal;
use crate::error::Error;
use crate::statement::{Purpose, Statement};

/// The jobs that are run for a script, one after the other.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    pub(super) all: Vec<String>,
    /// Ends the claim of a script that failed.
    pub(super) release: Option<String>,
}

/// The beginning of a statement that makes a table anew.
pub(super) const REPLACE: &str = "CREATE OR REPLACE TABLE";

/// The table that each merge changes first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lock<'a> {
    /// Its name in SQL.
    pub(super) table: &'a str,
    /// The statement by which a merge takes it.
    pub(super) statement: Option<&'a str>,
}

/// Makes the jobs: DDL first, then the rest, as a transaction if it writes. `id` is new.
pub(super) fn jobs(script: &[Statement], id: &str, lock: Lock<'_>) -> Jobs {
    let is_ddl =
        |statement: &&Statement| matches!(statement.purpose, Purpose::Shape | Purpose::CreateScratch);
    let is_widening = |statement: &&Statement| is_ddl(statement) && statement.sql.starts_with(REPLACE);
    let texts = |wanted: &dyn Fn(&&Statement) -> bool| -> Vec<String> {
        script.iter().filter(wanted).map(|statement| statement.sql.clone()).collect()
    };
    let mut jobs = Jobs::default();
    let mut add = |statements: &[String]| {
        if !statements.is_empty() {
            jobs.all.push(joined(statements));
        }
    };
    add(&texts(&|it| is_ddl(it) && !is_widening(it)));
    let mut release = None;
    if script.iter().any(|it| is_widening(&it)) {
        let mut claim = vec!["BEGIN TRANSACTION".to_owned()];
        claim.extend(lock.statement.map(str::to_owned));
        claim.push(check_claims(lock.table));
        claim.extend(texts(&|it| it.purpose == Purpose::Unchanged));
        claim.push(format!(
            "UPDATE {} SET widened_by = {}, widened_until = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL {} SECOND) \
             WHERE true",
            lock.table,
            backslashed_literal(id),
            2 * JOB_TIMEOUT.as_secs()
        ));
        claim.push("COMMIT TRANSACTION".to_owned());
        add(&claim);
        add(&texts(&is_widening));
        release = Some(format!(
            "UPDATE {} SET widened_by = NULL WHERE widened_by = {}",
            lock.table,
            backslashed_literal(id)
        ));
    }
    let is_transaction = script.iter().any(|it| matches!(it.purpose, Purpose::Write | Purpose::Unchanged));
    let mut rest = Vec::new();
    // Its own claim is over as soon as it has the lock again.
    let mut to_release = release.clone();
    for statement in script.iter().filter(|it| !is_ddl(it) && it.purpose != Purpose::Count) {
        rest.push(statement.sql.clone());
        if lock.statement == Some(statement.sql.as_str()) {
            rest.extend(to_release.take());
            rest.push(check_claims(lock.table));
        }
    }
    rest.extend(to_release);
    if is_transaction {
        rest.insert(0, "BEGIN TRANSACTION".to_owned());
        rest.push("COMMIT TRANSACTION".to_owned());
    }
    add(&rest);
    jobs.release = release.map(|release| joined(&[release]));
    jobs
}

/// Returns a statement that fails while another merge widens a column.
fn check_claims(lock: &str) -> String {
    format!(
        "SELECT CASE WHEN (SELECT count(*) FROM {} WHERE widened_by IS NOT NULL \
         AND widened_until > CURRENT_TIMESTAMP()) = 0 THEN 1 ELSE ERROR({}) END",
        lock,
        backslashed_literal(IS_WIDENED)
    )
}

/// All statements as one text, with the functions that they call.
fn joined(statements: &[String]) -> String {
    let spelled: Vec<String> = statements.iter().map(|sql| spelled(sql)).collect();
    with_functions(&spelled.join(";\n"))
}

pub(super) fn with_functions(sql: &str) -> String {
    let called = FUNCTIONS.iter().filter(|(name, _)| sql.contains(&format!("{name}(")));
    called.map(|(_, function)| format!("{function};\n")).chain([sql.to_owned()]).collect()
}

/// Which statement it was: a check that fails says its own words.
pub(super) fn failed_check(script: &[Statement], error: &Error) -> Option<usize> {
    let words = std::error::Error::source(error).map(ToString::to_string)?;
    script.iter().position(|statement| {
        let raised = statement.sql.rsplit_once("ERROR('").and_then(|(_, rest)| rest.split('\'').next());
        raised.is_some_and(|raised| words.contains(raised))
    })
}
