"""Holds deploy/'s Dockerfile, compose file, jobs of Kubernetes, units and crontab to each other and to template.yaml, and runs
the command of the crontab."""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from fnmatch import fnmatch
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
sys.path.insert(0, str(ROOT / "tests/template"))
from check import Loader  # noqa: E402

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


def check_context():
    """What the image copies is sent to the builder: .dockerignore keeps all away but what it names."""
    first, *others = (ROOT / ".dockerignore").read_text().split()
    kept = [pattern.removeprefix("!") for pattern in others]
    if first != "*" or [f"!{pattern}" for pattern in kept] != others:
        yield f".dockerignore does not begin with all, to name what is kept: {[first, *others]}"
    for words in re.findall(r"^COPY (?!--from)(.*) \S+$", (DEPLOY / "Dockerfile").read_text(), re.M):
        for source in words.split():
            if not any(fnmatch(source, pattern) for pattern in kept):
                yield f".dockerignore keeps {source} from the image"


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


def fields(value, allowed, where):
    """Fields of Kubernetes that are not among those that are meant: a misspelt one would be dropped, or refused."""
    for name in sorted(set(value) - set(allowed.split())):
        yield f"{where}: {name} is no field that is used there"


def check_jobs():
    """The jobs run the image's programs with the variables that the template gives the functions."""
    template = yaml.load((ROOT / "template.yaml").read_text(), Loader)
    functions = {name: resource["Properties"] for name, resource in template["Resources"].items()
                 if resource["Type"] == "AWS::Serverless::Function"}
    feeds = {of["Environment"]["Variables"]["FEED"] for of in functions.values() if "FEED" in of["Environment"]["Variables"]}
    everyone = set(template["Globals"]["Function"]["Environment"]["Variables"])
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    documents = list(yaml.safe_load_all((DEPLOY / "kubernetes/cronjob.yaml").read_text()))
    kinds = [document["kind"] for document in documents]
    if kinds != ["ServiceAccount", "ConfigMap", "CronJob", "CronJob"]:
        yield f"the jobs of Kubernetes are {kinds}"
        return
    account, config, *jobs = documents
    given = config["data"]
    known = everyone | set().union(*(of["Environment"]["Variables"] for of in functions.values())) | {"RUN_SECONDS", "AWS_REGION"}
    for name in sorted(set(given) - known):
        yield f"{name} is no variable of a function"
    for name, value in given.items():
        if not isinstance(value, str):
            yield f"{name} is no text, which a ConfigMap has to hold"
    of_load = functions["Load"]["Environment"]["Variables"]
    for name in ("WITHOUT_HISTORY", "SEGMENT_COLLECTIONS", "METADATA_COLLECTIONS", "PERSON_COLUMNS"):
        if given.get(name) != of_load[name]:
            yield f"{name} of the jobs is not that of the template"
    if set(given["SCHEDULED_FEEDS"].split(",")) != feeds:
        yield f"SCHEDULED_FEEDS of the jobs is not {sorted(feeds)}"
    read = set()
    for job in jobs:
        spec = job["spec"]
        yield from fields(spec, "schedule concurrencyPolicy jobTemplate", job["metadata"]["name"])
        yield from fields(spec["jobTemplate"]["spec"], "backoffLimit podFailurePolicy template", job["metadata"]["name"])
        if spec["concurrencyPolicy"] != "Forbid" or not re.fullmatch(r"(\S+ ){4}\S+", spec["schedule"]):
            yield f"{job['metadata']['name']} has no schedule, or runs twice at once"
        pod = spec["jobTemplate"]["spec"]["template"]["spec"]
        yield from fields(pod, "serviceAccountName restartPolicy terminationGracePeriodSeconds securityContext containers volumes",
                          job["metadata"]["name"])
        if pod["restartPolicy"] != "Never" or pod["serviceAccountName"] != account["metadata"]["name"]:
            yield f"{job['metadata']['name']}: podFailurePolicy needs restartPolicy Never, and the pod the service account"
        if f"USER {pod['securityContext']['runAsUser']}" not in dockerfile:
            yield f"{job['metadata']['name']} has another user than the image"
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            yield from fields(container, "name image command args env envFrom resources securityContext volumeMounts",
                              container["name"])
            program = Path(container["command"][0])
            if program.parent != Path(PROGRAM).parent or program.name not in ("extract", "load"):
                yield f"{container['name']} starts {program}"
            if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", container["name"]):
                yield f"{container['name']} is no name of a container"
            if [json.loads(argument) for argument in container["args"]] != [{"trigger": "schedule"}]:
                yield f"{container['name']} has the arguments {container['args']}"
            if {mount["name"] for mount in container["volumeMounts"]} - volumes or container["volumeMounts"][0]["mountPath"] != "/tmp":
                yield f"{container['name']} has no folder for files"
            if container["envFrom"] != [{"configMapRef": {"name": config["metadata"]["name"]}}]:
                yield f"{container['name']} does not have the variables"
            read.update(variable["value"] for variable in container.get("env", []) if variable["name"] == "FEED")
    if read != feeds:
        yield f"the jobs read {sorted(read)}, and the stack {sorted(feeds)}"
    for function in ("extract", "load"):
        if f"dist/hubspot-source-{function}-*.zip" not in dockerfile:
            yield f"the image has no {function}"


if __name__ == "__main__":
    found = [*check_compose(), *check_context(), *check_commands(), *check_jobs()]
    for line in found:
        print(line)
    print(f"image, compose file, jobs of Kubernetes, units and crontab: {len(found)} differences")
    sys.exit(1 if found else 0)
