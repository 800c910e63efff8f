"""An account, the command, and warehouses to run dbt on. All that is started here ends with its `with`."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".cache/tools"
BUILT = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / os.environ.get("PROFILE", "ci")
TOKEN = "pat-na1-fake"
NOBODY = 65534

# Records of every kind that a view reads, and of a custom object.
RECORDS = "tickets=60,notes=30,calls=40,emails=50,meetings=20,tasks=30,communications=15,line_items=30,2-3444025=20"
ACCOUNT = ["--limits", "off", "--contacts", "200", "--companies", "50", "--deals", "80", "--email-events", "500"]


def die(message):
    sys.exit(f"tests/dbt: {message}")


def built(name):
    path = BUILT / name
    return path if path.is_file() else die(f"no {path}: cargo build --profile ci --workspace --bins")


@contextlib.contextmanager
def account():
    """A fake account; its URL."""
    command = [built("fake-hubspot"), *ACCOUNT, "--objects", RECORDS]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield server.stdout.readline().split()[-1]
    finally:
        server.kill()
        server.wait()


def hubspot_source(*arguments):
    """Runs the command; what it prints."""
    environment = os.environ | {"HUBSPOT_TOKEN": TOKEN}
    run = subprocess.run([built("hubspot-source"), *arguments], env=environment, capture_output=True, text=True)
    if run.returncode != 0:
        die(f"hubspot-source {' '.join(map(str, arguments))} ended with {run.returncode}:\n{run.stdout}{run.stderr}")
    return run.stdout


def sync(url, warehouse, state, collections="all"):
    where = ["--hubspot-url", url, "--warehouse", warehouse, "--state", state]
    hubspot_source("sync", *where, "--collections", collections, "--compat", "fivetran")


class Postgres:
    """A server of the newest version that `scripts/setup --tests` has fetched, in a folder of its own."""

    def __enter__(self):
        fetched = sorted((TOOLS / "postgres").glob("*/bin/postgres"))
        if not fetched:
            die("no PostgreSQL: scripts/setup --tests fetches it")
        # It refuses to run as root, and nobody else may be allowed to read the checkout.
        self.folder = Path(tempfile.mkdtemp(prefix="pg"))
        shutil.copytree(fetched[-1].parents[1], self.folder / "server", symlinks=True)
        self.user = {}
        if os.getuid() == 0:
            self.user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            for path in [self.folder, *self.folder.rglob("*")]:
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        binaries, data = self.folder / "server/bin", self.folder / "data"
        initdb = [binaries / "initdb", "-D", data, "--username=postgres", "--auth=trust", "--no-sync", "--locale=C", "--encoding=UTF8"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, **self.user)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        settings = ["-c", "fsync=off", "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.folder}"]
        with open(self.folder / "log", "w") as log:
            server = [binaries / "postgres", "-D", data, "-p", str(self.port), *settings]
            self.server = subprocess.Popen(server, stdout=log, stderr=log, **self.user)
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/postgres?sslmode=disable"
        for _ in range(600):
            with contextlib.suppress(OSError), open(data / "postmaster.pid") as status:
                if "ready" in status.read():
                    return self
            time.sleep(0.1)
        die((self.folder / "log").read_text())

    def __exit__(self, *_):
        self.server.kill()
        self.server.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def connect(self):
        import psycopg2

        connection = psycopg2.connect(host="127.0.0.1", port=self.port, user="postgres", dbname="postgres")
        connection.autocommit = True
        return connection

    def run(self, sql, fetch=lambda cursor: None):
        with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return fetch(cursor)

    def execute(self, sql):
        return self.run(sql, lambda cursor: cursor.fetchall())


def profiles(folder, database, port):
    """Writes the profile `hubspot_source`, with a target for each warehouse."""
    (folder / "profiles.yml").write_text(
        f"""hubspot_source:
  target: duckdb
  outputs:
    duckdb: {{type: duckdb, path: "{database}", schema: dbt, threads: 2}}
    postgres: {{type: postgres, host: 127.0.0.1, port: {port}, user: postgres, password: "", dbname: postgres, schema: dbt, threads: 2}}
"""
    )


def dbt(*arguments, project, target, profiles):
    """Runs dbt; `True`: it ended well. What it prints comes with it."""
    where = ["--project-dir", project, "--profiles-dir", profiles, "--target", target]
    command = [TOOLS / "dbt/bin/dbt", "--no-use-colors", *arguments, *where]
    run = subprocess.run(command, capture_output=True, text=True)
    return run.returncode == 0, run.stdout + run.stderr
