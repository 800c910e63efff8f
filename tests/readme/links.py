"""Links between the pages of the repository: where one leads nowhere, and pages that nobody finds."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What a new user looks for, the links to click, from the README on, and what the place is about.
TASKS = [
    ("get the first rows", ["Getting started"], "getting-started.md"),
    ("add a scope", ["Operate", "add a scope"], "operate.md#add-a-scope"),
    ("deploy", ["Deploy"], "deploy.md"),
    ("change a schedule", ["Operate", "change a schedule"], "operate.md#change-a-schedule"),
    ("backfill a month", ["Operate", "backfill a month"], "operate.md#backfill-a-month"),
    ("add a warehouse", ["Operate", "add or change a warehouse"], "operate.md#add-or-change-a-warehouse"),
    ("see to an alarm", ["Operate", "alarms"], "operate.md#alarms"),
    ("go back a version", ["Operate", "go back a version"], "operate.md#go-back-a-version"),
    ("forget a person", ["One command"], "data-protection.md"),
    ("upgrade", ["Operate", "upgrade"], "operate.md#upgrade"),
]
# A page that is further from the README than this is not found by a new user.
CLICKS = 2
WIDTH = 120


def pages():
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], cwd=ROOT,
                            check=True, capture_output=True, text=True).stdout.split()
    return {ROOT / name: (ROOT / name).read_text() for name in listed if (ROOT / name).exists()}


def prose(text):
    """The lines that are not code, each with its number."""
    fence, lines = None, []
    for number, line in enumerate(text.splitlines(), 1):
        mark = re.match(r"\s*(```+)", line)
        if mark and (fence is None or mark[1] == fence):
            fence = mark[1] if fence is None else None
        elif fence is None and not line.startswith("    "):
            lines.append((number, line))
    return lines


def anchors(text):
    """The anchors of a page, as GitHub makes them of its headings."""
    found = set()
    for _, line in prose(text):
        heading = re.match(r"#{1,6} (.*)", line)
        if heading:
            shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).strip().lower()
            plain = re.sub(r"[^\w\- ]", "", shown).replace(" ", "-")
            name, count = plain, 0
            while name in found:
                count += 1
                name = f"{plain}-{count}"
            found.add(name)
    return found


def links(text):
    """The links of a page that lead to a file or a heading of the repository, each with its line."""
    lines = [(number, re.sub(r"`[^`]*`", "", line)) for number, line in prose(text)]
    for number, line in lines:
        for target in re.findall(r"\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)", line):
            target = "".join(target)
            if target and not re.match(r"[a-z]+:", target):
                yield number, target


def resolve(page, target):
    path, _, anchor = target.partition("#")
    return ((page.parent / path).resolve() if path else page), anchor


def broken(pages):
    """A line for each link that leads nowhere."""
    for page, text in pages.items():
        for number, target in links(text):
            to, anchor = resolve(page, target)
            where = f"{page.relative_to(ROOT)}:{number}: {target}"
            if not to.exists():
                yield f"{where}: there is no such file"
            elif anchor and to.suffix == ".md" and anchor not in anchors(pages.get(to, "")):
                yield f"{where}: no heading of {to.relative_to(ROOT)} has this name"


def far(pages):
    """A line for each page of docs that the README does not lead to in two clicks, or that neither it nor the index lists."""
    here, reached = {ROOT / "README.md"}, {ROOT / "README.md"}
    for _ in range(CLICKS):
        here = {resolve(page, target)[0] for page in here for _, target in links(pages.get(page, ""))} - reached
        reached |= here
    index = ROOT / "docs/README.md"
    contents = (index, ROOT / "README.md")
    listed = {resolve(page, target)[0] for page in contents for _, target in links(pages.get(page, ""))}
    for page in pages:
        if (ROOT / "docs") in page.parents and page != index:
            if page not in reached:
                yield f"{page.relative_to(ROOT)}: further than {CLICKS} clicks from README.md"
            if page not in listed:
                yield f"{page.relative_to(ROOT)}: not in docs/README.md"


def lost(pages, tasks=TASKS):
    """A line for each task of a new user whose place the links do not lead to."""
    for task, clicks, place in tasks:
        page, anchor = ROOT / "README.md", ""
        for shown in clicks[:CLICKS]:
            text = "\n".join(line for _, line in prose(pages.get(page, "")))
            target = re.search(r"\[" + re.escape(shown) + r"\]\(([^)\s]+)\)", text)
            if not target:
                yield f"{page.relative_to(ROOT)}: no link {shown!r}, by which one comes to: {task}"
                break
            page, anchor = resolve(page, target[1])
        else:
            end = str(page.relative_to(ROOT / "docs")) + (f"#{anchor}" if anchor else "")
            if end != place:
                yield f"{task}: {clicks} leads to {end}, not to {place}"


def wide(pages):
    """A line for each line of prose that is too long; rows of tables, targets of links and the generated dictionary may be."""
    for page, text in pages.items():
        in_docs = (ROOT / "docs") in page.parents and page.name != "dictionary.md"
        if page == ROOT / "README.md" or in_docs:
            for number, line in prose(text):
                shown = len(re.sub(r"\]\([^)]*\)?", "]", line))
                if shown > WIDTH and not line.startswith("|"):
                    yield f"{page.relative_to(ROOT)}:{number}: {shown} characters"
