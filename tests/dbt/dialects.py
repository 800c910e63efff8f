"""The views in each dialect: sqlglot reads them, and DuckDB executes what they mean, on the tables of a synced account. The
rows must be those of DuckDB's own views. `parse.py` has another parser read them."""

import duckdb
import sqlglot
from sqlglot import exp

DIALECTS = ["duckdb", "postgres", "redshift", "snowflake", "bigquery", "databricks"]

# What sqlglot reads and has no words for in DuckDB's dialect: JSON objects, and the items of lists. PostgreSQL itself
# executes its own.
NOT_EXECUTED = {
    "postgres": {"contact_list_member", "email_event_click", "email_event_forward", "email_event_open", "email_event_print"},
    "redshift": {"contact_list_member", "email_event_click", "email_event_forward", "email_event_open", "email_event_print"},
    "snowflake": {"contact_list_member"},
    "databricks": {"contact_list_member"},
}


def views(dialect, script):
    """The queries of a script's views, by name."""
    found = {}
    for statement in sqlglot.parse(script, read=dialect):
        if isinstance(statement, exp.Create) and statement.kind == "VIEW":
            found[statement.this.name.lower()] = statement.expression
        elif not (isinstance(statement, exp.Create) and statement.kind == "SCHEMA"):
            raise AssertionError(f"{dialect}: {statement!r} is neither a view nor a schema")
    return found


def rows(connection, query):
    """Its rows as texts, in an order of their own."""
    for name in query.find_all(exp.Identifier):
        # Snowflake's names.
        if name.this.isupper():
            name.set("this", name.this.lower())
    for table in query.find_all(exp.Table):
        table.set("catalog", exp.to_identifier("warehouse"))
    found = connection.execute(f"SELECT columns(*)::VARCHAR FROM ({query.sql('duckdb')}) AS q").fetchall()
    return sorted(found, key=repr)


def check(database, scripts):
    """`scripts`: the views of each dialect. Returns what is wrong."""
    connection = duckdb.connect()
    connection.execute(f"ATTACH '{database}' AS warehouse (READ_ONLY); SET TimeZone = 'UTC'")
    expected, wrong, filled = {}, [], 0
    for dialect in DIALECTS:
        found = views(dialect, scripts[dialect])
        if dialect == "duckdb":
            expected = {name: rows(connection, query) for name, query in found.items()}
            filled = sum(bool(rows) for rows in expected.values())
        wrong += [f"{dialect} has other views than duckdb"] * (found.keys() != expected.keys())
        for name, query in found.items():
            if name not in NOT_EXECUTED.get(dialect, ()) and rows(connection, query) != expected[name]:
                wrong.append(f"{dialect}: {name} has other rows than duckdb's")
    wrong += [f"only {filled} of {len(expected)} views have rows"] * (filled < len(expected) * 0.8)
    return wrong
