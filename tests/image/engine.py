"""A container engine of the tests' own: Debian's, in a folder with its own root, sockets and data.

`make image-check` starts the tests in namespaces of their own, so that every process, mount and port of theirs ends
with them. No engine is installed on the machine, and no bridge or firewall rule of it is touched.
"""

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
OUTSIDE = 9  # the file descriptor of the machine's network, which `make image-check` hands in
_OUTSIDE = ["nsenter", f"--net=/proc/self/fd/{OUTSIDE}"]
_KEPT = ROOT / ".image"  # what is downloaded once
_GROUP = f"gradbook-image{str(ROOT).replace('/', '-')}"  # the engine's own part of the kernel's control groups
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_ENGINE = (
    "ca-certificates",
    "docker-buildx",
    "docker-cli",
    "docker-compose",
    "docker.io",
    "iproute2",
    "nginx",
    "openssl",
)
_PYTHON = ("ca-certificates", "python-is-python3", "python3", "python3-venv")
_ENVIRONMENT = (
    "--chdir=/repository",
    "--ignore-environment",
    "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
    "BUILDX_GIT_INFO=0",
)
# Stand-ins for the official images where no registry is: Debian's, which know as much of theirs as is asked for here.
_STAND_INS = {
    "python:3.13-slim": f"""
FROM debian-with-python
RUN printf '[global]\\ncert = {_CERTIFICATES}\\n' >/etc/pip.conf
""",
    "postgres:17": """
FROM debian-with-python
RUN apt-get update -qq && apt-get install -qq --yes --no-install-recommends postgresql-17 >/dev/null 2>&1
ENV PATH=/usr/lib/postgresql/17/bin:$PATH PGDATA=/var/lib/postgresql/data
RUN install --directory --owner=postgres --mode=700 $PGDATA
USER postgres
CMD ["bash", "-c", "[ -s $PGDATA/PG_VERSION ] || { \
    initdb --encoding=UTF8 --locale=C.UTF-8 --auth=scram-sha-256 \
        --username=$POSTGRES_USER --pwfile=<(echo $POSTGRES_PASSWORD); \
    echo host all all all scram-sha-256 >>$PGDATA/pg_hba.conf; \
    echo CREATE DATABASE $POSTGRES_USER | postgres --single postgres; }; \
    exec postgres -c listen_addresses='*' -c unix_socket_directories=/tmp"]
""",
}


class Engine:
    """The engine, and what its two command lines do in this repository."""

    def __init__(self) -> None:
        with ThreadPoolExecutor() as threads:
            self.root, self._python = threads.map(_debian, ("engine", "python.tar"), (_ENGINE, _PYTHON))

    def run(self, *command: str, check: bool = True, **named: Any) -> subprocess.CompletedProcess[str]:
        """Run a command in the engine's root, in the repository."""
        done = subprocess.run(self.inside(command), capture_output=True, text=True, check=False, **named)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def docker(self, *arguments: str, **named: Any) -> str:
        """What `docker …` prints."""
        return self.run("docker", *arguments, **named).stdout.strip()

    def compose(self, *arguments: str, **named: Any) -> str:
        """What `docker compose …` prints, of the committed file."""
        return self.run("docker", "compose", *arguments, **named).stdout.strip()

    def inspect(self, thing: str, kind: str = "container") -> Any:
        """All that the engine knows of a thing."""
        (known,) = json.loads(self.docker("inspect", "--type", kind, thing))
        return known

    def build(self, *arguments: str, **named: Any) -> str:
        """Build an image, in the machine's network; what was said of it."""
        done = self.run("docker", "build", "--network=host", "--progress=plain", *arguments, **named)
        return done.stdout + done.stderr

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """The engine's root with what every root has, and the repository, for as long as the block lasts."""
        (self.root / "repository").mkdir(exist_ok=True)
        mounts = {
            self.root: self.root,
            ROOT: self.root / "repository",
        }  # a container's root is made of one that is mounted
        mounts |= {Path(f"/{kind}"): self.root / kind for kind in ("proc", "sys", "dev")}
        for source, target in mounts.items():
            subprocess.run(["mount", "--rbind", source, target], check=True)
        shutil.copy("/etc/resolv.conf", self.root / "etc/resolv.conf")
        self.run("ip", "link", "set", "lo", "up")
        try:
            self._forget()
            yield
        finally:
            self._forget()
            for target in reversed(mounts.values()):
                subprocess.run(["umount", "--lazy", "--recursive", target], check=True)

    def _forget(self) -> None:
        """Leave no image, no volume and no control group, of a run that was killed either."""
        left = ("var/lib/docker", "run/docker", "run/docker.pid", "packages")
        subprocess.run(["rm", "-rf", *(self.root / each for each in left)], check=True)
        groups = Path("/sys/fs/cgroup")  # in version 2 one tree, in version 1 one for each kind
        found = {path.resolve() for top in ("", "*/") for path in groups.glob(f"{top}{_GROUP}/**/")}
        for group in sorted(found, reverse=True):
            group.rmdir()

    @contextmanager
    def engine(self, *, outside: bool = False) -> Iterator[None]:
        """Have it run, in the tests' own network or in the machine's, in which it sets nothing up."""
        enter = _OUTSIDE if outside else []
        command = ["dockerd", f"--cgroup-parent=/{_GROUP}", "--iptables=false", "--ip6tables=false"]
        command += ["--bridge=none", "--ip-forward=false"] if outside else []
        # Not by chroot: whoever enters a container's mounts comes out at the root that its engine's mounts have.
        become = f'cd {self.root} && pivot_root . mnt && umount -l /mnt && exec "$@"'
        with self.server(
            [*enter, "unshare", "--mount", "sh", "-c", become, "", "env", *_ENVIRONMENT, *command],
            ready=("docker", "version"),
        ):
            yield

    @contextmanager
    def server(self, command: Sequence[str], ready: Sequence[str]) -> Iterator[None]:
        """Have a server run from when the command `ready` succeeds to the end of the block."""
        with tempfile.TemporaryFile("w+") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, pass_fds=(OUTSIDE,))
            try:
                while self.run(*ready, check=False).returncode:
                    if process.poll() is not None:
                        log.seek(0)
                        raise AssertionError(f"{command} ended:\n{log.read()[-5000:]}")
                    time.sleep(0.1)
                yield
            finally:
                process.terminate()
                process.wait(60)

    def provide(self, image: str) -> None:
        """Have an image of a registry, or where none can be reached the stand-in for it."""
        if self.run("docker", "pull", "--quiet", image, check=False).returncode:
            if not self.docker("images", "--quiet", "debian-with-python"):
                with self._python.open("rb") as archive:
                    self.docker("import", "-", "debian-with-python", stdin=archive)
            self.build("--tag", image, "-", input=_STAND_INS[image])

    def inside(self, command: Sequence[str]) -> list[str]:
        """That command, in the engine's root."""
        return ["chroot", str(self.root), "env", *_ENVIRONMENT, *command]


def _debian(name: str, packages: Sequence[str]) -> Path:
    """Debian with these packages, as a folder or an archive that is kept, and with the machine's certificates."""
    target = _KEPT / name
    if not target.exists():
        _KEPT.mkdir(exist_ok=True)
        part = _KEPT / f"part-{name}"
        subprocess.run(["rm", "-rf", part], check=True)  # of a run that was killed
        said = ["--dpkgopt=force-unsafe-io"]
        said += [f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in ("doc", "locale", "man")]
        said += [f"--customize-hook=upload {_CERTIFICATES} {_CERTIFICATES}"] if Path(_CERTIFICATES).exists() else []
        command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(packages)}", *said, "trixie"]
        run_outside(*command, part)
        part.rename(target)
    return target


def run_outside(*command: str | Path) -> None:
    """Run a command in the machine's network."""
    subprocess.run([*_OUTSIDE, *command], check=True, pass_fds=(OUTSIDE,))


def what_is_missing() -> str | None:
    """What keeps the tests from running, in one sentence."""
    if os.geteuid():
        return "A container engine is started, and that needs root."
    if not shutil.which("mmdebstrap"):
        return "mmdebstrap is missing: where apt is, `apt-get install mmdebstrap` as root."
    if os.getpid() != 1:
        return "Run `make image-check`, which gives the engine processes and a network of its own."
    return None
