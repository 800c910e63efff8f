"""The golden statements in the snapshots of the tests."""

import re


def statements(path):
    """The statements of a snapshot, behind its head: one a paragraph, or one a line with the number of its purpose."""
    text = path.read_text().split("---\n", 2)[2]
    if re.match(r"(-|\d+): ", text):
        return [re.sub(r"^(-|\d+): ", "", line) for line in text.splitlines() if line]
    return [part for part in re.split(r";?\n\n+", text.strip()) if part]
