"""What docs/applications.md tells its reader to write, read out of it, so that what is tested is what is told."""

import pathlib
import re
import tomllib

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = REPOSITORY / "docs" / "applications.md"


def acl_lines():
    """The lines of the document's blocks of ACL, each of them `user NAME on …`, by the name."""
    lines = {}
    for line in "".join(blocks("acl")).splitlines():
        name = re.fullmatch(r"user (\S+) on .+", line).group(1)
        assert name not in lines, f"two lines for {name}"
        lines[name] = line
    return lines


def scripting_users():
    """The users that the document's block of TOML names as such."""
    return tomllib.loads("".join(blocks("toml")))["block"]["scripting-users"]


def assert_versions():
    """The document names the versions that are installed."""
    text = " ".join(DOCUMENT.read_text().split()).lower()
    for line in (pathlib.Path(__file__).parent / "requirements.txt").read_text().lower().splitlines():
        if not line.startswith("packaging"):  # which Celery forgets to ask for
            name, version = line.split("==")
            name = {"redis": "redis-py"}.get(name, name)
            assert f"{name} {version}" in text, f"{DOCUMENT} does not say {name} {version}"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
