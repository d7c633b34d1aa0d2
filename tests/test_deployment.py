"""What is shipped: the wheel and the container's own command, the compose file, the locks.

No container engine is needed: tests/image has one. The wheel is installed into a fresh virtual environment, and the
Dockerfile's CMD is started with the Dockerfile's ENV, its folders /venv and /data standing elsewhere, as a user who may
write to nothing but the data folder and the temporary one.
"""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import sysconfig
import tomllib
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator
from email.parser import Parser
from importlib.metadata import distribution
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any
from zipfile import ZipFile

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from service.settings import ServerBounds

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = ("postgres", "arrow", "onnx", "dask", "otel")  # that the image may carry
OF_EXTRAS = [f"requirements-{extra}.lock" for extra in EXTRAS]
LOCKS = {name: (ROOT / name).read_text() for name in ("requirements.lock", "tests/requirements.lock", *OF_EXTRAS)}

NOBODY = 65534
# Root gives up every right but that to read, which a test needs where Python lies in root's own home.
AS_NOBODY = (
    f"setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups --no-new-privs "
    "--inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search --bounding-set=-all,+dac_read_search"
).split()


# The container's command


def final_stage() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile's last stage: (keyword, argument), continued lines joined."""
    lines = re.sub(r"\\\n", "", re.sub(r"(?m)^#.*\n", "", (ROOT / "Dockerfile").read_text())).splitlines()
    instructions = [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in lines if line.strip()]
    start = max(index for index, (keyword, _) in enumerate(instructions) if keyword == "FROM")
    return instructions[start:]


def argument_of(keyword: str) -> str:
    """The argument of the only instruction of that name in the last stage."""
    (argument,) = [argument for name, argument in final_stage() if name == keyword]
    return argument


def build_wheel(project: Path, folder: Path) -> Path:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(project)]
    subprocess.run(build, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def client_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(ROOT / "service/public", tmp_path_factory.mktemp("client-wheel"))


def chmod(folder: Path, mode: str) -> None:
    subprocess.run(["chmod", "-R", mode, str(folder)], check=True)


def site_packages(environment: Path) -> Path:
    return Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))


def create_environment(folder: Path) -> Path:
    """Create a virtual environment with nothing in it. Returns its Python."""
    venv.create(folder, with_pip=False, symlinks=True)
    return folder / "bin/python"


def share_dependencies(environment: Path) -> None:
    """Let an environment find the locked dependencies in the one that runs the tests.

    A folder named in a .pth file is searched last, and its own .pth files aren't read, so the project itself is never
    found through it.
    """
    (site_packages(environment) / "dependencies.pth").write_text(sysconfig.get_path("purelib"))


def link_distributions(names: set[str], environment: Path) -> None:
    """Let an environment find these distributions and what they require, and nothing else."""
    linked: set[str] = set()
    while names := {canonicalize_name(name) for name in names} - linked:
        linked |= names
        required = []
        for name in names:
            found = distribution(name)
            for top in {path.parts[0] for path in found.files or ()} - {"..", "__pycache__"}:
                (site_packages(environment) / top).symlink_to(found.locate_file(top))
            required += map(Requirement, found.requires or ())
        names = {each.name for each in required if each.marker is None or each.marker.evaluate({"extra": ""})}


def install(python: Path, *what: Path | str) -> None:
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-index", "--no-deps"]
    subprocess.run([*pip, *map(str, what)], check=True, capture_output=True)


class Container:
    """The wheel in a fresh virtual environment, with a data folder, and the image's environment pointing at both."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.venv, self.data = folder / "venv", folder / "data"
        install(create_environment(self.venv), wheel)
        share_dependencies(self.venv)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.environment = {"PATH": "/usr/bin:/bin"}
        for keyword, argument in final_stage():
            if keyword == "ENV":
                for setting in shlex.split(argument):
                    name, _, value = setting.partition("=")
                    self.environment[name] = self.placed(value).replace("$PATH", self.environment["PATH"])
        self.environment |= {"GRADBOOK_HOST": "127.0.0.1", "GRADBOOK_PORT": str(self.port)}
        Path(self.environment["NUMBA_CACHE_DIR"]).mkdir()
        subprocess.run([self.venv / "bin/gradbook", "warm"], check=True, capture_output=True, env=self.environment)
        # Only root can become another user. Anyone else takes the right to write from the environment's folders.
        self.data.mkdir()
        if os.geteuid() == 0:
            self.become = AS_NOBODY
            os.chown(self.data, NOBODY, NOBODY)
        else:
            self.become = []
            chmod(self.venv, "a-w")

    def placed(self, value: str) -> str:
        """A path of the image, where it stands here."""
        return value.replace("/venv", str(self.venv)).replace("/data", str(self.data))

    def start(self, command: list[str]) -> subprocess.Popen[str]:
        executable = str(self.venv / "bin" / command[0])
        return subprocess.Popen(
            [*self.become, executable, *command[1:]],
            cwd=self.placed(argument_of("WORKDIR")),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: list[str]) -> tuple[int, str]:
        """A command's exit code and all that it printed."""
        with self.start(command) as process:
            printed, _ = process.communicate(timeout=30)
        return process.returncode, printed

    def healthy(self) -> bool:
        """What the image's HEALTHCHECK says."""
        code, _ = self.run(json.loads(argument_of("HEALTHCHECK").partition("CMD ")[2]))
        return code == 0

    def files(self) -> dict[Path, int]:
        """Every file of the environment with the time of its last change."""
        return {path: path.lstat().st_mtime_ns for path in self.venv.rglob("*")}


@pytest.fixture(scope="module")
def container(wheel: Path) -> Iterator[Container]:
    with TemporaryDirectory() as folder:
        # Everybody may enter, unlike pytest's own folders: access(2) heeds no right but the user's own.
        Path(folder).chmod(0o755)
        container = Container(Path(folder), wheel)
        yield container
        chmod(container.venv, "u+w")  # or nobody but root could remove it


@pytest.mark.deployment
def test_the_wheel_carries_the_service_its_migrations_and_the_guide(wheel: Path) -> None:
    shipped = set(ZipFile(wheel).namelist())
    ours = {path.relative_to(ROOT) for path in ROOT.glob("service/**/*") if path.is_file()}
    for folder in ("docs", "migrations"):
        ours |= {"service" / path.relative_to(ROOT) for path in ROOT.glob(f"{folder}/**/*") if path.is_file()}
    ours = {path for path in ours if "__pycache__" not in path.parts and not path.is_relative_to("service/public")}
    face = {path.name for path in (ROOT / "service/public").iterdir() if path.suffix in (".py", ".typed")}
    expected = {*map(str, ours), *(f"gradbook/{name}" for name in face)}
    assert {"service/docs/errors.md", "service/migrations/env.py", "service/py.typed"} <= expected
    assert {name for name in shipped if not name.startswith("gradbook-")} == expected


@pytest.mark.deployment
def test_the_client_wheel_carries_the_same_files_as_the_wheel(wheel: Path, client_wheel: Path) -> None:
    whole, client = ZipFile(wheel), ZipFile(client_wheel)
    modules = {name for name in client.namelist() if not name.startswith("gradbook_client-")}
    assert modules == {
        name
        for name in whole.namelist()
        if re.match(r"gradbook/|service/(client|recorders)/|service/(__init__.py|py.typed)$", name)
    }
    assert {name for name in modules if client.read(name) != whole.read(name)} == set()
    assert client_wheel.name == wheel.name.replace("gradbook-", "gradbook_client-")  # of the same version


@pytest.mark.deployment
def test_the_client_wheel_needs_numpy_and_requests_alone(client_wheel: Path, tmp_path: Path, service_url: str) -> None:
    metadata = next(name for name in ZipFile(client_wheel).namelist() if name.endswith("/METADATA"))
    assert Parser().parsestr(ZipFile(client_wheel).read(metadata).decode()).get_all("Requires-Dist") == [
        "numpy>=2",
        "requests",
    ]
    python = create_environment(tmp_path / "venv")
    install(python, client_wheel)
    link_distributions({"numpy", "requests"}, tmp_path / "venv")
    code = """
import sys
from gradbook import Client
with Client(sys.argv[1]) as gradbook:
    graph = gradbook.create_graph("client wheel", expression="y = a * b")
    run = gradbook.create_run(graph, {"a": [2.0, 3.0], "b": 5.0})
    print(run.values["y"].tolist(), run.gradients["b"])
print(sorted(name for name in ("flask", "numba", "sqlalchemy") if name in sys.modules))
"""
    done = subprocess.run([python, "-I", "-c", code, service_url], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[10.0, 15.0] 5.0\n[]\n", "")
    done = subprocess.run([python, "-I", "-c", "import service.app"], capture_output=True, text=True, check=False)
    assert "No module named" in done.stderr  # the environment is as bare as it claims


@pytest.mark.deployment
@pytest.mark.parametrize("how", ["wheel", "editable"])
def test_the_public_face_is_there_however_it_is_installed(how: str, tmp_path: Path, wheel: Path) -> None:
    folder = tmp_path / "venv"
    python = create_environment(folder)
    share_dependencies(folder)
    install(python, *([wheel] if how == "wheel" else ["--no-build-isolation", "--editable", ROOT]))
    code = """
import gradbook, service, service.client
assert gradbook.Client is service.client.Client
assert gradbook.__all__ == service.client.__all__
print(gradbook.__file__, service.__file__, sep="\\n")
"""
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    face, implementation = map(Path, done.stdout.split())
    assert face == site_packages(folder) / "gradbook/__init__.py"
    assert implementation == (site_packages(folder) if how == "wheel" else ROOT) / "service/__init__.py"


@pytest.mark.deployment
def test_the_container_writes_to_its_data_folder_alone(container: Container) -> None:
    written = "import pathlib, sys; pathlib.Path(sys.argv[1]).touch(); pathlib.Path(sys.argv[1]).unlink()"
    for folder in (container.venv, container.venv / "bin"):
        code, printed = container.run(["python", "-c", written, str(folder / "written")])
        assert (code, "Permission denied" in printed) == (1, True), printed
    assert container.run(["python", "-c", written, str(container.data / "written")]) == (0, "")


@pytest.mark.deployment
def test_the_project_in_the_container_is_the_wheels(container: Container) -> None:
    code, printed = container.run(["python", "-c", "import service; print(service.__file__)"])
    assert code == 0, printed
    assert Path(printed.strip()).is_relative_to(container.venv)


@pytest.mark.deployment
def test_the_containers_command_becomes_ready_and_stops_when_told(container: Container) -> None:
    assert not container.healthy()
    before = container.files()
    with container.start(json.loads(argument_of("CMD"))) as process:
        try:
            assert wait_until_ready(process, f"http://127.0.0.1:{container.port}/readyz")
            assert container.healthy()
            with urllib.request.urlopen(f"http://127.0.0.1:{container.port}/guide/comparing", timeout=5) as page:
                assert b"<h1>Comparing</h1>" in page.read()
            process.terminate()  # as `docker stop` does
            printed, _ = process.communicate(timeout=10)
        finally:
            process.kill()
    assert process.returncode == 0, printed
    assert not container.healthy()
    assert (container.data / "gradbook.db").stat().st_size > 0
    assert container.files() == before


def wait_until_ready(process: subprocess.Popen[str], url: str, patience: float = 60) -> bool:
    """Whether the address answered 200 before the process ended; patience in seconds."""
    deadline = monotonic() + patience
    while monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"the command ended with {process.returncode}:\n{process.stdout and process.stdout.read()}")
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            sleep(0.05)
    return False


def test_the_image_runs_as_another_user_than_root() -> None:
    user, group = argument_of("USER").split(":")
    assert int(user) > 0
    assert int(group) > 0


def test_the_images_label_says_the_version() -> None:
    assert f'org.opencontainers.image.version="{PROJECT["version"]}"' in argument_of("LABEL")


# The compose file


def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return document


def check_against_schema(path: Path) -> subprocess.CompletedProcess[str]:
    """Judge a compose file by the Compose specification's published schema, which check-jsonschema carries."""
    checker = Path(sys.executable).with_name("check-jsonschema")
    command = [str(checker), "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_compose_file_keeps_to_the_published_schema(tmp_path: Path) -> None:
    checked = check_against_schema(ROOT / "docker-compose.yml")
    assert checked.returncode == 0, checked.stdout
    document = compose()
    document["services"]["gradbook"]["read_onyl"] = True
    (tmp_path / "docker-compose.yml").write_text(yaml.safe_dump(document))
    assert "read_onyl" in check_against_schema(tmp_path / "docker-compose.yml").stdout


def test_the_cluster_of_the_compose_file_has_one_image_and_publishes_the_service_alone() -> None:
    parts = {name: part for name, part in compose()["services"].items() if part.get("profiles") == ["cluster"]}
    assert parts.keys() == {"gradbook-cluster", "scheduler", "worker"}
    for part in parts.values():
        assert part["build"]["args"] == {"EXTRAS": "postgres dask"}
        assert part["cap_drop"] == ["ALL"] and part["read_only"] is True
    assert [name for name, part in parts.items() if part["ports"]] == ["gradbook-cluster"]
    assert parts["gradbook-cluster"]["environment"]["GRADBOOK_DASK"] == parts["worker"]["command"][2]


def test_the_compose_file_confines_the_service() -> None:
    document = compose()
    service = document["services"]["gradbook"]
    assert service["ports"] == ["127.0.0.1:8000:8000"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"mem_limit", "cpus", "pids_limit"} <= service.keys()
    assert service["memswap_limit"] == service["mem_limit"]
    assert int(service["stop_grace_period"].removesuffix("s")) > ServerBounds().stop_seconds
    assert "privileged" not in service
    ((volume, target),) = [mount.split(":") for mount in service["volumes"]]
    assert volume in document["volumes"]
    assert target == argument_of("VOLUME") == argument_of("WORKDIR")
    assert service["ports"][0].endswith(f":{argument_of('EXPOSE')}")


# The locks


def pins(lock: str) -> dict[str, str]:
    """Each pinned package with its version."""
    return {
        canonicalize_name(name): version for name, version in re.findall(r"(?m)^([\w.-]+)(?:\[\w+\])?==(\S+)", lock)
    }


@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS.keys())
def test_every_pin_has_hashes_and_holds_everywhere(lock: str) -> None:
    entries = re.findall(r"(?m)^(\S.*)\n((?: .*\n?)*)", re.sub(r"(?m)^ *#.*\n?", "", lock))
    assert len(entries) == len(pins(lock)) > 0
    for requirement, hashes in entries:
        # No address, and no marker but for what the service can do without.
        marker = r"( ; .*)?" if requirement.startswith("uvloop==") else ""
        assert re.fullmatch(rf"[\w.-]+(\[\w+\])?==\S+{marker} \\", requirement), requirement
        assert re.fullmatch(r"( +--hash=sha256:[0-9a-f]{64}( \\)?\n?)+", hashes), requirement


def test_the_locks_agree_with_each_other_and_with_the_project() -> None:
    locked, tested, *extras = (pins(lock) for lock in LOCKS.values())
    build_system = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    for needed, found in (
        ([*PROJECT["dependencies"], *build_system], locked),
        ([*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]], tested),
        *((PROJECT["optional-dependencies"][extra], pinned) for extra, pinned in zip(EXTRAS, extras, strict=True)),
    ):
        for requirement in map(Requirement, needed):
            assert requirement.specifier.contains(found[canonicalize_name(requirement.name)]), requirement
    for other in (tested, *extras):
        shared = locked.keys() & other.keys()
        assert {name: locked[name] for name in shared} == {name: other[name] for name in shared}


@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS.keys())
def test_the_locks_are_made_under_the_oldest_python(lock: str) -> None:
    (made_under,) = re.findall(r"autogenerated by pip-compile with Python ([\d.]+)", lock)
    major, minor = map(int, made_under.split("."))
    oldest = SpecifierSet(PROJECT["requires-python"])
    assert oldest.contains(made_under)
    assert not oldest.contains(f"{major}.{minor - 1}")


# What no file of the project may name: the address of a package index, or a place on somebody's machine.
ADDRESS = re.compile(r"pypi[.]org|files[.]pythonhosted[.]org|extra[-_]index[-_]url[ =]|(?<![\w.$}])/(?:opt|root|work)/")


def test_no_file_names_an_index_or_a_machines_path() -> None:
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    files = [ROOT / name for name in names if name and (ROOT / name).is_file()]
    assert ROOT / "pyproject.toml" in files
    found = [
        f"{path.relative_to(ROOT)}, line {number}: {line}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1)
        if ADDRESS.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    ["https://pypi" + ".org/simple", "--extra-index-url" + " x", "--find-links /opt" + "/wheels", "# via /work" + "/x"],
)
def test_an_address_is_found(line: str) -> None:
    assert ADDRESS.search(line)
