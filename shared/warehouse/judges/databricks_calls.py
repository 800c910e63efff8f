"""A judge of the calls to Databricks' API: minilake, which speaks it, on a DuckDB of its own. Makes a catalog and a SQL warehouse, prints its
port and that warehouse's id, and serves until its standard input ends. It takes any token, executes each statement before
it answers, and knows no `MERGE`: what statements mean is judged elsewhere."""

import json
import os
import socket
import sys
import tempfile
import threading
import time
import urllib.request

# It logs to standard output, and keeps its files in the folder that it is started in.
OUTPUT = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
FOLDER = tempfile.TemporaryDirectory(prefix="minilake-")
os.chdir(FOLDER.name)
os.environ["HOME"] = FOLDER.name

from minilake.cli import main as run


def made(port, path, body):
    headers = {"Content-Type": "application/json"}
    call = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(call) as answer:
        return json.load(answer)


def announce(port):
    """When it takes calls."""
    while True:
        with socket.socket() as caller:
            if caller.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    made(port, "/api/2.1/unity-catalog/catalogs", {"name": "hub"})
    id = made(port, "/api/2.0/sql/warehouses", {"name": "loader", "cluster_size": "2X-Small"})["id"]
    os.write(OUTPUT, f"{port} {id}\n".encode())
    sys.stdin.read()
    FOLDER.cleanup()
    os._exit(0)


def main():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    threading.Thread(target=announce, args=(port,), daemon=True).start()
    sys.argv = ["minilake", "--port", str(port)]
    run()


if __name__ == "__main__":
    main()
