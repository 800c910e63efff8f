"""Another judge of the dialects' SQL: sqlfluff's grammars. `parse.py FOLDER` reads `FOLDER/<dialect>.sql`, and fails if a
statement is not of its dialect."""

import re
import sys
from pathlib import Path

from sqlfluff.core import FluffConfig, Linter

DIALECTS = ["duckdb", "postgres", "redshift", "snowflake", "bigquery", "databricks"]


def main():
    folder, seen, wrong = Path(sys.argv[1]), 0, []
    for dialect in DIALECTS:
        linter = Linter(config=FluffConfig(overrides={"dialect": dialect}))
        for statement in (folder / f"{dialect}.sql").read_text().split(";\n"):
            # A column is as good as another; the last one has no comma.
            property_ = re.compile(r" AS .property_\w+.,$", re.IGNORECASE)
            short = "\n".join(line for line in statement.split("\n") if not property_.search(line))
            seen += 1
            wrong += [f"{dialect}: {fault}\n{short[:600]}" for fault in linter.parse_string(short).violations]
    print("\n".join(wrong) if wrong else f"{seen} statements are of their dialects")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
