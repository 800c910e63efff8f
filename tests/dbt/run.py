"""Syncs an account into DuckDB and PostgreSQL, writes the dbt project, and has dbt build it on both. Checks:

* every table and column of the warehouse is in `sources.yml`, every column of a view in `compat.yml`, all described;
* the views have the same rows on both, and in every other dialect as far as its SQL can be executed here;
* those that `sync --compat fivetran` keeps have these rows, too, and a later sync does not touch them;
* a fault in the data makes dbt's tests fail, and the folder is written again over the command's own files alone.
"""

import datetime
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
from bench import TOOLS, Postgres, account, dbt, die, hubspot_source, profiles, sync
from dialects import DIALECTS, check as check_dialects

VIEWS = "hubspot_fivetran"


def columns(execute, schema):
    """Columns of each table and view of a schema, by its name."""
    found = {}
    query = f"SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = '{schema}'"
    for table, column in execute(query):
        found.setdefault(table, set()).add(column)
    return found


def check_descriptions(execute, project):
    manifest = json.loads((project / "target/manifest.json").read_text())
    sources = {source["identifier"]: source for source in manifest["sources"].values()}
    models = {node["alias"]: node for node in manifest["nodes"].values() if node["resource_type"] == "model"}
    there = {name: of for name, of in columns(execute, "hubspot").items() if not name.startswith("_")}
    for what, described, there in [("sources", sources, there), ("views", models, columns(execute, VIEWS))]:
        if described.keys() != there.keys():
            die(f"{what}: {sorted(described.keys() ^ there.keys())} are described or there, but not both")
        for name, it in described.items():
            if set(it["columns"]) != there[name]:
                die(f"{what}: columns of {name}: {sorted(set(it['columns']) ^ there[name])}")
            lacking = [column for column, of in it["columns"].items() if not of["description"].strip()]
            if lacking or not it["description"].strip():
                die(f"{what}: {name} has no description, or none of {lacking}")
    return len(sources), len(models), sum(len(it["columns"]) for it in [*sources.values(), *models.values()])


def comparable(value):
    """A value that both drivers give alike."""
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc)
    if isinstance(value, str) and value.startswith("{"):
        return json.dumps(json.loads(value), sort_keys=True)
    return value


def view_rows(execute, view, names):
    quoted = ", ".join(f'"{name}"' for name in names)
    rows = execute(f'SELECT {quoted} FROM {VIEWS}."{view}"')
    return sorted((tuple(map(comparable, row)) for row in rows), key=repr)


def check_same_rows(duck, postgres):
    # The time at which a row was read depends on the sync.
    for view, names in columns(duck, VIEWS).items():
        names = sorted(names - {"_fivetran_synced"})
        here, there = (view_rows(execute, view, names) for execute in (duck, postgres))
        if here != there:
            differing = [pair for pair in zip(here, there) if pair[0] != pair[1]][:1]
            die(f"{view} has {len(here)} rows on DuckDB and {len(there)} on PostgreSQL; {differing}")


def kept_views(server):
    """The transaction that made each view last."""
    sql = "SELECT c.relname, r.xmin::text FROM pg_rewrite AS r JOIN pg_class AS c ON c.oid = r.ev_class WHERE relnamespace = %s"
    views = dict(server.execute(sql % f"'{VIEWS}'::regnamespace"))
    return views if len(views) > 50 else die(f"sync --compat keeps {len(views)} views")


def check_faults(database, project, work):
    """What dbt's tests are for. Each is one of `sources.yml`."""
    faults = [
        ("pipelines", "INSERT INTO hubspot.pipelines SELECT * FROM hubspot.pipelines LIMIT 1"),
        ("pipeline_stages", "UPDATE hubspot.pipeline_stages SET pipeline_id = 'none' WHERE NOT is_deleted"),
        ("contacts", "UPDATE hubspot.contacts SET id = NULL WHERE id = (SELECT min(id) FROM hubspot.contacts)"),
    ]
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{database}' AS warehouse; USE warehouse")
        for _, sql in faults:
            connection.execute(sql)
    selected = [f"source:hubspot.{table}" for table, _ in faults]
    is_well, said = dbt("test", "--select", *selected, project=project, target="duckdb", profiles=work)
    unseen = [table for table, _ in faults if f"FAIL" not in said or f"hubspot_{table}" not in said.split("Failure in", 1)[-1]]
    if is_well or unseen:
        die(f"faults in {unseen or selected} went unseen:\n{said}")


def check_folder(project, database):
    mine = project / "models/mine.sql"
    mine.write_text("select 1 as x")
    hubspot_source("dbt", project, "--warehouse", f"duckdb:{database}")
    if mine.read_text() != "select 1 as x":
        die("a file of somebody else's was changed")
    mine.unlink()


def main():
    with tempfile.TemporaryDirectory() as folder, Postgres() as server:
        work = Path(folder)
        # Called like the schema: a name with both is no riddle to DuckDB.
        database = work / "hubspot.duckdb"
        with account() as url:
            sync(url, f"duckdb:{database}", work / "state")
            # What is staged is merged here, too.
            sync(url, server.url, work / "state")
            kept = kept_views(server)
            sync(url, server.url, work / "state", "owners")
        if kept_views(server) != kept:
            die("views were made anew, though nothing had changed")
        profiles(work, database, server.port)
        postgres = server.execute
        with duckdb.connect(str(database), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            check_same_rows(lambda sql: connection.execute(sql).fetchall(), postgres)

        for target, url in [("duckdb", f"duckdb:{database}"), ("postgres", server.url)]:
            project = work / target
            said = hubspot_source("dbt", project, "--warehouse", url)
            is_well, log = dbt("build", project=project, target=target, profiles=work)
            if not is_well:
                die(f"dbt build on {target}:\n{said}{log}")
            print(f"{target}: {log.strip().splitlines()[-1].split('Done. ')[-1]}")
        with duckdb.connect(str(database), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")

            def duck(sql):
                return connection.execute(sql).fetchall()

            sources, views, described = check_descriptions(duck, work / "duckdb")
            check_descriptions(postgres, work / "postgres")
            check_same_rows(duck, postgres)
        is_well, log = dbt("source", "freshness", project=work / "duckdb", target="duckdb", profiles=work)
        if not is_well:
            die(log)
        scripts = {}
        with duckdb.connect(str(database)) as connection:
            connection.execute((work / "duckdb/compat/fivetran.sql").read_text())
        server.run((work / "postgres/compat/fivetran.sql").read_text())
        for dialect in DIALECTS:
            hubspot_source("dbt", work / f"of_{dialect}", "--warehouse", f"duckdb:{database}", "--dialect", dialect)
            scripts[dialect] = (work / f"of_{dialect}/compat/fivetran.sql").read_text()
            (work / f"{dialect}.sql").write_text(scripts[dialect])
        wrong = check_dialects(database, scripts)
        if wrong:
            die("\n".join(wrong))
        if subprocess.run([TOOLS / "sqlfluff/bin/python", Path(__file__).with_name("parse.py"), work]).returncode:
            die("sqlfluff does not take the SQL")
        check_folder(work / "duckdb", database)
        check_faults(database, work / "duckdb", work)
    print(f"{sources} sources and {views} views with {described} described columns, in {len(DIALECTS)} dialects")


if __name__ == "__main__":
    sys.exit(main())
