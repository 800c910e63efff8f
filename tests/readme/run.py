"""Runs each command of the pages below, copied out of the file, and follows each link between the repository's pages; the
places of ten tasks of a new user are two clicks from the README at the most.

Commands are the blocks that begin with ```sh. Those of a page run in one shell, in an empty folder, as somebody would paste
them; `hubspot-source` is the built command and asks a fake account, `make` checks that the target exists, and runs what
`make demo` runs. A block behind a line `<!-- not run: REASON -->` needs what is not here, such as an AWS account: each of
its commands is held to what its program takes, and each <Name> in it must be an output of the stack.
"""

import contextlib
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import links

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/dbt"))
from bench import BUILT, TOOLS, Postgres, built  # noqa: E402

PAGES = ["README.md", "docs/getting-started.md", "docs/cli.md"]
# What the pages call things that have a name of the test's own here.
TOKEN, POSTGRES = "pat-...", "postgres://loader@localhost/analytics"
ACCOUNT = ["--limits", "off", "--contacts", "200", "--companies", "50", "--deals", "60", "--email-events", "200",
           "--objects", "tickets=20,notes=20"]


def blocks(text):
    """The blocks of commands of a page: line, reason why it is not run, text."""
    pattern = r"(?:^<!-- not run: ([^\n]+) -->\n)?^```sh\n(.*?)^```$"
    found = [(text[:it.start(2)].count("\n") + 1, it[1], it[2]) for it in re.finditer(pattern, text, re.M | re.S)]
    assert len(found) == len(re.findall(r"^```sh$", text, re.M)), "a block is not seen"
    return found


def commands(block):
    """The single commands of a block, each as words."""
    joined = re.sub(r"\\\n\s*", "", block)
    placeholders = re.sub(r"<(\w+)>", r"\1", joined)
    for line in placeholders.splitlines():
        for command in line.split(" && "):
            words = shlex.split(command, comments=True)
            if words and not re.match(r"(export|cd)$|\w+=", words[0]):
                yield words


def refused(words):
    """The reason why a command's program would not take it, or nothing."""
    program, rest = words[0], words[1:]
    if program == "hubspot-source":
        run = [built(program), *rest, "--help"]
    elif program == "sam":
        run = [TOOLS / "sam/bin/sam", *rest, "--help"]
    elif program == "aws":
        run = [TOOLS / "moto/bin/python", ROOT / "tests/readme/aws.py", *rest]
    elif program == "make":
        run = ["make", "--dry-run", "--directory", ROOT, *rest]
    else:
        return f"nobody here knows {program}"
    environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"} | {"SAM_CLI_TELEMETRY": "0"}
    done = subprocess.run(run, capture_output=True, text=True, env=environment)
    return None if done.returncode == 0 else (done.stderr or done.stdout).strip() or "refused"


def check_parsed(page, text):
    outputs = (ROOT / "template.yaml").read_text().split("\nOutputs:\n")[1]
    for line, reason, block in blocks(text):
        if reason:
            for name in re.findall(r"<(\w+)>", block):
                if f"\n  {name}:\n" not in f"\n{outputs}":
                    yield f"{page}:{line}: the stack has no output {name}"
            for words in commands(block):
                why = refused(words)
                if why:
                    yield f"{page}:{line}: {shlex.join(words)}: {why}"


def check_subcommands():
    """A line for each subcommand without a section and an example in docs/cli.md."""
    helped = subprocess.run([built("hubspot-source"), "--help"], capture_output=True, text=True, check=True).stdout
    listed = helped.split("Commands:")[1].split("Options:")[0]
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", (ROOT / "docs/cli.md").read_text(), re.M | re.S))
    for name in re.findall(r"^  ([a-z]+)  ", listed, re.M):
        if name != "help" and f"hubspot-source {name}" not in sections.get(name, ""):
            yield f"docs/cli.md: no section with an example of {name}"


def script(page, text):
    """The commands of a page that are run, as one script that says where it is."""
    runnable = [(line, block) for line, reason, block in blocks(text) if not reason]
    return "".join(f"echo {shlex.quote(f'{page}:{line}')} >&2\n{block}" for line, block in runnable)


@contextlib.contextmanager
def account():
    command = [built("fake-hubspot"), "--token", TOKEN, *ACCOUNT]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield server.stdout.readline().split()[-1]
    finally:
        server.kill()
        server.wait()


def stand_ins(folder, url, postgres):
    """Puts `hubspot-source` where a build would, and a `make` that builds nothing into `bin`."""
    release, bin_folder = folder / "target/release", folder / "bin"
    program = f"""#!/usr/bin/env bash
words=()
for word in "$@"; do
    case $word in {POSTGRES}) word="{postgres}" ;; esac
    words+=("$word")
done
case ${{1:-}} in sync | doctor | plan | init) words+=(--hubspot-url "{url}") ;; esac
exec "{built("hubspot-source")}" "${{words[@]}}"
"""
    make = f"""#!/usr/bin/env bash
set -euo pipefail
recipe=$(env -u MAKEFLAGS -u MAKELEVEL -u CARGO_TARGET_DIR "{real_make()}" --no-print-directory --dry-run --directory "{ROOT}" "$@")
case "$*" in demo) eval "$(tail -n 1 <<<"$recipe")" ;; esac
"""
    for path, text in [(release / "hubspot-source", program), (bin_folder / "make", make)]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    return bin_folder


def real_make():
    return subprocess.run(["bash", "-c", "command -v make"], check=True, capture_output=True, text=True).stdout.strip()


def run(page, text, url, postgres):
    """Runs a page's commands; the place and the words of a failure, or nothing, and the folder's rows of contacts."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        path = os.pathsep.join([str(stand_ins(folder, url, postgres)), os.environ["PATH"]])
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("HUBSPOT_", "MAKE"))}
        shell = ["bash", "-euo", "pipefail", "-c", script(page, text)]
        done = subprocess.run(shell, cwd=folder, env=environment | {"PATH": path}, capture_output=True, text=True)
        if done.returncode != 0:
            return f"ended with {done.returncode}; the last block began at the last page:line below\n{done.stderr}{done.stdout[-2000:]}", 0
        return None, contacts(folder / "warehouse.duckdb")


def contacts(database):
    import duckdb

    if not database.exists():
        return 0
    with duckdb.connect(str(database), read_only=True) as connection:
        return connection.execute("SELECT count(*) FROM hubspot.contacts").fetchone()[0]


def check_the_checks(url):
    """Each check must see the fault that it is for."""
    fence = "```"
    unseen = []
    for words in [["hubspot-source", "status", "--stak", "acme"], ["hubspot-source", "statsu"], ["make", "demmo"],
                  ["aws", "secretsmanager", "put-secret-value", "--secret-id", "x", "--secret-text", "y"],
                  ["sam", "build", "--guidedd"]]:
        if not refused(words):
            unseen.append(shlex.join(words))
    broken_page = f"<!-- not run: a test -->\n{fence}sh\naws sqs purge-queue --queue-url <NoSuchOutput>\n{fence}\n"
    if not list(check_parsed("a page", broken_page)):
        unseen.append("<NoSuchOutput>")
    for command in ["hubspot-source sync --state ./state", "make demmo", "hubspot-source doctor"]:
        failed, _ = run("a page", f"{fence}sh\nexport PATH=$PWD/target/release:$PATH\n{command}\n{fence}\n", url, "")
        if not failed:
            unseen.append(command)
    page, other = ROOT / "README.md", ROOT / "docs/README.md"
    for text in ["[a](docs/none.md)", "[a](docs/README.md#none)", "[a](#none)", "[a]: docs/none.md"]:
        if not list(links.broken({page: text, other: "# Index"})):
            unseen.append(text)
    if not list(links.far({page: "[a](docs/README.md)", other: "# Index", ROOT / "docs/lost.md": ""})):
        unseen.append("a page without a link to it")
    misled = {page: "[Operate](docs/README.md)", other: "[upgrade](faq.md)"}
    if not list(links.lost(misled, [("upgrade", ["Operate", "upgrade"], "operate.md#upgrade")])):
        unseen.append("a link that misleads")
    return unseen


def main():
    pages = links.pages()
    faults = [*links.broken(pages), *links.far(pages), *links.lost(pages), *links.wide(pages), *check_subcommands()]
    ran = held = 0
    with account() as url, Postgres() as server:
        # As docs/warehouses/postgresql.md has it.
        for sql in re.findall(r"^(?:CREATE|GRANT) .*;$", (ROOT / "docs/warehouses/postgresql.md").read_text(), re.M):
            server.run(sql)
        postgres = f"postgres://loader@127.0.0.1:{server.port}/analytics?sslmode=disable"
        for name in PAGES:
            text = (ROOT / name).read_text()
            faults += check_parsed(name, text)
            failed, rows = run(name, text, url, postgres)
            if failed:
                faults.append(f"{name}: {failed}")
            elif rows < 200:
                faults.append(f"{name}: its commands leave {rows} contacts in warehouse.duckdb")
            ran += sum(len(list(commands(block))) for _, reason, block in blocks(text) if not reason)
            held += sum(len(list(commands(block))) for _, reason, block in blocks(text) if reason)
        faults += [f"tests/readme: nobody saw the fault in {it}" for it in check_the_checks(url)]
    if faults:
        sys.exit("\n".join(faults))
    count = sum(len(list(links.links(text))) for text in pages.values())
    print(f"{ran} commands of {len(PAGES)} pages run, {held} held to their programs; {count} links in {len(pages)} pages lead somewhere")


if __name__ == "__main__":
    main()
