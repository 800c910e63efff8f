//! The meaning of Snowflake's words: of a request that it refuses, and of a statement that failed.

use reqwest::StatusCode;
use serde_json::Value;

use super::url::Target;
use crate::error::{Error, Kind};

/// Words of a check that a merge makes.
pub(super) const IS_WIDENED: &str = "a table is being widened";

/// Words, in lower case, of errors that show the whole value.
const QUOTE_VALUES: [&str; 5] = [
    "is too long and would be truncated",
    "is not recognized",
    "is out of range",
    "failed to cast",
    "error parsing",
];

/// A request that was not taken.
pub(super) fn refusal(target: &Target, status: StatusCode, answer: &Value) -> Error {
    let Target { user, account, endpoint, .. } = target;
    let (kind, message) = match status.as_u16() {
        401 | 403 => (
            Kind::Unreachable,
            format!(
                "snowflake does not take the key of user {user} in account {account}: give the user its public half \
                 (ALTER USER {user} SET RSA_PUBLIC_KEY), and check the account's name, network policies and this \
                 machine's clock"
            ),
        ),
        404 => (
            Kind::Unreachable,
            format!("snowflake knows no account at {endpoint}: write it as in ORGANIZATION-ACCOUNT"),
        ),
        429 => (Kind::Locked, "snowflake has too many requests at the moment: try again later".to_owned()),
        300..=399 => {
            (Kind::Unreachable, format!("{endpoint} sends the request elsewhere: check the account"))
        }
        _ => (Kind::Engine, format!("snowflake answers with status {status}")),
    };
    Error::new(kind, message).because(words_of(answer))
}

/// A statement that failed.
pub(super) fn failure(answer: &Value) -> Error {
    let words = words_of(answer);
    let says = |some: &[&str]| some.iter().any(|some| words.to_lowercase().contains(some));
    let (kind, message) = if says(&["has locked table", "waiters for this lock", "lock timeout", "deadlock"])
    {
        (Kind::Locked, "snowflake has another transaction on the same tables: try again later")
    } else if says(&["already exists", IS_WIDENED]) {
        (Kind::Locked, "another merge changes the same tables: try again later")
    } else if says(&["no active warehouse", "insufficient privileges", "not authorized to"]) {
        (
            Kind::Unreachable,
            "snowflake lets this role not do it: grant USAGE on warehouse, database and stage (or integration), CREATE \
             SCHEMA on the database, and ownership of the tables",
        )
    } else if says(&["does not exist or not authorized", "does not exist, or operation cannot be performed"])
    {
        (
            Kind::Unreachable,
            "snowflake does not know a name, or not for this role: check database, warehouse, role and stage in the url",
        )
    } else if says(&["failure using stage area", "error assuming aws_role", "access denied"]) {
        (
            Kind::Unreachable,
            "snowflake can't read the staged files: let the storage integration's role read the bucket",
        )
    } else if says(&["max lob size", "is too long and would be truncated"]) {
        (
            Kind::BadFile,
            "a staged file has a text that is longer than snowflake's texts can be: leave out its property",
        )
    } else if says(&["timeout", "exceeded the timeout"]) {
        (Kind::TooLarge, "a statement took too long, and snowflake ended it: use a larger warehouse")
    } else {
        (Kind::Engine, "snowflake failed in the middle")
    };
    match says(&QUOTE_VALUES) {
        true => Error::new(kind, message)
            .because("snowflake's words may quote values: its query history has them"),
        false => Error::new(kind, message).because(words),
    }
}

/// Which statement of several it was: Snowflake says in which line it begins, and what a check compares with.
pub(super) fn failed_at(answer: &Value, statements: &[&str], first_lines: &[usize]) -> Option<usize> {
    let words = words_of(answer);
    let line = words.split_once("(at line ").and_then(|(_, rest)| rest.split(',').next()?.parse().ok());
    let by_line = line.and_then(|line: usize| first_lines.iter().rposition(|first| *first <= line));
    by_line.or_else(|| {
        let (_, rest) = words.split_once("Numeric value '")?;
        let (value, _) = rest.split_once("' is not recognized")?;
        statements.iter().position(|statement| statement.contains(&format!("'{value}'")))
    })
}

fn words_of(answer: &Value) -> String {
    let field = |name: &str| answer.get(name).and_then(Value::as_str);
    match (field("code"), field("message")) {
        (Some(code), Some(words)) => format!("{code}: {words}"),
        (_, Some(words)) => words.to_owned(),
        _ => "no reason was given".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kind(words: &str) -> Kind {
        failure(&json!({"code": "000000", "message": words})).kind()
    }

    #[test]
    fn words_become_kinds() {
        assert_eq!(kind("Statement '01a' has locked table '_LOCK' in transaction 17"), Kind::Locked);
        assert_eq!(
            kind("SQL access control error: Insufficient privileges to operate on schema"),
            Kind::Unreachable
        );
        assert_eq!(
            kind("SQL compilation error: Stage 'A.B.C' does not exist or not authorized."),
            Kind::Unreachable
        );
        assert_eq!(
            kind("Failure using stage area. Cause: [Access Denied (Status Code: 403)]"),
            Kind::Unreachable
        );
        assert_eq!(kind("SQL compilation error: Object 'T' already exists."), Kind::Locked);
        assert_eq!(kind("SQL compilation error: syntax error"), Kind::Engine);
    }

    #[test]
    fn values_are_not_shown() {
        let words = "String 'a@b.example' is too long and would be truncated";
        let shown = format!("{:?}", failure(&json!({"code": "100078", "message": words})));
        assert!(shown.contains("BadFile") && !shown.contains("a@b.example"), "{shown}");
    }

    /// As the documentation shows it.
    #[test]
    fn the_statement_is_found_by_its_line_or_by_its_check() {
        let statements = ["BEGIN", "SELECT CAST(CASE WHEN x THEN '1' ELSE 'rows are left' END)", "COMMIT"];
        let at = |words: &str| failed_at(&json!({"message": words}), &statements, &[1, 2, 4]);
        let words = "JavaScript execution error: Uncaught Execution of multiple statements failed on statement \
                     \"select 1 frm\" (at line 3, position 75).\nSQL compilation error:";
        assert_eq!(at(words), Some(1));
        assert_eq!(at("Numeric value 'rows are left' is not recognized"), Some(1));
        assert_eq!(at("Numeric value 'x' is not recognized"), None);
        assert_eq!(at("syntax error"), None);
    }
}
