//! The statements of a merge as text, for golden files.

use chrono::DateTime;
use staging::ColumnType;
use uuid::Uuid;

use super::engine::{Engine, Limits, views};
use super::schema::Schema;
use super::sql::Ties;
use super::target::{Moment, Target};
use crate::adopt;
use crate::catalog::Present;
use crate::dialect::quote_identifier;
use crate::history::VALID_TO;
use crate::kept_views::{VIEWS, Wanted, columns_of_views, note};
use crate::statement::Statement;
use crate::table::TableColumn;
use crate::{Ledger, LeftOver, LocatedFile, TableMode};

/// All statements of a merge of one file into a table with these columns, for golden files.
pub(super) fn statements<E: Engine>(
    schema: &Schema<E>,
    file: &LocatedFile,
    columns: Option<&[(&str, &str)]>,
) -> Vec<String> {
    let column = |&(name, type_name): &(&str, &str)| TableColumn {
        name: name.to_owned(),
        type_name: type_name.to_owned(),
    };
    let present = Present {
        deleted: None,
        history: None,
        account: columns.map(|_| 42),
        has_ledger: columns.is_some(),
        ledger: Ledger::default(),
        columns: columns.map(|columns| columns.iter().map(column).collect()),
    };
    let moment = Moment { id: Uuid::nil(), now: DateTime::UNIX_EPOCH };
    let collection = &file.description.table.collection;
    let target = Target::of(schema, collection, &present, TableMode::default(), moment, vec![file]).unwrap();
    let merges = target.merges().unwrap();
    let mut script = target.read(&target.plan.groups[0], &target.scratch[0]).unwrap();
    script.extend([merges[0].count_staged(), merges[0].count_keys()].map(Statement::count));
    script.extend(target.present_key().map(|present| Statement::count(merges[0].count_present(present))));
    script.extend(target.script(&merges, &[Ties { in_files: true, with_table: true }]));
    let limits = schema.engine.limits();
    script.extend(merges[0].write_changed(Limits { statement_bytes: 600, ..limits }));
    script.extend(merges[0].write_changed(Limits { merged_columns: 0, ..limits }));
    script.into_iter().map(|statement| statement.sql).collect()
}

/// The statements about a table that another program made, with columns of these types beside its id.
pub(super) fn adopt_statements<E: Engine>(schema: &Schema<E>, types: &[&str]) -> Vec<String> {
    let (dialect, name) = (schema.engine.dialect(), &schema.name);
    let column = |name: String, type_name: &str| TableColumn { name, type_name: type_name.to_owned() };
    let text = (dialect.type_name)(ColumnType::Text);
    let columns = types.iter().enumerate().map(|(n, type_name)| column(format!("it's {n}"), type_name));
    let present: Vec<TableColumn> = [column("Id".to_owned(), text)].into_iter().chain(columns).collect();
    let held = [column((dialect.column_name)("id"), (dialect.type_name)(ColumnType::BigInt))];
    let [table, aside] = ["contacts", "contacts_of_segment"].map(|table| name.table_name(table));
    let wanted = LeftOver {
        table: "contacts_of_segment".to_owned(),
        held_by: "contacts".to_owned(),
        key: vec![("Id".to_owned(), "id".to_owned())],
        columns: present[1..].iter().map(|column| column.name.clone()).collect(),
        after: Some(r"it's \n".to_owned()),
        most: 500,
    };
    let quoted = [aside.qualified.as_str(), table.qualified.as_str()];
    vec![
        views(&schema.engine, &name.name, &["contacts", "deals"]),
        schema.engine.rename_table(&table, &aside).unwrap(),
        adopt::select(dialect, quoted, [&present, &held], &wanted).unwrap(),
        adopt::count_keyless(&aside.qualified, &present, &["Id"]).unwrap(),
    ]
}

/// The statements that keep a view, from none of it on.
pub(super) fn view_statements<E: Engine>(schema: &Schema<E>) -> Vec<String> {
    let (engine, target) = (&schema.engine, schema.name.other("hubspot_fivetran"));
    let dialect = engine.dialect();
    let id = quote_identifier(&(dialect.column_name)("id"));
    let query = format!("SELECT t.{id} AS {id} FROM {} AS t\n/* i */", engine.in_view(&schema.name, "deals"));
    let view = Wanted { name: "deal".to_owned(), query };
    let name = target.table(&view.name);
    let mut statements = vec![
        engine.create_schema(&target.quoted()),
        engine.create_table(&schema.name.table(VIEWS), &[], &columns_of_views(dialect)),
    ];
    statements.extend(engine.patience_with_readers());
    statements.push(engine.create_view(&name, &view.query));
    statements.push(engine.replace_view(&name, &view.query));
    statements.dedup();
    statements.extend(engine.drop_and_create_view(&name, &view.query).unwrap_or_default());
    statements.extend(note(&schema.name, &target, &view));
    statements
}

/// The statements that change anything, where one file is merged into a table that is kept without its deleted rows and
/// with its past: into none; into one with these columns whose other tables lack some; and what is done ahead when that
/// begins or ends.
pub(super) fn mode_statements<E: Engine>(
    schema: &Schema<E>,
    file: &LocatedFile,
    columns: &[(&str, &str)],
) -> Vec<String> {
    let table: Vec<TableColumn> = columns
        .iter()
        .map(|&(name, type_name)| TableColumn { name: name.to_owned(), type_name: type_name.to_owned() })
        .collect();
    let key = table[..1].to_vec();
    let dialect = schema.engine.dialect();
    let time = (dialect.type_name)(ColumnType::Timestamp).to_owned();
    let valid_to = TableColumn { name: (dialect.column_name)(VALID_TO), type_name: time };
    let history = [key.clone(), vec![valid_to]].concat();
    let (all, none) = (TableMode { hard_delete: true, history: true }, TableMode::default());
    let cases = [
        ("into no table", all, None, None, None),
        ("into a table", all, Some(table.clone()), Some(key.clone()), Some(history)),
        ("a history begins", all, Some(table.clone()), Some(key.clone()), None),
        ("hard deletes end", none, Some(table), Some(key), None),
    ];
    let mut texts = Vec::new();
    for (case, mode, columns, deleted, history) in cases {
        let is_there = columns.is_some();
        let present = Present {
            account: is_there.then_some(42),
            has_ledger: is_there,
            ledger: Ledger::default(),
            columns,
            deleted,
            history,
        };
        let moment = Moment { id: Uuid::nil(), now: DateTime::UNIX_EPOCH };
        let collection = &file.description.table.collection;
        let target = Target::of(schema, collection, &present, mode, moment, vec![file]).unwrap();
        let script = match target.mode_change().unwrap() {
            Some(ahead) => [ahead.together.concat(), ahead.then].concat(),
            None => target.script(&target.merges().unwrap(), &[Ties { in_files: false, with_table: false }]),
        };
        texts.push(format!("-- {case}"));
        texts.extend(script.into_iter().map(|statement| statement.sql));
    }
    texts
}

/// The statements that forget two persons, in a table with columns of these types that hold ids and addresses.
pub(super) fn erase_statements<E: Engine>(schema: &Schema<E>, types: &[&str]) -> Vec<String> {
    let names = ["id", "merged_vids", "email", "more", "cc", "object", "vids"];
    let present: Vec<TableColumn> = names
        .iter()
        .zip(types)
        .map(|(name, type_name)| TableColumn { name: (*name).to_owned(), type_name: (*type_name).to_owned() })
        .collect();
    let mut person = staging::Person::default();
    person.ids.extend([7, 12]);
    person.add_address("it's\\@x.com");
    let columns =
        "contacts! id# merged_vids[# email@ more;@ cc[@ object=contacts&id# vids-#".parse().unwrap();
    let erase = crate::Erase { columns, person, pseudonyms: None, is_dry_run: false };
    let table = schema.name.table("contacts");
    let it = crate::erase::TableErase::new(schema.engine.dialect(), ("contacts", &table), &present, &erase);
    let stay = crate::Erase {
        columns: "email_events email@ cc[@ object-@ more!".parse().unwrap(),
        pseudonyms: Some(staging::Pseudonyms::new(&erase.person.addresses, |_| {
            "0a@forgotten.invalid".into()
        })),
        ..erase
    };
    let table = schema.name.table("email_events");
    let stays =
        crate::erase::TableErase::new(schema.engine.dialect(), ("email_events", &table), &present, &stay);
    it.pairs().chain(stays.pairs()).flat_map(|[write, count]| [count.clone(), write.clone()]).collect()
}
