"""A second judge of the golden statements, which shares nothing with the first one: sqlfluff's grammars of the engines'
dialects. `parse.py FOLDER` parses the statements of all snapshots below `FOLDER/<engine>`, each once, and fails if one is
not of its dialect."""

import re
import sys
from pathlib import Path

from sqlfluff.core import FluffConfig, Linter

from snapshots import statements

# An engine's folder is called as its dialect is.
DIALECTS = ["athena", "bigquery", "databricks", "postgres", "redshift", "snowflake"]

# What the grammars lack. PostgreSQL itself takes the first one in each run of the tests. The others are Snowflake's:
# https://docs.snowflake.com/en/sql-reference/sql/copy-into-table, where the list may be empty, and
# https://docs.snowflake.com/en/sql-reference/sql/alter-session, where commas may stand between parameters.
UNKNOWN = [
    (r" \(FORMAT binary\)$", ""),
    (r"NULL_IF = \(\)", "NULL_IF = ('')"),
    (r"^(ALTER SESSION SET [^,]*),.*", r"\1"),
    # A word for a statement, in a test of other things.
    (r"^MERGE INTO t$", "SELECT 1"),
]


def words_of(sql):
    """What it takes to be another statement: names and literals with other digits are not."""
    return re.sub(r"\d+", "0", sql)


def main():
    root, seen, wrong = Path(sys.argv[1]), 0, []
    for dialect in DIALECTS:
        linter = Linter(config=FluffConfig(overrides={"dialect": dialect}))
        known = set()
        for path in sorted((root / dialect).rglob("*.snap")):
            for sql in statements(path):
                if words_of(sql) in known:
                    continue
                known.add(words_of(sql))
                for there, here in UNKNOWN:
                    sql = re.sub(there, here, sql)
                faults = linter.parse_string(sql).violations
                wrong += [f"{path.name}\n  {sql[:200]}\n  {fault}" for fault in faults]
        if not known:
            wrong.append(f"{dialect}: there are no statements")
        seen += len(known)
    print("\n".join(wrong) if wrong else f"{seen} statements are of their dialects")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
