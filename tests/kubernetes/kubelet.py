"""What kubelet and the container runtime do to a Pod, as far as a process inside can tell.

All containers share one root, in which each volume is mounted at the path that its container names. The caller has a
mount and a network namespace of its own.
"""

import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

ADDRESS = "127.0.0.1"  # of the node and of the Pod


class Volume:
    """The files of a Secret or ConfigMap. What is shown of them is switched by renaming one link, `..data`."""

    def __init__(self, folder: Path, mode: int, group: int) -> None:
        self.folder, self.mode, self.group = folder, mode, group
        self.written = 0

    def write(self, files: dict[str, bytes]) -> None:
        self.written += 1
        data = self.folder / f"..{self.written}"
        data.mkdir(mode=0o755)
        os.chown(data, 0, self.group)
        for name, content in files.items():
            file = data / name
            file.write_bytes(content)
            os.chown(file, 0, self.group)
            file.chmod(self.mode)
            link = self.folder / name
            if not link.is_symlink():
                link.symlink_to(f"..data/{name}")
        new = self.folder / "..data_tmp"
        new.symlink_to(data.name)
        new.rename(self.folder / "..data")
        old = self.folder / f"..{self.written - 1}"
        if old.is_dir():
            subprocess.run(["rm", "-r", "--", old], check=True)


class Pod:
    """A Pod of `spec`, that of a Pod or of the template of one."""

    def __init__(self, spec: dict, stage: Path, image_environment: dict[str, str]) -> None:
        self.spec, self.stage = spec, stage
        self.image_environment = image_environment
        self.sidecars: list[dict] = spec["initContainers"]
        self.containers: list[dict] = spec["containers"]
        self.volumes: dict[str, Volume] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.root = stage / "root"

    def make_root(self, respgate: Path, contents: dict[str, dict[str, bytes]], claims: list[str]) -> None:
        """Mounts the system's programs, `respgate` beside them, and the Pod's volumes; `contents` are those of its
        Secrets and ConfigMaps by their names, `claims` the names of its volume claims."""
        mount_in_memory(self.root, "0755")
        for name in ["usr", "bin", "sbin", "lib", "lib64"]:
            host = Path("/", name)
            if host.is_symlink():
                (self.root / name).symlink_to(host.readlink())
            elif host.is_dir():
                bind(host, self.root / name)
        for name in ["proc", "dev", "sys"]:
            bind(Path("/", name), self.root / name)
        subprocess.run(["cp", "--", respgate, self.root / "respgate"], check=True)
        group = self.spec["securityContext"]["fsGroup"]
        folders = {volume["name"]: self.make_volume(volume, contents, group) for volume in self.spec["volumes"]}
        folders |= {name: self.make_folder(name, group) for name in claims}
        for container in self.sidecars + self.containers:
            for mounted in container["volumeMounts"]:
                place = self.root / mounted["mountPath"].lstrip("/")
                if not place.is_mount():
                    bind(folders[mounted["name"]], place)
                # As kubelet mounts them whatever is asked for.
                if mounted["name"] in self.volumes:
                    mount("-o", "remount,bind,ro", place)
        mount("-o", "remount,ro", self.root)

    def make_volume(self, volume: dict, contents: dict[str, dict[str, bytes]], group: int) -> Path:
        name = volume["name"]
        source = volume.get("secret") or volume.get("configMap")
        if source is None:
            return self.make_folder(name, group, in_memory=volume["emptyDir"].get("medium") == "Memory")
        folder = self.make_folder(name, group, in_memory="secret" in volume)
        # fsGroup lets the group read, whatever the mode is.
        self.volumes[name] = Volume(folder, source["defaultMode"] | 0o440, group)
        self.volumes[name].write(contents[source.get("secretName") or source.get("name")])
        return folder

    def make_folder(self, name: str, group: int, in_memory: bool = False) -> Path:
        """A new folder is open to everybody, and sticky only in memory, as tmpfs itself makes it."""
        folder = self.stage / "volumes" / name
        if in_memory:
            mount_in_memory(folder, "1777")
        else:
            folder.mkdir(parents=True)
        os.chown(folder, 0, group)
        folder.chmod(0o3777 if in_memory else 0o2777)
        return folder

    def command(self, container: dict, words: list[str]) -> list[str]:
        """Has `words` run in the container."""
        context = self.spec["securityContext"] | container["securityContext"]
        # What the Pod Security Standard `restricted` asks for. All but the seccomp profile is applied here.
        assert context["runAsNonRoot"] and context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        environment = {"PATH": "/usr/bin:/bin"} | self.image_environment
        for variable in container.get("env", []):
            source = variable.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
            assert source in (None, "status.hostIP")
            environment[variable["name"]] = variable["value"] if source is None else ADDRESS
        return [
            *["chroot", str(self.root), "setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"],
            *[f"--reuid={context['runAsUser']}", f"--regid={context['runAsGroup']}", f"--groups={context['fsGroup']}"],
            *["env", "-i", *(f"{name}={value}" for name, value in environment.items()), *words],
        ]

    def run(self, container: dict) -> None:
        words = container.get("command", ["/respgate"]) + container.get("args", [])
        log = (self.stage / f"{container['name']}.log").open("ab")
        self.processes[container["name"]] = subprocess.Popen(self.command(container, words), stdout=log, stderr=log)

    def log(self, name: str) -> str:
        return (self.stage / f"{name}.log").read_text()

    def start_sidecars(self) -> None:
        """One after the other: the next container starts when this one's startup probe has succeeded."""
        for sidecar in self.sidecars:
            assert sidecar["restartPolicy"] == "Always"
            self.run(sidecar)
            eventually(lambda: self.holds(sidecar, "startupProbe"))

    def start_containers(self) -> None:
        for container in self.containers:
            self.run(container)

    def is_ready(self) -> bool:
        """Whether a Service sends anybody here."""
        return all(self.holds(container, "readinessProbe") for container in self.sidecars + self.containers)

    def holds(self, container: dict, name: str) -> bool:
        """Whether a probe finds what it wants."""
        probe = container[name]
        if "exec" in probe:
            asked = subprocess.run(self.command(container, probe["exec"]["command"]), stdout=subprocess.DEVNULL)
            return asked.returncode == 0
        get = probe["httpGet"]
        port = next(port["containerPort"] for port in container["ports"] if port["name"] == get["port"])
        return status(f"http://{ADDRESS}:{port}{get['path']}") == 200

    def stop(self) -> dict[str, int]:
        """The hooks of all containers first, then SIGTERM to those that are no sidecars, and when these have ended,
        to the sidecars, the last one first. Returns how each has ended, and fails where one has to be killed."""
        deadline = time.monotonic() + self.spec["terminationGracePeriodSeconds"]
        for container in self.sidecars + self.containers:
            hook = container.get("lifecycle", {}).get("preStop")
            if hook is not None:
                subprocess.run(self.command(container, hook["exec"]["command"]), check=True)
        return self.end(self.containers, deadline) | self.end(list(reversed(self.sidecars)), deadline)

    def end(self, containers: list[dict], deadline: float) -> dict[str, int]:
        codes = {}
        for container in containers:
            process = self.processes.pop(container["name"])
            process.send_signal(signal.SIGTERM)
            codes[container["name"]] = process.wait(deadline - time.monotonic())
        return codes

    def kill(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()


def status(url: str) -> int | None:
    """That of the answer, if there is one."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def environment_of_image(dockerfile: Path) -> dict[str, str]:
    """What its ENV lines set."""
    return dict(re.findall(r"^ENV (\w+)=(.*)$", dockerfile.read_text(), re.MULTILINE))


def bind(source: Path, place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    mount("--rbind", source, place)


def mount_in_memory(place: Path, mode: str) -> None:
    place.mkdir(parents=True)
    mount("-t", "tmpfs", "-o", f"mode={mode}", "tmpfs", place)


def mount(*words: str | Path) -> None:
    subprocess.run(["mount", *words], check=True)


def eventually(is_so, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to be so"
        time.sleep(0.05)
