"""Plays the warehouses that can't run on a test's machine. `server.py NAME` prints its port and serves until its standard
input ends. `/twin/...` is for the tests themselves; everything else is the engine's own API, and `PUT` is S3's."""

import gc
import gzip
import json
import logging
import os
import sys
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from athena import Athena
from bigquery import BigQuery
from database import Database
from databricks import Databricks
from redshift import Redshift
from snowflake import Snowflake

# sqlglot warns of what it passes on unparsed; the front ends refuse it themselves.
logging.disable(logging.WARNING)

ENGINES = {
    "athena": Athena,
    "bigquery": BigQuery,
    "databricks": Databricks,
    "redshift": Redshift,
    "snowflake": Snowflake,
}


class Twin:
    """The databases of one engine, and the faults that tests ask for."""

    def __init__(self, engine):
        self.databases = {}
        self.engine = ENGINES[engine](self.databases)
        self.lost = []

    def open(self, call):
        """A new database, and a folder as its bucket."""
        database = FaultyDatabase()
        database.buckets[call["bucket"]] = call["folder"]
        self.databases[call["database"]] = database
        self.engine.opened(database, call)
        return {}

    def close(self, call):
        self.databases.pop(call["database"]).close()
        return {}

    def sql(self, call):
        """What a user does by hand, past the engine's API."""
        self.databases[call["database"]].execute(self.engine.by_hand(call["sql"]))
        return {}

    def rows(self, call):
        """DuckDB's own SQL."""
        columns, rows = self.databases[call["database"]].described(call["sql"])
        return {"columns": columns, "rows": rows}

    def has_table(self, call):
        found = self.databases[call["database"]].execute(
            f"SELECT 1 FROM duckdb_tables() WHERE schema_name = '{call['schema']}' AND table_name = '{call['table']}'"
        )
        return {"is_there": bool(found)}

    def fail(self, call):
        """The next batch that has `containing` in a statement fails at the statement `at`."""
        self.databases[call["database"]].fault = (call["containing"], call["at"])
        return {}

    def crash(self, call):
        """After so many statements, whoever asks is gone."""
        self.databases[call["database"]].statements_left = call["after"]
        return {}

    def recover(self, call):
        """Statements are executed again; answers whether there were as many as it was to crash after."""
        database = self.databases[call["database"]]
        left, database.statements_left = database.statements_left, None
        return {"crashed": left == 0}

    def conflict(self, call):
        """The next statements that have `containing` in them come after somebody else's commit."""
        self.databases[call["database"]].conflicts = (call["containing"], call["times"])
        return {}

    def before(self, call):
        """Before the next statement that has `containing` in it, somebody else executes DuckDB's own SQL."""
        self.databases[call["database"]].before = (call["containing"], call["sql"])
        return {}

    def fault(self, call):
        """Whether a failure that was asked for is still to come."""
        return {"is_left": self.databases[call["database"]].fault is not None}

    def faults(self, call):
        """How many answers are still to be lost, and commits to come late."""
        names = ("", f"/{call['database']}/", f'"{call["database"]}"')
        lost = [at for _, at, also in self.lost if at in names and also in names]
        return {"left": len(lost) + self.databases[call["database"]].conflicts[1]}

    def lose(self, call):
        """The answer to the next call whose body has `containing` in it is lost; `at` is in the call's path, too, and
        `also` in its body."""
        self.lost.append((call["containing"], call.get("at", ""), call.get("also", "")))
        return {}

    def late(self, call):
        """The next job that has `containing` in it is executed later than whoever made it waits."""
        self.engine.delay(call["database"], call["containing"])
        return {}

    def is_late(self, call):
        """Whether such a job is there."""
        return {"is_late": bool(self.engine.late_jobs(call["database"]))}

    def end_late(self, call):
        """Executes those jobs; answers with what they failed of."""
        return {"failures": self.engine.end_late(call["database"])}

    def written(self, call):
        """How many rows were written by statements that begin so."""
        written = self.databases[call["database"]].written
        return {"rows": sum(rows for sql, rows in written if sql.startswith(tuple(call["beginnings"])))}

    def expire(self, call):
        """All tokens that were given are refused from now on."""
        self.engine.tokens.clear()
        return {}

    def executed(self, call):
        """How many statements that begin so were executed."""
        executed = self.databases[call["database"]].executed
        return {"count": sum(sql.startswith(call["prefix"]) for sql in executed)}


class FaultyDatabase(Database):
    fault = None
    statements_left = None
    conflicts = ("", 0)
    # What somebody else does before the next statement that has some words in it.
    before = None

    def fault_for(self, sqls):
        """Which statement is to fail; `None` if none is."""
        if self.fault is None or self.fault[1] >= len(sqls) or not any(self.fault[0] in sql for sql in sqls):
            return None
        (_, at), self.fault = self.fault, None
        return at


    def trouble(self, sql):
        """What tests have asked for at this statement: that the caller is `gone`, or a `conflict`, since another commit
        came first."""
        if self.statements_left is not None:
            if self.statements_left == 0:
                return "gone"
            self.statements_left -= 1
        if self.before and self.before[0] in sql:
            (_, others), self.before = self.before, None
            self.execute(others)
        words, times = self.conflicts
        if times and words in sql:
            self.conflicts = (words, times - 1)
            return "conflict"
        return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    twin = None
    lock = threading.RLock()

    def do_GET(self):
        self.do_POST()

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
        with self.lock:
            try:
                if self.path.startswith("/twin/"):
                    return self.answer(200, getattr(self.twin, self.path.removeprefix("/twin/"))(json.loads(text)))
                answer = self.twin.engine.serve(self.command, self.path, self.headers, text)
            except Exception as error:
                traceback.print_exc()
                return self.answer(500, {"__type": "InternalServerException", "message": repr(error)})
            if self.is_lost(text):
                return
        self.answer(*answer)

    def is_lost(self, text):
        lost = next((it for it in self.twin.lost if it[0] in text and it[1] in self.path and it[2] in text), None)
        if lost is None:
            return False
        self.twin.lost.remove(lost)
        self.close_connection = True
        return True

    def do_PUT(self):
        """S3: an object in a bucket that some database has. Or a part of what is sent to an engine."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if hasattr(self.twin.engine, "put"):
            with self.lock:
                answer = self.twin.engine.put(self.path, self.headers, body)
                if self.is_lost(self.headers["Content-Range"]):
                    return
            return self.answer(*answer)
        if "aws-chunked" in self.headers.get("Content-Encoding", ""):
            body = unchunked(body)
        path = self.object()
        if path is None:
            return self.answer(404, {})
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(body)
        self.answer(200, {})

    def do_DELETE(self):
        if hasattr(self.twin.engine, "put"):
            return self.do_POST()
        path = self.object()
        if path is not None and os.path.exists(path):
            os.remove(path)
        self.answer(200, {})

    def object(self):
        bucket, _, key = unquote(urlsplit(self.path).path).removeprefix("/").partition("/")
        databases = list(self.twin.databases.values())
        return next((os.path.join(it.buckets[bucket], key) for it in databases if bucket in it.buckets), None)

    def answer(self, status, body, headers={}):
        encoded = json.dumps(body).encode() if status != 204 else b""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if body.keys() == {"data"}:
            # A part of Snowflake's rows that is not the first.
            encoded = gzip.compress(encoded)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    def log_message(self, *_):
        pass


def unchunked(body):
    """Chunks of `LENGTH;...` in hexadecimal, the bytes, and a line's end; the empty one is the last."""
    parts = []
    while True:
        head, _, body = body.partition(b"\r\n")
        length = int(head.partition(b";")[0], 16)
        if length == 0:
            return b"".join(parts)
        parts.append(body[:length])
        body = body[length + 2 :]


def main():
    # Parsed statements are circles of objects, many thousands each, and gone at once.
    gc.freeze()
    gc.set_threshold(100_000)
    Handler.twin = Twin(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()
    for database in Handler.twin.databases.values():
        database.close()


if __name__ == "__main__":
    main()
