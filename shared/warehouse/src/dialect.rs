//! SQL that all warehouses share, as text: quoting, and the statements that shape tables. What differs between them
//! is a value, [`Dialect`]. Nothing else in this crate puts quotes around anything.

use chrono::{DateTime, SecondsFormat, Utc};
use staging::{Column, ColumnType};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Kind, Result};
use crate::table::{TableColumn, Widening, folded};

/// Table of the merged files, one row each.
pub(crate) const LEDGER: &str = "_loaded_files";
/// Table of one row: the account that the schema is bound to.
pub(crate) const ACCOUNT: &str = "_account";
/// Table of the runs of extract and load.
pub(crate) const RUNS: &str = "_runs";

pub(crate) const ACCOUNT_COLUMNS: [(&str, ColumnType); 2] =
    [("account_id", ColumnType::BigInt), ("bound_at", ColumnType::Timestamp)];
pub(crate) const LEDGER_COLUMNS: [(&str, ColumnType); 6] = [
    ("collection", ColumnType::Text),
    ("file_key", ColumnType::Text),
    ("run_id", ColumnType::Text),
    ("rows", ColumnType::BigInt),
    ("merged_rows", ColumnType::BigInt),
    ("loaded_at", ColumnType::Timestamp),
];

/// A table's name.
#[derive(Debug, Clone)]
pub(crate) struct TableName {
    /// Quoted and qualified.
    pub(crate) qualified: String,
    /// Quoted; in a statement that changes the table's rows it stands for the table.
    pub(crate) alone: String,
}

/// The names of columns and types in one warehouse, and the ways of values from one type to another. Each warehouse
/// has one such value, in its own folder.
#[derive(Debug)]
pub(crate) struct Dialect {
    pub(crate) type_name: fn(ColumnType) -> &'static str,
    /// The narrowest [`ColumnType`] that holds every value of a type the warehouse knows; types that no merge
    /// creates may occur, since tables can be changed by hand.
    pub(crate) column_type: fn(&str) -> ColumnType,
    /// The name that a column gets. Names that differ in case alone get names that differ in case alone, or the same.
    pub(crate) column_name: fn(&str) -> String,
    /// An expression of a type as text. A value's text is the same whichever way its column was widened, and in all
    /// warehouses: a whole double is written like an integer, up to 2^53, and midnight UTC like a day. Other doubles have
    /// the fewest digits that tell them from their neighbours, and from 1e15 up and below 1e-4 an exponent of two digits
    /// or more. NULL stays NULL.
    pub(crate) text_of: fn(&str, ColumnType) -> String,
    /// An expression of a type as the text that is hashed: [`Dialect::text_of`], or what that was when the hashes of
    /// histories that are there were made.
    pub(crate) hashed_text_of: fn(&str, ColumnType) -> String,
    /// An expression of the first type as the second one, which is wider and not text. No value fails.
    pub(crate) cast: fn(&str, ColumnType, ColumnType) -> String,
    /// The MD5 of some texts, NULL among them; where one text ends and the next begins counts.
    pub(crate) md5_of: fn(&[String]) -> String,
    /// A time before all others.
    pub(crate) lowest_time: &'static str,
    /// An instant as a text that becomes it in a cast: [`rfc3339`], where nothing else is wanted.
    pub(crate) time_text: fn(DateTime<Utc>) -> String,
    /// The name that a schema or a table gets.
    pub(crate) identifier: fn(&str) -> String,
    /// An `ALTER TABLE` takes several actions, and rewrites the table once for all of them.
    pub(crate) alters_at_once: bool,
    /// All statements of a merge are one transaction, and no other merge can come in between. Where it is not so, each
    /// statement is one, what it changes depends on nothing that another merge could have changed meanwhile, and any
    /// of them may be the last.
    pub(crate) is_transactional: bool,
    /// A text may be as long as all texts of a row together.
    pub(crate) holds_whole_rows: bool,
    /// The name of the column beside one whose type can't be changed to this one. `None` where any type can be changed.
    pub(crate) beside: fn(&str, ColumnType) -> Option<String>,
    /// A text as a literal. [`quote_literal`] where nothing but `'` means anything in one.
    pub(crate) literal: fn(&str) -> String,
    /// An expression that fails with these words. `None`: a cast of the words to a number does.
    pub(crate) raise: Option<fn(&str) -> String>,
    /// `None`: an expression may have as many columns as a statement has room for.
    pub(crate) small_expressions: Option<SmallExpressions>,
}

/// The way to the MD5 of many texts where an expression has no room for all of them.
#[derive(Debug)]
pub(crate) struct SmallExpressions {
    /// Most bytes of SQL for texts of columns in one expression.
    pub(crate) bytes: usize,
    /// Some of the texts as one. The MD5 of such texts, one behind the other, is [`Dialect::md5_of`] all of them.
    pub(crate) digests: fn(&[String]) -> String,
    pub(crate) md5: fn(&str) -> String,
}

impl Dialect {
    pub(crate) fn create_table(&self, table: &str, columns: &[Column]) -> String {
        let columns: Vec<String> = columns.iter().map(|column| self.definition(column)).collect();
        format!("CREATE TABLE {table} ({})", columns.join(", "))
    }

    pub(crate) fn alter_table(&self, table: &str, actions: &[String]) -> Vec<String> {
        let alter = |actions: &[String]| format!("ALTER TABLE {table} {}", actions.join(", "));
        actions.chunks(if self.alters_at_once { usize::MAX } else { 1 }).map(alter).collect()
    }

    pub(crate) fn add_column(&self, column: &Column) -> String {
        format!("ADD COLUMN {}", self.definition(column))
    }

    pub(crate) fn widen(&self, widening: &Widening) -> String {
        let column = quote_identifier(&widening.column);
        format!(
            "ALTER COLUMN {column} TYPE {} USING {}",
            (self.type_name)(widening.to),
            self.converted(&column, widening.from, widening.to)
        )
    }

    /// `expression` of type `from` as a `to`, which is [`ColumnType::widened`] of `from` and something.
    pub(crate) fn converted(&self, expression: &str, from: ColumnType, to: ColumnType) -> String {
        match to {
            same if same == from => expression.to_owned(),
            ColumnType::Text | ColumnType::Json => (self.text_of)(expression, from),
            ColumnType::BigInt
            | ColumnType::Double
            | ColumnType::Boolean
            | ColumnType::Date
            | ColumnType::Timestamp => (self.cast)(expression, from, to),
        }
    }

    /// NULL as the lowest of times.
    pub(crate) fn or_lowest(&self, time: &str) -> String {
        format!("coalesce({time}, {})", self.lowest_time)
    }

    fn definition(&self, column: &Column) -> String {
        format!("{} {}", quote_identifier(&column.name), (self.type_name)(column.column_type))
    }

    /// The two tables that every schema has besides its collections.
    pub(crate) fn create_bookkeeping(&self, account: &str, ledger: &str) -> [String; 2] {
        let create = |table: &str, columns: &[(&str, ColumnType)]| {
            let column = |(name, column_type): &(&str, ColumnType)| {
                format!("{} {} NOT NULL", self.quoted(name), (self.type_name)(*column_type))
            };
            let columns: Vec<String> = columns.iter().map(column).collect();
            format!("CREATE TABLE IF NOT EXISTS {table} ({})", columns.join(", "))
        };
        [create(account, &ACCOUNT_COLUMNS), create(ledger, &LEDGER_COLUMNS)]
    }

    /// The column of this name of ours.
    pub(crate) fn find<'a>(&self, columns: &'a [TableColumn], name: &str) -> Option<&'a TableColumn> {
        let name = folded(&(self.column_name)(name));
        columns.iter().find(|column| folded(&column.name) == name)
    }

    /// The name that a column of ours gets, quoted: some engines reserve words that others don't.
    pub(crate) fn quoted(&self, name: &str) -> String {
        quote_identifier(&(self.column_name)(name))
    }
}

/// The one function that quotes identifiers: `"` doubled inside `"`, as the SQL standard has it. Any text but the
/// empty one and one with NUL is a legal name.
pub fn quote_identifier(name: &str) -> String {
    quote_identifier_with('"', name)
}

/// [`quote_identifier`] for engines that quote with another character.
pub fn quote_identifier_with(quote: char, name: &str) -> String {
    let doubled: String = [quote, quote].iter().collect();
    format!("{quote}{}{quote}", name.replace(quote, &doubled))
}

/// Returns a name that is too long as its beginning and a hash of all of it, in lower case; any other as it is.
pub fn shortened(name: &str, max_bytes: usize) -> String {
    if name.len() <= max_bytes { name.to_owned() } else { hashed_within(&name.to_lowercase(), max_bytes) }
}

/// Quotes text values as the SQL standard has it: `'` doubled inside `'`.
pub(crate) fn quote_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A time as a value of a statement.
pub(crate) fn instant(dialect: &Dialect, ms: i64) -> String {
    let time = DateTime::from_timestamp_millis(ms).unwrap_or_default();
    let text = (dialect.literal)(&(dialect.time_text)(time));
    format!("CAST({text} AS {})", (dialect.type_name)(ColumnType::Timestamp))
}

pub(crate) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The same where a backslash means something in a text.
pub(crate) fn escaped_literal(text: &str) -> String {
    quote_literal(&text.replace('\\', "\\\\"))
}

/// Quotes text values where a backslash stands before what would end a literal or a line, and `''` need not mean `'`.
pub(crate) fn backslashed_literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('\'');
    for character in text.chars() {
        match character {
            '\\' => literal.push_str("\\\\"),
            '\'' => literal.push_str("\\'"),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            other => literal.push(other),
        }
    }
    literal.push('\'');
    literal
}

/// Returns a statement with its names, which [`quote_identifier`] quoted, in backticks. Its literals are of
/// [`backslashed_literal`].
pub(crate) fn in_backticks(sql: &str) -> String {
    let mut spelled = String::with_capacity(sql.len() + 16);
    let mut rest = sql.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '"' => {
                let mut name = String::new();
                while let Some(character) = rest.next() {
                    match character {
                        '"' if rest.next_if_eq(&'"').is_none() => break,
                        other => name.push(other),
                    }
                }
                spelled.push_str(&quote_identifier_with('`', &name));
            }
            '\'' => {
                spelled.push(character);
                let mut is_escaped = false;
                for character in rest.by_ref() {
                    spelled.push(character);
                    match character {
                        '\'' if !is_escaped => break,
                        _ => is_escaped = character == '\\' && !is_escaped,
                    }
                }
            }
            other => spelled.push(other),
        }
    }
    spelled
}

/// Each text has a digest of its own: all of them together may be longer than a text can be.
pub(crate) fn md5_of_digests(texts: &[String]) -> String {
    let digests: Vec<String> = texts.iter().map(|text| format!("nvl(md5({text}), '-')")).collect();
    match digests.is_empty() {
        true => "md5('')".to_owned(),
        false => format!("md5({})", digests.join(" || ")),
    }
}

/// Length of the hash that tells names apart which can't be had as they are.
pub(crate) const HASH_DIGITS: usize = 12;

/// The beginning of a folded name and a hash of all of it, within so many bytes.
pub(crate) fn hashed_within(folded: &str, max_bytes: usize) -> String {
    let mut end = folded.len().min(max_bytes - HASH_DIGITS - 1);
    while !folded.is_char_boundary(end) {
        end -= 1;
    }
    with_hash(&folded[..end], folded)
}

/// The rest of a folded name, and a hash of all of it.
pub(crate) fn with_hash(start: &str, folded: &str) -> String {
    let hash = xxh3_64(folded.as_bytes()) >> (64 - 4 * HASH_DIGITS);
    format!("{start}_{hash:0digits$x}", digits = HASH_DIGITS)
}

/// Refuses the names that no quoting makes legal. `what` says whose name it is.
pub(crate) fn check_identifier(what: &str, name: &str) -> Result<()> {
    if name.is_empty() || name.contains('\0') {
        let message = format!("{what} name {name:?} is not legal: it must not be empty or contain NUL");
        return Err(Error::new(Kind::Unsupported, message));
    }
    Ok(())
}

/// Checks the types of a dialect: what it writes is read back, JSON is text, and so is a type of nobody.
#[cfg(test)]
pub(crate) fn assert_types_are_read_back(dialect: &Dialect) {
    use ColumnType::{BigInt, Boolean, Date, Double, Json, Text, Timestamp};
    let read_back = |written| (dialect.column_type)((dialect.type_name)(written));
    for written in [Text, BigInt, Double, Boolean, Date, Timestamp] {
        assert_eq!(read_back(written), written);
    }
    assert_eq!(read_back(Json), Text);
    assert_eq!((dialect.column_type)("a type of nobody"), Text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_in_names_are_doubled() {
        assert_eq!(quote_identifier(r#"a"b""#), r#""a""b""""#);
        assert_eq!(quote_identifier_with('`', "a`b"), "`a``b`");
        assert_eq!(quote_literal("it's"), "'it''s'");
        assert_eq!(escaped_literal(r"it's \n"), r"'it''s \\n'");
        assert_eq!(backslashed_literal("it's \\ \r\n"), r"'it\'s \\ \r\n'");
    }

    #[test]
    fn names_are_in_backticks_and_literals_stay() {
        let literal = backslashed_literal("it's \\ \"x\"\n");
        let sql = format!("DELETE FROM \"a\".{} WHERE \"c\" = {literal}", quote_identifier("b\"`"));
        assert_eq!(in_backticks(&sql), r#"DELETE FROM `a`.`b"``` WHERE `c` = 'it\'s \\ "x"\n'"#);
        assert_eq!(in_backticks(r#"SELECT 'a\\', "b", '"'"#), r#"SELECT 'a\\', `b`, '"'"#);
    }
}
