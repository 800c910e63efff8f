"""A third judge of Snowflake's golden statements, which also executes them: fakesnow, another project's idea of what they
mean. `execute.py FOLDER` runs the merges in the snapshots below `FOLDER/snowflake`, each in an account of its own and
in order, on rows that it stages itself, and fails if a statement does, or leaves other rows than it should.

It can't judge:

* `COPY INTO`, since it knows no external stages: rows are inserted into the scratch table instead.
* Names with `"`, which it does not take: here they have `_` in its place.
* A `MERGE` with a column in its `ON` that no clause has: it does not find it there.
* Formats in `to_varchar`, `TRANSIENT`, `DATA_RETENTION_TIME_IN_DAYS` and `COPY GRANTS`, which it does not heed.
* Transactions and settings of sessions: a request's golden file has words in place of statements.
"""

import logging
import re
import sys
from pathlib import Path

import fakesnow
import snowflake.connector

from snapshots import statements

SCHEMA = '"hub_spot"'
STAGED = f'{SCHEMA}."_MERGE_00000000000000000000000000000000_0_STAGED"'
TIMES = [f"'2026-11-{day} 10:00:00 +00:00'::TIMESTAMP_TZ(3)" for day in (10, 11, 12)]
OLD, NEW, LATER = TIMES

# A table that is there already, as in the tests of `tests/requests.rs`, and what it holds.
TORTURE = {
    '"VID"': "NUMBER(38,0)",
    '"a_key_"': "NUMBER(10,0)",
    "\"it's\"": "NUMBER(38,0)",
    '"FILE_INDEX"': "DATE",
    '"_SOURCE_UPDATED_AT"': "TIMESTAMP_TZ(3)",
    '"_READ_AT"': "TIMESTAMP_TZ(3)",
    '"my _note_"': "VARCHAR(20)",
}
CONTACTS = {
    '"ID"': "NUMBER(38,0)",
    '"_SOURCE_UPDATED_AT"': "TIMESTAMP_TZ(3)",
    '"_READ_AT"': "TIMESTAMP_TZ(3)",
    '"IS_DELETED"': "BOOLEAN",
}
BOOKKEEPING = [
    f'CREATE TABLE {SCHEMA}."_ACCOUNT" ("ACCOUNT_ID" NUMBER(38,0) NOT NULL, "BOUND_AT" TIMESTAMP_TZ(3) NOT NULL)',
    f'INSERT INTO {SCHEMA}."_ACCOUNT" VALUES (42, {OLD})',
    f'CREATE TABLE {SCHEMA}."_LOADED_FILES" ("COLLECTION" VARCHAR, "FILE_KEY" VARCHAR, "RUN_ID" VARCHAR, '
    '"ROWS" NUMBER(38,0), "MERGED_ROWS" NUMBER(38,0), "LOADED_AT" TIMESTAMP_TZ(3))',
    f'CREATE TABLE {SCHEMA}."_LOCK" AS SELECT current_timestamp() AS TAKEN_AT, CAST(NULL AS VARCHAR) AS WIDENED_BY, '
    "current_timestamp() AS WIDENED_UNTIL",
]
# Staged rows: of two of one key and version the greater values win; an older one loses; a key that is there is updated.
TORTURE_STAGED = [
    f"0, 1, 1, '7', 'a', 1.5, true, '2026-01-02', {NEW}, '{{}}', {NEW}, {NEW}, 'run-1', 1",
    f"0, 2, 1, '7', 'b', 1.5, true, '2026-01-02', {NEW}, '{{}}', {NEW}, {NEW}, 'run-1', 1",
    f"0, 3, 2, '8', NULL, NULL, NULL, NULL, NULL, NULL, NULL, {OLD}, 'run-1', NULL",
]
CONTACTS_STAGED_TABLE = (
    f"CREATE TABLE {STAGED} (file_no NUMBER(38,0), row_no NUMBER(38,0), c0 NUMBER(38,0), c1 TIMESTAMP_TZ(3), "
    "c2 TIMESTAMP_TZ(3), c3 VARCHAR, c4 VARCHAR, c5 BOOLEAN, c6 VARCHAR, c7 FLOAT)"
)
CONTACTS_STAGED = [
    f"0, 1, 1, {NEW}, {NEW}, 'run-1', 'Ada', false, NULL, 0.5",
    f"0, 2, 1, {LATER}, {LATER}, 'run-1', 'Ada L.', false, NULL, 0.5",
    f"0, 3, 2, {NEW}, {NEW}, 'run-1', 'Bo', true, 'archived', NULL",
]


def table(name, columns, *rows):
    """The statements that make a table with rows."""
    defined = ", ".join(f"{column} {kind}" for column, kind in columns.items())
    return [f"CREATE TABLE {SCHEMA}.{name} ({defined})"] + [f"INSERT INTO {SCHEMA}.{name} SELECT {row}" for row in rows]


def contacts(*companions):
    there = table('"CONTACTS"', CONTACTS, f"1, {OLD}, {OLD}, false", f"3, {OLD}, {OLD}, false")
    return BOOKKEEPING + there + [statement for companion in companions for statement in companion]


ID = {'"ID"': "NUMBER(38,0)"}
DELETED = table('"_DELETED_CONTACTS"', ID)
DELETED_ONE = table('"_DELETED_CONTACTS"', ID, "4")
HISTORY = table('"CONTACTS_HISTORY"', ID | {'"_VALID_TO"': "TIMESTAMP_TZ(3)"})

# By snapshot, the merges in it: what is there before, the staged rows, and queries with what they find afterwards.
MERGES = {
    "merge_of_a_torture_table": [
        ([], TORTURE_STAGED, {'SELECT "VID", "a_key_", "it\'s" FROM "con_tacts"': [(1, "7", 1.5), (2, "8", None)]}),
        (
            BOOKKEEPING + table('"con_tacts"', TORTURE, f"2, 8, 5, '2026-01-01', {OLD}, {OLD}, 'mine'"),
            TORTURE_STAGED,
            {
                # Only the first row is newer than what the table has.
                'SELECT "VID", "a_key_", "it\'s", "my _note_" FROM "con_tacts"': [
                    (1, "7", 1.5, None),
                    (2, "8", 5.0, "mine"),
                ],
                'SELECT "VID" FROM "con_tacts" WHERE "FILE_INDEX" = \'2026-01-01 00:00:00 +00:00\'::TIMESTAMP_TZ(3)': [
                    (2,)
                ],
            },
        ),
    ],
    "merge_into_a_table_without_deleted_rows_and_with_its_past": [
        (
            [],
            CONTACTS_STAGED,
            {
                'SELECT "ID", "NAME" FROM "CONTACTS"': [(1, "Ada L.")],
                'SELECT "ID" FROM "_DELETED_CONTACTS"': [(2,)],
                'SELECT "ID", "NAME", "_VALID_TO" IS NULL FROM "CONTACTS_HISTORY"': [
                    (1, "Ada", False),
                    (1, "Ada L.", True),
                ],
                'SELECT "ROWS", "MERGED_ROWS" FROM "_LOADED_FILES"': [(0, 2)],
            },
        ),
        (
            contacts(DELETED, HISTORY),
            CONTACTS_STAGED,
            {
                'SELECT "ID", "NAME" FROM "CONTACTS"': [(1, "Ada L."), (3, None)],
                'SELECT "ID" FROM "_DELETED_CONTACTS"': [(2,)],
            },
        ),
        (contacts(), [], {'SELECT "ID", "_VALID_TO" FROM "CONTACTS_HISTORY"': [(1, None), (3, None)]}),
        (contacts(DELETED_ONE), [], {'SELECT "ID" FROM "CONTACTS"': [(1,), (3,), (4,)]}),
    ],
}


def merges(path):
    """The statements of each merge in a snapshot. A comment stands before or between them."""
    parts = [[]]
    for statement in statements(path):
        if statement.startswith("--"):
            parts.append([])
        else:
            parts[-1].append(statement.replace('""', "_"))
    return [part for part in parts if part]


class Account:
    """An account with a schema, and what was wrong in it."""

    def __init__(self):
        self.cursor, self.wrong = snowflake.connector.connect(database="D", schema="S").cursor(), []
        self.run(f"CREATE SCHEMA {SCHEMA}")

    def run(self, *statements):
        """The rows of the last statement."""
        rows = None
        for sql in statements:
            try:
                rows = self.cursor.execute(sql).fetchall()
            except snowflake.connector.errors.Error as error:
                self.wrong.append(f"{sql[:300]}\n  {str(error)[:300]}")
        return rows

    def expect(self, found):
        for query, rows in found.items():
            seen = self.run(re.sub(r'FROM (".*?")', rf"FROM {SCHEMA}.\1", query))
            if seen is not None and sorted(seen, key=str) != sorted(rows, key=str):
                self.wrong.append(f"{query}\n  {seen} instead of {rows}")


def judged(script, before, staged, found):
    """What is wrong with a merge, and how many of its statements were executed."""
    inserts = [f"INSERT INTO {STAGED} SELECT {row}" for row in staged]
    with fakesnow.patch():
        account = Account()
        account.run(*before)
        if not any(sql.startswith("COPY INTO") for sql in script):
            account.run(CONTACTS_STAGED_TABLE, *inserts)
        table, is_merged, executed = None, False, 0
        for sql in script:
            executed += 1
            if sql.startswith("COPY INTO"):
                executed -= 1
                account.run(*inserts)
            elif sql.startswith("MERGE INTO") and "WHEN NOT MATCHED" not in sql:
                # With it goes the rest, which inserts what it did not update.
                executed -= 1
                break
            elif sql.startswith("MERGE INTO"):
                table, is_merged = sql.split()[2], True
                account.run(f"CREATE TABLE {SCHEMA}.before AS SELECT * FROM {table}", sql)
            elif is_merged and sql.startswith(f"INSERT INTO {table}"):
                # Another way to write the same rows.
                account.expect(found)
                account.run(f"CREATE OR REPLACE TABLE {table} AS SELECT * FROM {SCHEMA}.before", sql)
                is_merged = False
            else:
                account.run(sql)
        account.expect(found)
    return account.wrong, executed


def main():
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    wrong, seen = [], 0
    for name, cases in MERGES.items():
        [path] = Path(sys.argv[1], "snowflake").rglob(f"*__{name}.snap")
        scripts = merges(path)
        if len(scripts) != len(cases):
            wrong.append(f"{path.name}: {len(scripts)} merges, where {len(cases)} are known")
        for number, (script, case) in enumerate(zip(scripts, cases), 1):
            faults, executed = judged(script, *case)
            wrong += [f"{path.name}, merge {number}\n  {fault}" for fault in faults]
            seen += executed
    print("\n".join(wrong) if wrong else f"fakesnow has executed {seen} statements")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
