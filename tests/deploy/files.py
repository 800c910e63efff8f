"""Holds deploy/'s Dockerfile, compose file, units and crontab to each other, and runs the command of the crontab."""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
PROGRAM = "/opt/hubspot-source/hubspot-source"
# What a program of ours says of its environment, in the place of the real one.
STUB = """#!/bin/sh
echo "token=$HUBSPOT_TOKEN password=$WAREHOUSE_PASSWORD folder=$(basename "$PWD") words=$*"
"""


def check_compose():
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = compose["services"]
    dockerfile = (DEPLOY / services["sync"]["build"]["dockerfile"].removeprefix("deploy/")).read_text()
    if f'ENTRYPOINT ["{PROGRAM}"]' not in dockerfile:
        yield f"the image's program is not {PROGRAM}"
    user = re.search(r"^USER (\S+)$", dockerfile, re.M)
    if not user or f"--chown={user[1]} /data /data" not in dockerfile:
        yield "the image's user does not own /data"
    for service in services.values():
        for volume in service["volumes"]:
            if volume.split(":")[0] not in compose["volumes"]:
                yield f"{volume} is no volume of the compose file"
        for name, value in service["environment"].items():
            if re.search(r"TOKEN|PASSWORD", name) and not re.match(r"\$\{\w+:\?", str(value)):
                yield f"{name} has a value in the compose file"
    words = services["sync"]["command"]
    if services["sync"]["volumes"] != ["state:/data"] or not words[words.index("--state") + 1].startswith("/data/"):
        yield "the state is not in the volume"
    owner, database = (services["warehouse"]["environment"][f"POSTGRES_{name}"] for name in ("USER", "DB"))
    if f"postgres://{owner}@warehouse/{database}" not in words:
        yield f"the sync does not go to the PostgreSQL of the compose file: {words}"


def check_commands():
    """The commands of unit and crontab start the program of the release's archive, and mean the same."""
    unit = re.search(r"^ExecStart=(.*)$", (DEPLOY / "systemd/hubspot-source.service").read_text(), re.M)[1]
    lines = [line for line in (DEPLOY / "cron/hubspot-source").read_text().splitlines() if line and line[0] not in "#S"]
    if len(lines) != 1:
        yield f"the crontab has {len(lines)} commands"
        return
    *when, user, command = lines[0].split(maxsplit=6)
    if len(when) != 5 or user != "hubspot-source" or "%" in command:
        yield f"cron would not understand {lines[0]}"
    of_unit = shlex.split(unit.replace("${STATE_DIRECTORY}/", ""))
    if of_unit[0] != PROGRAM:
        yield f"the unit starts {of_unit[0]}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "hubspot-source").mkdir()
        (folder / "program").write_text(STUB)
        (folder / "program").chmod(0o755)
        (folder / "env").write_text("HUBSPOT_TOKEN=pat-1\nWAREHOUSE_PASSWORD='a b'\n")
        here = (command.replace(PROGRAM, str(folder / "program")).replace("/etc/hubspot-source/env", str(folder / "env"))
                .replace("/var/lib/hubspot-source", str(folder / "hubspot-source")).replace("logger -t hubspot-source", "cat"))
        done = subprocess.run(["/bin/sh", "-c", here], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)
        wanted = f"token=pat-1 password=a b folder=hubspot-source words={' '.join(of_unit[1:])}\n"
        if done.stdout != wanted:
            yield f"the command of the crontab says {done.stdout!r} {done.stderr!r}, not {wanted!r}"


if __name__ == "__main__":
    found = [*check_compose(), *check_commands()]
    for line in found:
        print(line)
    print(f"compose file, units and crontab: {len(found)} differences")
    sys.exit(1 if found else 0)
