"""What stands in for an engine's storage: a DuckDB file, transactions over any statements, and a folder as S3.

An engine's statements are parsed in its own dialect, checked by its front end, and executed as what they mean in DuckDB.
DuckDB refuses to change a table's columns in a transaction that has changed its rows, so a transaction here is a copy of
the file that is put back."""

import glob
import json
import os
import re
import shutil
import tempfile
import threading

import duckdb
import sqlglot
from sqlglot import exp


class ApiError(Exception):
    """A call that the engine's API does not take."""

    def __init__(self, code, words):
        super().__init__(words)
        self.code, self.words = code, words


class JsonApi:
    """An AWS service's JSON protocol: the operation is in a header. `SERVICE` stands before its name; `calls` has what
    answers it."""

    def by_hand(self, sql):
        return sql

    def serve(self, _method, _path, headers, text):
        """Status and body."""
        operation = headers.get("X-Amz-Target", "").removeprefix(f"{self.SERVICE}.")
        try:
            if operation not in self.calls:
                raise ApiError("UnknownOperationException", operation)
            return 200, self.calls[operation](json.loads(text))
        except ApiError as error:
            return 400, {"__type": error.code, "message": error.words}


class Refused(Exception):
    """The engine would not do this."""


class Failed(Exception):
    """A transaction that left nothing. `position` is the statement that failed."""

    def __init__(self, position, words):
        super().__init__(words)
        self.position, self.words = position, words


class Database:
    def __init__(self):
        self.lock = threading.RLock()
        memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
        self.path = os.path.join(tempfile.mkdtemp(prefix="twin-", dir=memory), "wh.duckdb")
        self.connection = duckdb.connect(":memory:")
        self.connection.execute("SET TimeZone = 'UTC'; SET threads = 1")
        # Tests write files anew under the same name.
        self.connection.execute("SET enable_external_file_cache = false")
        self.connection.execute(f"ATTACH '{self.path}' AS wh; USE wh")
        # Bucket -> folder.
        self.buckets = {}
        self.executed = []
        # Statements and the rows that they wrote.
        self.written = []
        # The columns of files, by what a file written anew under the same name does not share.
        self.of_files = {}

    def close(self):
        self.connection.close()
        shutil.rmtree(os.path.dirname(self.path))

    def transaction(self, statements):
        """Runs functions one by one, or none of them; answers with what they return."""
        with self.lock:
            self._keep()
            answers = []
            for position, statement in enumerate(statements):
                try:
                    answers.append(statement())
                except (duckdb.Error, Refused, sqlglot.errors.SqlglotError) as error:
                    self._put_back()
                    raise Failed(position, f"{type(error).__name__}: {error}") from error
            return answers

    def _files(self):
        return [self.path, self.path + ".wal"]

    def _keep(self):
        for path in self._files():
            if os.path.exists(path):
                shutil.copyfile(path, path + ".kept")
            elif os.path.exists(path + ".kept"):
                os.remove(path + ".kept")

    def _put_back(self):
        self.connection.execute("USE memory; DETACH wh")
        for path in self._files():
            if os.path.exists(path):
                os.remove(path)
            if os.path.exists(path + ".kept"):
                shutil.copyfile(path + ".kept", path)
        self.connection.execute(f"ATTACH '{self.path}' AS wh; USE wh")

    def execute(self, sql):
        """DuckDB's own SQL: rows and how many there are, or how many were changed."""
        with self.lock:
            self.executed.append(sql)
            cursor = self.connection.execute(sql)
            rows = cursor.fetchall() if cursor.description else []
            if cursor.description and cursor.description[0][0] == "Count" and rows:
                self.written.append((sql, rows[0][0]))
            return rows

    def named(self, sql):
        """The names of a query's columns, and its rows."""
        with self.lock:
            self.executed.append(sql)
            cursor = self.connection.execute(sql)
            return [column[0] for column in cursor.description], cursor.fetchall()

    def described(self, sql):
        """Column names and DuckDB types, and the rows as texts; times in milliseconds, days since 1970."""
        with self.lock:
            columns = [(row[0], row[1]) for row in self.execute(f"DESCRIBE {sql}")]
            quoted = [name.replace('"', '""') for name, _ in columns]

            def text(name, type_name):
                if type_name.startswith("TIMESTAMP"):
                    return f'CAST(epoch_ms("{name}") AS VARCHAR)'
                if type_name == "DATE":
                    return f"CAST(date_diff('day', DATE '1970-01-01', \"{name}\") AS VARCHAR)"
                return f'CAST("{name}" AS VARCHAR)'

            values = ", ".join(text(name, type_name) for name, (_, type_name) in zip(quoted, columns))
            return columns, self.execute(f"SELECT {values} FROM ({sql}) ORDER BY ALL" if columns else sql)

    def columns(self, table):
        """Names and DuckDB types of a table's columns. `table` is SQL."""
        return [(row[0], row[1]) for row in self.execute(f"DESCRIBE {table}")]

    def objects(self, url):
        """Paths of the objects whose key begins with that of `s3://bucket/key`."""
        bucket, _, key = url.removeprefix("s3://").partition("/")
        if bucket not in self.buckets:
            raise Refused(f"S3ServiceException: The specified bucket does not exist: {bucket}")
        found = sorted(glob.glob(glob.escape(os.path.join(self.buckets[bucket], key)) + "*"))
        if not found:
            raise Refused(f"The specified S3 prefix '{key}' does not exist")
        return found

    def parquet_columns(self, path):
        stat = os.stat(path)
        file = (path, stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if file not in self.of_files:
            try:
                self.of_files[file] = self.columns(f"SELECT * FROM {read_parquet(path)}")
            except duckdb.Error as error:
                raise Refused(f"File '{path}' has an invalid version number: {error}") from error
        return self.of_files[file]


def read_parquet(path):
    return "read_parquet({}, hive_partitioning = false)".format("'" + path.replace("'", "''") + "'")


def parsed(sql, dialect):
    """The one statement that it is."""
    statements = sqlglot.parse(sql, read=dialect)
    if len(statements) != 1 or statements[0] is None:
        raise Refused(f"syntax error: {len(statements)} statements where there must be one")
    return statements[0]


def check_names(tree, longest):
    for name in tree.find_all(exp.Identifier):
        if len(name.this.encode()) > longest:
            raise Refused(f"identifier of {len(name.this.encode())} bytes, {longest} are allowed")


def in_duckdb(tree):
    return tree.sql(dialect="duckdb", copy=False)


def without_values(sql):
    """The statement with other ids and times, which are the same in all statements, and what they were. Most statements
    of a test are alike then, and parsed once."""
    values = []

    def other(found):
        if found[0] not in values:
            values.append(found[0])
        n = values.index(found[0])
        return f"{n:032x}" if found[0][0] != "'" else f"'2001-01-01T00:00:00.{n:03}Z'"

    return re.sub(r"[0-9a-f]{32}|'\d{4}-\d\d-\d\dT[\d:.]+Z'", other, sql), values


def with_values(meaning, values):
    if isinstance(meaning, (list, tuple)):
        return [with_values(part, values) for part in meaning]

    def back(found):
        return values[int(found[0], 16)] if found[0][0] != "'" else values[int(found[1])]

    return re.sub(r"0{29}[0-9a-f]{3}|'2001-01-01T00:00:00\.(\d{3})Z'", back, meaning)
