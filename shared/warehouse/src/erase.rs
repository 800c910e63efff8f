//! Rows of persons who are to be forgotten: found in a collection's table and the tables beside it, and deleted. A row
//! about something else that names such a person in a list stays, without the id; and one that is known by an address
//! alone may stay under a pseudonym.

use std::collections::BTreeSet;

use staging::{ColumnType, Holds, Person, PersonColumn, PersonColumns, Pseudonyms, snapshot_name};

use crate::catalog::Catalog;
use crate::dialect::{Dialect, instant, quote_identifier};
use crate::error::Result;
use crate::mode::{deleted_table, history_table};
use crate::table::TableColumn;
use crate::transaction::Transaction;
use crate::warehouse::{Erase, Erased};

/// Errors show how a statement begins. What it says of persons comes behind that.
const BEGINNING: &str =
    "/* rows of persons who are to be forgotten; errors show no more of this statement */";
/// Ids or addresses in one statement: engines limit its length.
const NAMED: usize = 50;
/// Ids that one expression takes out of lists: engines limit how deep it may be.
const AT_ONCE: usize = 10;

/// The statements for one table.
#[derive(Debug)]
pub(crate) struct TableErase {
    pub(crate) table: String,
    /// Each with the statement that counts its rows.
    deletes: Vec<[String; 2]>,
    changes: Vec<[String; 2]>,
    /// Reads the columns of the rows: their places in [`staging::PersonColumns::columns`], and the query.
    reads: Vec<(Vec<usize>, String)>,
}

/// Names of the tables that hold rows of a collection.
pub(crate) fn tables_of(collection: &str) -> [String; 4] {
    [collection.to_owned(), deleted_table(collection), history_table(collection), snapshot_name(collection)]
}

impl TableErase {
    /// `present` are the columns that the table has. `qualified` is quoted.
    pub(crate) fn new(
        dialect: &Dialect,
        (table, qualified): (&str, &str),
        present: &[TableColumn],
        erase: &Erase,
    ) -> TableErase {
        let mut it = TableErase {
            table: table.to_owned(),
            deletes: Vec::new(),
            changes: Vec::new(),
            reads: Vec::new(),
        };
        let found = |column: &PersonColumn| dialect.find(present, &column.name);
        // A version of the past has a hash of what it was, which would tell an address: it goes.
        let is_past = table == history_table(&erase.columns.collection);
        let pseudonyms = erase.pseudonyms.as_ref().filter(|_| erase.columns.may_stay() && !is_past);
        let (places, names): (Vec<usize>, Vec<String>) = (erase.columns.columns.iter().enumerate())
            .filter(|(_, column)| column.holds.names())
            .filter_map(|(place, column)| Some((place, quote_identifier(&found(column)?.name))))
            .unzip();
        for part in parts(&erase.person) {
            let is_telling = |holds: Holds| holds.names() || is_past && holds == Holds::MentionedAddress;
            let conditions: Vec<String> = (erase.columns.columns.iter())
                .filter(|column| is_telling(column.holds))
                .filter_map(|column| condition(dialect, present, column, &part))
                .collect();
            if let (false, Some(in_time)) = (conditions.is_empty(), in_time(dialect, present, &erase.columns))
            {
                let from = format!("FROM {qualified} WHERE ({}){in_time}", conditions.join(" OR "));
                match pseudonyms {
                    Some(pseudonyms) => it.changes.extend(pseudonymise(
                        dialect,
                        (qualified, present),
                        (&erase.columns.columns, &in_time),
                        (&part, pseudonyms),
                    )),
                    None => it.deletes.push([
                        format!("DELETE {BEGINNING} {from}"),
                        format!("SELECT {BEGINNING} count(*) {from}"),
                    ]),
                }
                it.reads.push((places.clone(), format!("SELECT {BEGINNING} {} {from}", names.join(", "))));
            }
            if !is_past {
                it.changes.extend(without_addresses(dialect, (qualified, present), &erase.columns, &part));
            }
            let mentions = erase.columns.columns.iter().filter(|column| column.holds == Holds::Mention);
            for column in mentions.filter_map(found) {
                let name = quote_identifier(&column.name);
                let ids: Vec<u64> = part.ids.iter().copied().collect();
                for ids in ids.chunks(AT_ONCE) {
                    let without = ids.iter().fold(name.clone(), |text, id| without_id(dialect, &text, *id));
                    let changed = format!("{without} <> {name}");
                    it.changes.push(update(qualified, &format!("{name} = {without}"), &changed));
                }
            }
        }
        it
    }

    /// Pairs of a statement that changes rows, and one that counts them.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = &[String; 2]> {
        self.deletes.iter().chain(&self.changes)
    }

    /// Sums up the counts of [`TableErase::pairs`].
    pub(crate) fn erased(&self, counts: &[u64]) -> Erased {
        let (deleted, changed) = counts.split_at(counts.len().min(self.deletes.len()));
        Erased { table: self.table.clone(), rows: deleted.iter().sum(), changed: changed.iter().sum() }
    }
}

/// Statements that put pseudonyms in the place of addresses, each with one that counts the rows. Lists that name the person
/// go as a whole: engines differ in how they change a part of one.
fn pseudonymise(
    dialect: &Dialect,
    (qualified, present): (&str, &[TableColumn]),
    (columns, in_time): (&[PersonColumn], &str),
    (person, pseudonyms): (&Person, &Pseudonyms),
) -> Vec<[String; 2]> {
    let holding = |wanted: &'static [Holds]| {
        let columns = columns.iter().filter(|column| wanted.contains(&column.holds));
        columns.filter_map(|column| Some((column, dialect.find(present, &column.name)?)))
    };
    let emptied = holding(&[Holds::JsonAddresses, Holds::MentionedAddress, Holds::Detail]);
    let null = |found: &TableColumn| emptied_column(dialect, found);
    let emptied: String = emptied.map(|(_, found)| format!(", {}", null(found))).collect();
    let statement = |change: String, which: String| update(qualified, &change, &format!("{which}{in_time}"));
    let literal = |text: &str| (dialect.literal)(text);
    let (mut statements, mut of_others) = (Vec::new(), String::new());
    for (column, found) in holding(&[Holds::Address]) {
        let Some(theirs) = condition(dialect, present, column, person) else { continue };
        let name = quote_identifier(&found.name);
        let text = (dialect.text_of)(&name, (dialect.column_type)(&found.type_name));
        let when = |address: &String| {
            Some(format!(" WHEN {} THEN {}", literal(address), literal(pseudonyms.of(address)?)))
        };
        let when: String = person.addresses.iter().filter_map(when).collect();
        of_others.push_str(&format!(" AND CASE WHEN {theirs} THEN 0 ELSE 1 END = 1"));
        statements.push(statement(
            format!("{name} = CASE lower(trim({text})){when} ELSE {text} END{emptied}"),
            theirs,
        ));
    }
    for (column, found) in holding(&[Holds::JsonAddresses]) {
        let Some(named) = condition(dialect, present, column, person) else { continue };
        statements.push(statement(null(found), format!("{named}{of_others}")));
    }
    statements
}

/// Statements that take addresses out of rows of others.
fn without_addresses(
    dialect: &Dialect,
    (qualified, present): (&str, &[TableColumn]),
    columns: &PersonColumns,
    person: &Person,
) -> Vec<[String; 2]> {
    let mentioned = columns.columns.iter().filter(|column| column.holds == Holds::MentionedAddress);
    let statements = mentioned.filter_map(|column| {
        let emptied = emptied_column(dialect, dialect.find(present, &column.name)?);
        let which = condition(dialect, present, column, person)?;
        Some(update(qualified, &emptied, &which))
    });
    statements.collect()
}

/// A statement that changes rows, and one that counts them.
fn update(qualified: &str, change: &str, which: &str) -> [String; 2] {
    [
        format!("UPDATE {BEGINNING} {qualified} SET {change} WHERE {which}"),
        format!("SELECT {BEGINNING} count(*) FROM {qualified} WHERE {which}"),
    ]
}

fn emptied_column(dialect: &Dialect, found: &TableColumn) -> String {
    let type_name = (dialect.type_name)((dialect.column_type)(&found.type_name));
    format!("{} = CAST(NULL AS {type_name})", quote_identifier(&found.name))
}

/// The condition that a row tells of something that happened before the person was gone, where that matters; `None`: the
/// table does not say when it happened.
fn in_time(dialect: &Dialect, present: &[TableColumn], columns: &PersonColumns) -> Option<String> {
    let is_id = |column: &PersonColumn| matches!(column.holds, Holds::Id | Holds::Ids);
    let until_ms = columns.until_ms.filter(|_| !columns.columns.iter().any(is_id));
    let Some(until_ms) = until_ms else { return Some(String::new()) };
    let time = columns.columns.iter().find(|column| column.holds == Holds::Time)?;
    let found = dialect.find(present, &time.name)?;
    let is_time = (dialect.column_type)(&found.type_name) == ColumnType::Timestamp;
    is_time.then(|| format!(" AND {} < {}", quote_identifier(&found.name), instant(dialect, until_ms)))
}

/// Parts of the ids and addresses of which a statement has room for one.
fn parts(person: &Person) -> Vec<Person> {
    let ids: Vec<u64> = person.ids.iter().copied().collect();
    let addresses: Vec<&String> = person.addresses.iter().collect();
    let (mut ids, mut addresses) = (ids.chunks(NAMED), addresses.chunks(NAMED));
    let mut parts = Vec::new();
    // Together, so that no row is counted for its id and once more for its address.
    loop {
        let (of_ids, of_addresses) = (ids.next(), addresses.next());
        if of_ids.is_none() && of_addresses.is_none() {
            return parts;
        }
        parts.push(Person {
            ids: of_ids.unwrap_or_default().iter().copied().collect(),
            addresses: of_addresses.unwrap_or_default().iter().map(|&address| address.clone()).collect(),
        });
    }
}

/// The condition under which a column names the person; `None`: the table has no such column, or it can't.
fn condition(
    dialect: &Dialect,
    present: &[TableColumn],
    column: &PersonColumn,
    person: &Person,
) -> Option<String> {
    let found = dialect.find(present, &column.name)?;
    let (name, column_type) = (quote_identifier(&found.name), (dialect.column_type)(&found.type_name));
    let literals = |texts: &mut dyn Iterator<Item = String>| {
        texts.map(|text| (dialect.literal)(&text)).collect::<Vec<_>>().join(", ")
    };
    let text = (dialect.text_of)(&name, column_type);
    let any = |names: Vec<String>| match names.is_empty() {
        true => None,
        false => Some(names.join(" OR ")),
    };
    let named = match column.holds {
        Holds::Id if person.ids.is_empty() => None,
        Holds::Id if column_type == ColumnType::BigInt => {
            let ids: Vec<String> = person.ids.iter().map(u64::to_string).collect();
            Some(format!("{name} IN ({})", ids.join(", ")))
        }
        Holds::Id => Some(format!("{text} IN ({})", literals(&mut person.ids.iter().map(u64::to_string)))),
        Holds::Ids => any(person
            .ids
            .iter()
            .map(|id| format!("{} <> {text}", without_id(dialect, &text, *id)))
            .collect()),
        Holds::Address | Holds::MentionedAddress if person.addresses.is_empty() => None,
        Holds::Address | Holds::MentionedAddress => {
            Some(format!("lower(trim({text})) IN ({})", literals(&mut person.addresses.iter().cloned())))
        }
        Holds::SeparatedAddresses => {
            let padded = format!("replace(lower((';' || {text} || ';')), ' ', '')");
            let within = |address: &String| contains(dialect, &padded, &format!(";{address};"));
            any(person.addresses.iter().map(within).collect())
        }
        Holds::JsonAddresses => {
            let within =
                |address: &String| contains(dialect, &format!("lower({text})"), &format!("\"{address}\""));
            any(person.addresses.iter().map(within).collect())
        }
        Holds::Mention | Holds::Time | Holds::Detail => None,
    }?;
    match &column.only_where {
        None => Some(format!("({named})")),
        Some((other, value)) => {
            let other = quote_identifier(&dialect.find(present, other)?.name);
            Some(format!("({other} = {} AND ({named}))", (dialect.literal)(value)))
        }
    }
}

/// Every engine has `replace`; they search by functions of different names.
fn contains(dialect: &Dialect, text: &str, part: &str) -> String {
    format!("replace({text}, {}, '') <> {text}", (dialect.literal)(part))
}

/// The text of a JSON list of ids, without one of them.
fn without_id(dialect: &Dialect, text: &str, id: u64) -> String {
    let replacements = [
        (format!("[{id}]"), "[]"),
        (format!("[{id},"), "["),
        (format!(",{id},"), ","),
        (format!(",{id}]"), "]"),
    ];
    replacements.iter().fold(text.to_owned(), |text, (from, to)| {
        format!("replace({text}, {}, {})", (dialect.literal)(from), (dialect.literal)(to))
    })
}

/// The statements for each table of the collection that exists.
pub(crate) async fn look<C: Catalog + ?Sized>(catalog: &mut C, erase: &Erase) -> Result<Vec<TableErase>> {
    let tables = tables_of(&erase.columns.collection);
    let names = tables.each_ref().map(String::as_str);
    let found = catalog.columns_of(&names).await?;
    let schema = catalog.schema();
    let of = |(table, present): (&&str, Option<Vec<TableColumn>>)| {
        Some(TableErase::new(schema.dialect, (table, &schema.table(table)), &present?, erase))
    };
    Ok(names.iter().zip(found).filter_map(of).collect())
}

/// Adds the ids and addresses in rows of the person.
pub(crate) async fn identify<C: Catalog + ?Sized>(catalog: &mut C, erase: &Erase) -> Result<Person> {
    let mut person = erase.person.clone();
    let mut seen: BTreeSet<(usize, String)> = BTreeSet::new();
    for table in look(catalog, erase).await? {
        for (places, sql) in &table.reads {
            for row in catalog.query(sql).await? {
                for (&place, text) in places.iter().zip(row) {
                    let (Some(text), Some(column)) = (text, erase.columns.columns.get(place)) else {
                        continue;
                    };
                    if seen.insert((place, text.clone())) {
                        person.add(column.holds, &text);
                    }
                }
            }
        }
    }
    Ok(person)
}

/// Does the work of [`crate::Warehouse::erase`].
pub(crate) async fn erase(transaction: &mut dyn Transaction, erase: &Erase) -> Result<Vec<Erased>> {
    let schema = transaction.schema().clone();
    transaction.take_turn(&format!("{}.{}", schema.name, erase.columns.collection)).await?;
    let mut erased = Vec::new();
    for table in look(transaction, erase).await? {
        let mut counts = Vec::new();
        for [write, count] in table.pairs() {
            counts.push(match erase.is_dry_run {
                true => transaction.count(count).await?,
                false => transaction.write(write).await?,
            });
        }
        erased.push(table.erased(&counts));
    }
    transaction.commit().await?;
    Ok(erased)
}
