"""What `respgate acl preset` prints, and a user who logs in with it."""

import dataclasses
import subprocess

import document

# Of no use to anybody: the listener is on loopback and ends with the test.
PASSWORD = "of-a-test"


@dataclasses.dataclass(frozen=True)
class Grant:
    user: str
    # Pasted as printed, but for the hash of a password.
    acl: str
    settings: str
    password: str | None


def grant(respgate, preset, with_password):
    """As the document asks for this preset."""
    _, *arguments = document.commands()[preset]
    acl = run([respgate, *arguments])
    user = arguments[arguments.index("--user") + 1]
    settings = "\n".join(line.removeprefix("#     ") for line in acl.splitlines() if line.startswith("#     "))
    if with_password:
        hashed = run([respgate, "hash-password"], input=PASSWORD).strip()
        assert acl.count(f"\nuser {user} on ") == 1, acl
        acl = acl.replace(f"\nuser {user} on ", f"\nuser {user} on {hashed} ")
    return Grant(user, acl, settings, PASSWORD if with_password else None)


def run(command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **options).stdout
