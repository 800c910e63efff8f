"""Runs Fivetran's dbt_hubspot on a synced account: `package.py PATH`. See scripts/dbt-hubspot."""

import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

from bench import Postgres, account, dbt, die, hubspot_source, profiles, sync

NEEDED = ["hubspot", "fivetran_utils", "dbt_utils", "spark_utils"]

# Everything that the package leaves off.
SWITCHES = [
    "hubspot_service_enabled",
    "hubspot_contact_merge_audit_enabled",
    "hubspot_merged_deal_enabled",
    "hubspot_ticket_deal_enabled",
    "hubspot_engagement_communication_enabled",
    "hubspot_role_enabled",
    "hubspot_team_enabled",
    "hubspot_using_all_email_events",
]


def packages(path):
    """The packages in a folder, in its `dbt_packages` and beside it, by their names."""
    found = {}
    for folder in [path, *path.glob("*"), *path.glob("dbt_packages/*"), *path.parent.glob("*")]:
        project = folder / "dbt_project.yml"
        name = project.is_file() and re.search(r"^name: *['\"]?(\w+)", project.read_text(), re.MULTILINE)
        if name:
            found.setdefault(name[1], folder)
    missing = [name for name in NEEDED if name not in found]
    if missing:
        die(f"{path} has no package {', '.join(missing)}, nor has the folder around it: run `dbt deps` in it first")
    return {name: found[name] for name in NEEDED}


def project(folder, found):
    for name, package in found.items():
        leave_out = shutil.ignore_patterns("integration_tests", "dbt_packages", "target", ".git", "docs")
        shutil.copytree(package, folder / "dbt_packages" / name, ignore=leave_out)
    switches = "".join(f"    {name}: true\n" for name in SWITCHES)
    (folder / "dbt_project.yml").write_text(
        "name: dbt_hubspot_run\nversion: '1.0.0'\nconfig-version: 2\nprofile: hubspot_source\n"
        f"vars:\n  hubspot:\n    hubspot_schema: hubspot_fivetran\n{switches}"
    )


def main():
    found = packages(Path(sys.argv[1]).resolve())
    version = re.search(r"version: *['\"]?([\d.]+)", (found["hubspot"] / "dbt_project.yml").read_text())[1]
    with tempfile.TemporaryDirectory() as folder, Postgres() as server:
        work = Path(folder)
        with account() as url:
            sync(url, server.url, work / "state")
        profiles(work, work / "unused.duckdb", server.port)
        said = hubspot_source("dbt", work / "tables", "--warehouse", server.url)
        print(said.strip().replace(str(work) + "/", ""))
        is_well, log = dbt("run", project=work / "tables", target="postgres", profiles=work)
        if not is_well:
            die(log)
        project(work / "run", found)
        is_well, log = dbt("build", project=work / "run", target="postgres", profiles=work)
        target = work / "run/target"
        if not (target / "run_results.json").is_file():
            die(log)
        manifest = json.loads((target / "manifest.json").read_text())
        results = json.loads((target / "run_results.json").read_text())["results"]
        for kind, done in [("model", "success"), ("test", "pass")]:
            of_kind = [it for it in results if it["unique_id"].startswith(f"{kind}.hubspot.")]
            well = sum(it["status"] == done for it in of_kind)
            print(f"dbt_hubspot {version}: {well} of {len(of_kind)} {kind}s {'built' if kind == 'model' else 'passed'}")
        off = [name for name in manifest["disabled"] if name.startswith(("model.hubspot.", "test.hubspot."))]
        print(f"switched off: {', '.join(off) or 'nothing'}")
        ends = [node for node in manifest["nodes"].values() if re.fullmatch(r"model\.hubspot\.hubspot__\w+", node["unique_id"])]
        count = lambda node: server.execute(f'SELECT count(*) FROM {node["relation_name"]}')[0][0]
        empty = [node["name"] for node in ends if count(node) == 0]
        print(f"end tables with rows: {len(ends) - len(empty)} of {len(ends)}; empty: {', '.join(empty) or 'none'}")
        if not is_well:
            die("\n".join(f"{it['unique_id']}: {it['message']}" for it in results if it["status"] not in ("success", "pass")))
        return bool(off or empty or "! " in said)


if __name__ == "__main__":
    sys.exit(main())
