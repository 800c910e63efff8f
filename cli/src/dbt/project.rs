//! The files of the project, as texts by their paths.

use std::collections::BTreeMap;
use std::fmt::Write;

use compat::{Dialect, Selected, select, views};

use super::known::Known;
use super::sources::{SOURCE, sources};
use super::yaml::scalar;

/// Prefix of the models' names, which a project has to have once only. The views are called without it.
const PREFIX: &str = "hubspot_fivetran__";

const PROJECT: &str = "\
# Written by hubspot-source dbt, which writes it anew. Your own models belong into a project of their own, with this one
# as a package:   packages: [{local: ../this/folder}]
name: hubspot_tables
version: '1.0.0'
config-version: 2
require-dbt-version: '>=1.10.5'
profile: hubspot_source
model-paths: [models]
test-paths: [tests]
macro-paths: [macros]
";

/// A key of several columns.
const UNIQUE_TOGETHER: &str = "\
{# Rows that have the same values in all of these columns, which are quoted. #}
{% test unique_together(model, columns) %}
select {{ columns | join(', ') }}, count(*) as n
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
";

/// Without it, dbt would put the target's schema before the one that the views are to be in.
const SCHEMA_NAME: &str = "\
{% macro generate_schema_name(custom_schema_name, node) %}
{{ target.schema if custom_schema_name is none else custom_schema_name | trim }}
{% endmacro %}
";

/// A project.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) files: BTreeMap<String, String>,
    /// Names of the views, and what each lacks.
    pub(crate) views: Vec<Selected>,
}

/// The places of tables and views.
#[derive(Debug)]
pub(crate) struct Places<'a> {
    pub(crate) schema: &'a str,
    /// Schema of the views. `None`: there is no dialect for them.
    pub(crate) compat: Option<&'a str>,
    /// The database, where the schema's name alone would mean either.
    pub(crate) database: Option<&'a str>,
}

/// Returns the project.
pub(crate) fn project(known: &Known, dialect: &Dialect, places: &Places<'_>) -> Project {
    let mut files = BTreeMap::new();
    let mut settings = PROJECT.to_owned();
    files.insert("models/sources.yml".to_owned(), sources(known, dialect, places.schema));
    files.insert("tests/generic/unique_together.sql".to_owned(), UNIQUE_TOGETHER.to_owned());
    let mut selected = Vec::new();
    if let Some(compat) = places.compat {
        // Writing to a string does not fail.
        let _ = writeln!(
            settings,
            "models:\n  hubspot_tables:\n    compat:\n      +schema: {}\n      +materialized: view",
            scalar(compat)
        );
        files.insert("macros/generate_schema_name.sql".to_owned(), SCHEMA_NAME.to_owned());
        let source = |table: &str| format!("{{{{ source('{SOURCE}', '{table}') }}}}");
        selected = views().map(|view| select(view, &known.tables, known, dialect, &source)).collect();
        for it in &selected {
            let path = format!("models/compat/{PREFIX}{}.sql", it.view.name);
            files.insert(path, format!("{{{{ config(alias='{}') }}}}\n{}\n", it.view.name, it.sql));
        }
        files.insert("models/compat/compat.yml".to_owned(), models(&selected));
        files.insert("compat/fivetran.sql".to_owned(), script(known, dialect, places, compat));
    }
    files.insert("dbt_project.yml".to_owned(), settings);
    Project { files, views: selected }
}

/// Describes the models of the views.
fn models(selected: &[Selected]) -> String {
    let mut text = "# Written by hubspot-source dbt, which writes it anew.\nversion: 2\nmodels:\n".to_owned();
    for it in selected {
        let _ = writeln!(
            text,
            "  - name: {PREFIX}{}\n    description: {}\n    columns:",
            it.view.name,
            scalar(it.view.about)
        );
        for column in &it.columns {
            let (name, description) = (scalar(&column.name), scalar(&column.description));
            let _ = writeln!(text, "      - name: {name}\n        description: {description}");
        }
    }
    text
}

/// The same views for those who don't run dbt.
fn script(known: &Known, dialect: &Dialect, places: &Places<'_>, compat: &str) -> String {
    let compat = dialect.quoted(compat);
    let relation = |table: &str| {
        let path = places.database.into_iter().chain([places.schema, table]);
        path.map(|name| dialect.quoted(name)).collect::<Vec<_>>().join(".")
    };
    let mut script = format!(
        "-- Written by hubspot-source dbt, which writes it anew.\nCREATE SCHEMA IF NOT EXISTS {compat};\n"
    );
    for view in views() {
        let selected = select(view, &known.tables, known, dialect, &relation);
        let name = dialect.quoted(view.name);
        let _ = write!(
            script,
            "\n-- {}\nCREATE OR REPLACE VIEW {compat}.{name} AS\n{};\n",
            view.about, selected.sql
        );
    }
    script
}
