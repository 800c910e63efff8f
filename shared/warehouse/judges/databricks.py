"""Another judge of Databricks' merges, which shares nothing with the first one: pysail, which executes Spark's SQL on Delta
tables. It stands behind the twin's protocol (`twins/databricks.py`). Prints its port and serves until its standard input
ends.

What it lacks, and what is done about it here:

* `information_schema`: answered from what `CREATE` and `ALTER` said.
* `ALTER TABLE`, `DELETE` whose condition has a subquery, and `INSERT` with a list of some columns: what the table has
  afterwards is selected into a new one, which takes its place; a value that is not named is NULL.
* A place for tables: each gets a folder.
* `OPTIMIZE` and `VACUUM` are not executed.
* The text of a double is not Java's, times before 1677 and after 2262 are none, and no condition has its name.
"""

import logging
import os
import re
import shutil
import sys
import tempfile
import threading
import uuid
import warnings
from http.server import ThreadingHTTPServer
from pathlib import Path

os.environ["RUST_LOG"] = "off"
sys.path.insert(0, str(Path(__file__).parent.parent / "twins"))
logging.disable(logging.WARNING)
warnings.simplefilter("ignore", FutureWarning)

import server
from databricks import Databricks, Refused
from pysail.spark import SparkConnectServer
from pyspark.sql import SparkSession

NAME = r"`(?:[^`]|``)+`"
TABLE = rf"({NAME})\.({NAME})"
COLUMN = rf"({NAME}) (\w+)"
# What a type of Spark is to the tests, which know DuckDB's.
TYPES = {
    "STRING": "VARCHAR",
    "BIGINT": "BIGINT",
    "DOUBLE": "DOUBLE",
    "BOOLEAN": "BOOLEAN",
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
}


class Spark:
    """A session, which has tables of its own, and their columns, by schema and name."""

    def __init__(self, port):
        self.session = SparkSession.builder.remote(f"sc://127.0.0.1:{port}").create()
        self.session.conf.set("spark.sql.session.timeZone", "UTC")
        self.folder = tempfile.mkdtemp(prefix="sail-")
        self.tables, self.schemas, self.lock = {}, set(), threading.RLock()

    def close(self):
        self.session.stop()
        shutil.rmtree(self.folder)

    def sql(self, sql):
        return [list(row) for row in self.session.sql(sql).collect()]

    def create(self, table, columns):
        """An empty table in a folder of its own; answers with the folder."""
        folder = os.path.join(self.folder, uuid.uuid4().hex)
        self.define(table, columns, folder)
        return folder

    def define(self, table, columns, folder):
        defined = ", ".join(f"{name} {kind}" for name, kind in columns)
        self.sql(f"CREATE TABLE {spelled(table)} ({defined}) USING DELTA LOCATION '{folder}'")

    def replace(self, table, columns, select):
        """The rows of a query take the place of the table's."""
        aside = (table[0], "`aside`")
        folder = self.create(aside, columns)
        self.sql(f"INSERT INTO {spelled(aside)} {select}")
        self.sql(f"DROP TABLE {spelled(table)}")
        self.sql(f"DROP TABLE {spelled(aside)}")
        self.define(table, columns, folder)
        self.tables[table] = columns


def spelled(table):
    return ".".join(table)


def texts(listed):
    return [re.sub(r"\\(.)", r"\1", text) for text in re.findall(r"'((?:[^'\\]|\\.)*)'", listed)]


def bare(name):
    return name[1:-1].replace("``", "`")


class Sail(Databricks):
    """The twin's protocol, with pysail behind it."""

    def __init__(self, databases):
        super().__init__(databases)
        self.server = SparkConnectServer("127.0.0.1", 0)
        self.server.start(background=True)

    def opened(self, database, call):
        database.spark = Spark(self.server.listening_address[1])
        database.metadata = {}
        self.principals[call["client_id"]] = call["secret"]
        database.token = call.get("token")

    def run(self, database, catalog, sql):
        spark = database.spark
        with spark.lock:
            for name, execute in STATEMENTS:
                if found := re.match(name, sql, re.S):
                    return execute(spark, database, found, sql)
            return execute_as_it_is(spark, database, None, sql)


def execute_as_it_is(spark, database, _, sql):
    def path(found):
        bucket, _, key = bare(found[1]).removeprefix("s3://").partition("/")
        return "parquet.`{}`".format(os.path.join(database.buckets[bucket], key))

    is_read = "parquet.`" in sql
    try:
        return spark.sql(re.sub(rf"parquet\.({NAME})", path, sql))
    except Exception as error:
        condition = "FAILED_READ_FILE" if is_read else "USER_RAISED_EXCEPTION" if "raise_error(" in sql else "JUDGED"
        raise Refused(f"[{condition}] {str(error)[:2000]}") from error


def create_schema(spark, database, found, sql):
    spark.schemas.add(bare(found[1]))
    return execute_as_it_is(spark, database, found, sql)


def create_table(spark, database, found, sql):
    table = found[1], found[2]
    if table not in spark.tables:
        spark.create(table, re.findall(COLUMN, found[3]))
        spark.tables[table] = re.findall(COLUMN, found[3])


def drop_table(spark, database, found, sql):
    spark.tables.pop((found[1], found[2]), None)
    return execute_as_it_is(spark, database, found, sql)


def known(spark, found):
    table = found[1], found[2]
    if table not in spark.tables:
        raise Refused(f"[TABLE_OR_VIEW_NOT_FOUND] {spelled(table)}")
    return table, spark.tables[table]


def add_columns(spark, database, found, sql):
    (table, columns), added = known(spark, found), re.findall(COLUMN, found[3])
    nothing = "".join(f", CAST(NULL AS {kind})" for _, kind in added)
    spark.replace(table, columns + added, f"SELECT *{nothing} FROM {spelled(table)}")


def drop_column(spark, database, found, sql):
    table, columns = known(spark, found)
    left = [column for column in columns if column[0] != found[3]]
    spark.replace(table, left, f"SELECT {', '.join(name for name, _ in left)} FROM {spelled(table)}")


def rename_column(spark, database, found, sql):
    table, columns = known(spark, found)
    renamed = [(found[4] if name == found[3] else name, kind) for name, kind in columns]
    spark.replace(table, renamed, f"SELECT * FROM {spelled(table)}")


def rename_table(spark, database, found, sql):
    (table, columns), new = known(spark, found), (found[3], found[4])
    spark.create(new, columns)
    spark.sql(f"INSERT INTO {spelled(new)} SELECT * FROM {spelled(table)}")
    spark.sql(f"DROP TABLE {spelled(table)}")
    spark.tables[new] = spark.tables.pop(table)


def delete(spark, database, found, sql):
    table, columns = known(spark, found)
    select = f"SELECT * FROM {spelled(table)} WHERE NOT coalesce({found[3]}, false)"
    try:
        spark.replace(table, columns, select)
    except Exception as error:
        raise Refused(f"[JUDGED] {str(error)[:2000]}") from error


def insert(spark, database, found, sql):
    (table, columns), names = known(spark, found), re.findall(NAME, found[3])
    values = ", ".join(f"r.v{names.index(name)}" if name in names else f"CAST(NULL AS {kind})" for name, kind in columns)
    given = ", ".join(f"v{n}" for n in range(len(names)))
    whole = f"INSERT INTO {spelled(table)} SELECT {values} FROM ({found[4]}) AS r ({given})"
    return execute_as_it_is(spark, database, found, whole)


def columns_of(spark, database, found, sql):
    schema, names = texts(found[1])[0], texts(found[2])
    present = [(bare(name), columns) for (of, name), columns in spark.tables.items() if bare(of) == schema]
    return [[name, bare(column), kind.lower()] for name, columns in present if name in names for column, kind in columns]


def tables_of(spark, database, found, sql):
    return [[bare(name)] for schema, name in spark.tables if bare(schema) == texts(found[1])[0]]


def schemas_of(spark, database, found, sql):
    return [[name] for name in texts(found[1]) if name in spark.schemas]


def nothing(*_):
    return []


STATEMENTS = [
    (rf"CREATE SCHEMA IF NOT EXISTS ({NAME})$", create_schema),
    (rf"CREATE TABLE IF NOT EXISTS {TABLE} \((.*)\) USING DELTA", create_table),
    (rf"DROP TABLE IF EXISTS {TABLE}$", drop_table),
    (rf"ALTER TABLE {TABLE} ADD COLUMNS \((.*)\)$", add_columns),
    (rf"ALTER TABLE {TABLE} DROP COLUMN ({NAME})$", drop_column),
    (rf"ALTER TABLE {TABLE} RENAME COLUMN ({NAME}) TO ({NAME})$", rename_column),
    (rf"ALTER TABLE {TABLE} RENAME TO {TABLE}$", rename_table),
    (rf"ALTER TABLE {TABLE} SET TBLPROPERTIES", nothing),
    (rf"DELETE FROM {TABLE} WHERE (.*EXISTS.*)$", delete),
    (rf"INSERT INTO {TABLE} \(({NAME}(?:, {NAME})*)\) (.*)$", insert),
    (r"SELECT table_name, column_name, full_data_type FROM .* = ('.*?') AND table_name IN \((.*)\) ORDER", columns_of),
    (r"SELECT table_name FROM information_schema.tables WHERE .*table_type NOT IN", nothing),
    (r"SELECT table_name FROM information_schema.tables WHERE table_schema = ('.*')$", tables_of),
    (r"SELECT schema_name FROM information_schema.schemata WHERE schema_name = ('.*')$", schemas_of),
    (r"OPTIMIZE |VACUUM ", nothing),
]


class Twin(server.Twin):
    def close(self, call):
        database = self.databases.pop(call["database"])
        database.spark.close()
        database.close()
        return {}

    def sql(self, call):
        """What a user does by hand: names are as the tests have them."""
        self.engine.run(self.databases[call["database"]], "main", call["sql"].replace('"', "`"))
        return {}

    def rows(self, call):
        spark = self.databases[call["database"]].spark
        found = re.fullmatch(rf"SELECT \* FROM {TABLE}", call["sql"].replace('"', "`"))
        columns = spark.tables[(found[1], found[2])]
        values = {"TIMESTAMP": "unix_millis({})", "DATE": "unix_date({})"}
        listed = ", ".join(f"CAST({values.get(kind, '{}').format(name)} AS STRING)" for name, kind in columns)
        rows = spark.sql(f"SELECT {listed} FROM {found[1]}.{found[2]}")
        return {"columns": [(bare(name), TYPES[kind]) for name, kind in columns], "rows": rows}

    def has_table(self, call):
        tables = self.databases[call["database"]].spark.tables
        return {"is_there": any((bare(schema), bare(name)) == (call["schema"], call["table"]) for schema, name in tables)}


def main():
    # It writes to standard output, too.
    output = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    # A table that is made without a place is left in the folder that it is started in.
    folder = tempfile.mkdtemp(prefix="sail-")
    os.chdir(folder)
    server.ENGINES["databricks"] = Sail
    server.Handler.twin = Twin("databricks")
    serving = ThreadingHTTPServer(("127.0.0.1", 0), server.Handler)
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    os.write(output, f"{serving.server_address[1]}\n".encode())
    sys.stdin.read()
    for database in server.Handler.twin.databases.values():
        shutil.rmtree(database.spark.folder, ignore_errors=True)
        database.close()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


if __name__ == "__main__":
    main()
