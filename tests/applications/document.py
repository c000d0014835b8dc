"""What docs/applications.md tells its reader to do, read out of it, so that what is tested is what is told."""

import pathlib
import re

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = REPOSITORY / "docs" / "applications.md"


def commands():
    """The document's commands `respgate acl preset NAME --user USER …`, as lists of words, by the name of the preset."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    commands = {}
    for command in "".join(blocks).splitlines():
        words = command.split()
        assert words[:3] == ["respgate", "acl", "preset"] and words[4] == "--user", command
        assert words[3] not in commands, f"{words[3]} is there twice"
        commands[words[3]] = words
    return commands


def assert_versions():
    """The document names the versions that are installed."""
    text = " ".join(DOCUMENT.read_text().split()).lower()
    for line in (pathlib.Path(__file__).parent / "requirements.txt").read_text().lower().splitlines():
        if not line.startswith("packaging"):  # which Celery forgets to ask for
            name, version = line.split("==")
            name = {"redis": "redis-py"}.get(name, name)
            assert f"{name} {version}" in text, f"{DOCUMENT} does not say {name} {version}"
