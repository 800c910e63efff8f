"""Another judge of BigQuery's merges, which shares nothing with the first one: bqemulator. It takes the API and executes
scripts. Prints its port and serves until its standard input ends.

What it lacks or errs in, and what is done about it here:

* It starts only with DuckDB's spatial extension, fetched from a server: not loaded, no type of ours needs it.
* `ALTER TABLE` takes one action: several are executed one after the other.
* `tables.get` does not see the columns that `ALTER TABLE` adds, nor a new name: they are read again after it.
"""

import os
import socket
import sys
import threading
import time

# It logs to standard output, as soon as it is imported.
OUTPUT = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

import sqlglot
from bqemulator.cli import main as run
from bqemulator.jobs import executor
from bqemulator.scripting import interpreter
from bqemulator.storage.engine import DuckDBEngine
from sqlglot import exp


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def alone(execute):
    """One statement for each action of an `ALTER TABLE`."""

    def executed(self, sql, parameters=None):
        tree = sqlglot.parse_one(sql, read="duckdb") if sql.lstrip().startswith("ALTER TABLE") else None
        actions = tree.args["actions"] if isinstance(tree, exp.Alter) else []
        if len(actions) < 2:
            return execute(self, sql, parameters)
        for action in actions:
            tree.set("actions", [action])
            result = execute(self, tree.sql(dialect="duckdb"))
        return result

    return executed


def altered(sync):
    """The catalog after an `ALTER TABLE`, too."""

    def synced(sql, project, context):
        if sql.lstrip().startswith("ALTER TABLE"):
            tree = sqlglot.parse_one(sql, read="bigquery")
            table = tree.this
            for renamed in tree.find_all(exp.AlterRename):
                context.catalog.delete_table(project, table.db, table.name)
                table = exp.table_(renamed.this.name, table.db)
            sql = f"CREATE TABLE {table.sql(dialect='bigquery')} (c INT64)"
        sync(sql, project, context)

    return synced


def announce(port):
    """When it takes calls."""
    while True:
        with socket.socket() as caller:
            if caller.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    os.write(OUTPUT, f"{port}\n".encode())
    sys.stdin.read()
    os._exit(0)


def main():
    DuckDBEngine._load_spatial = lambda self: None
    DuckDBEngine.execute = alone(DuckDBEngine.execute)
    for module in (executor, interpreter):
        module.sync_created_table = altered(module.sync_created_table)
    os.environ["BQEMU_ENABLE_FORMAT_EXTENSIONS"] = "false"
    port = free_port()
    threading.Thread(target=announce, args=(port,), daemon=True).start()
    run(["start", "--rest-port", str(port), "--grpc-port", str(free_port()), "--log-level", "error"])


if __name__ == "__main__":
    main()
