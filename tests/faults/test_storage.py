"""What `gradbook serve` keeps: through faults of its disk and file, backup and restore, beside others, at its end."""

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from service.api.http.elsewhere import LARGE_BODY
from service.process import service_process
from tests.cli.command import call_main

pytestmark = pytest.mark.faults

JSON = {"Content-Type": "application/json"}


def post(url: str, body: Any, large: bool = False) -> requests.Response:
    """The answer to a body, which a worker process reads if it is large."""
    text = json.dumps(body) + " " * LARGE_BODY * large
    return requests.post(url, text.encode(), headers=JSON, timeout=60)


def statuses(url: str, name: str) -> list[int]:
    """Of what reads, what stores in a thread, what stores in a worker process, and of whether it is ready."""
    reads, ready = (requests.get(f"{url}{path}", timeout=60).status_code for path in ("/v1/graphs", "/readyz"))
    stores = [post(f"{url}/v1/graphs", {"name": name, "expression": "x"}, large).status_code for large in (False, True)]
    return [reads, *stores, ready]


def names(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM graphs")}


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder on a disk of 32 MB, where one can be mounted; else on the common one."""
    folder = tmp_path_factory.mktemp("disk")
    mounted = not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32m", "none", folder], check=False, capture_output=True
    ).returncode
    yield folder
    if mounted:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_service_through_its_faults(disk: Path, tmp_path: Path) -> None:
    file, url = disk / "gradbook.db", f"sqlite:///{disk}/gradbook.db"
    threads_only = {"GRADBOOK_PROCESSES": "0"}
    with service_process(url) as service, service_process(url, variables=threads_only) as other:
        assert statuses(service, "first") == [200, 201, 200, 200]
        is_small = os.path.ismount(disk)
        if is_small:
            fill(disk, service)
            check_read_only(file, service)
        check_missing_file(file, service)
        check_deletion(service, other)
        check_backup(url, tmp_path / "backup.db", service)
        kept = {graph["name"] for graph in requests.get(f"{service}/v1/graphs", timeout=60).json()["graphs"]}
    shutil.copy(file, tmp_path / "copy.db")
    assert names(tmp_path / "copy.db") == kept and not Path(f"{file}-wal").exists()
    if not is_small:
        pytest.fail("no disk of 32 MB can be mounted here, so that none was full: on Linux, as root, one can")


def fill(disk: Path, service: str) -> None:
    """Nothing is stored on a full disk, and everything again when it has room."""
    ballast = disk / "ballast"
    with ballast.open("wb") as written, suppress(OSError):
        while True:
            written.write(bytes(1 << 16))
            written.flush()
    values = [k / 7 for k in range(60_000)]
    graph = requests.get(f"{service}/v1/graphs", timeout=60).json()["graphs"][0]["id"]
    answers = [post(f"{service}/v1/graphs/{graph}/runs", {"inputs": {"x": values}}, large) for large in (False, True)]
    for answer in answers:
        assert (answer.status_code, answer.json()["type"]) == (507, "urn:gradbook:problem:insufficient-storage")
        assert answer.headers["Retry-After"] == "1"
    assert requests.get(f"{service}/readyz", timeout=60).status_code == 503
    assert requests.get(f"{service}/v1/graphs", timeout=60).status_code == 200
    ballast.unlink()
    assert statuses(service, "after the full disk") == [200, 201, 200, 200]


def check_read_only(file: Path, service: str) -> None:
    for mount in (("--bind", file, file), ("-o", "remount,bind,ro", file)):
        subprocess.run(["mount", *mount], check=True)
    try:
        assert requests.get(f"{service}/readyz", timeout=60).status_code == 503
        assert requests.get(f"{service}/v1/graphs", timeout=60).status_code == 200
    finally:
        subprocess.run(["umount", file], check=True)
    assert requests.get(f"{service}/readyz", timeout=60).status_code == 200


def check_missing_file(file: Path, service: str) -> None:
    file.rename(file.with_name("moved.db"))
    assert statuses(service, "lost") == [503] * 4
    file.with_name("moved.db").rename(file)
    assert statuses(service, "found") == [200, 201, 200, 200]


def check_deletion(service: str, other: str) -> None:
    """Of a graph that the other service, and this one's worker processes, have in their caches."""
    graph = post(f"{service}/v1/graphs", {"name": "deleted", "expression": "F = x*x"}).json()["id"]
    run = {"inputs": {"x": 3}, "keep": False}
    asked = [(each, large) for each in (service, other) for large in (False, True, True)]
    path = f"/v1/graphs/{graph}/runs"
    assert {post(each + path, run, large).status_code for each, large in asked} == {200}
    assert requests.delete(f"{service}/v1/graphs/{graph}", timeout=60).status_code == 204
    assert {post(each + path, run, large).status_code for each, large in asked} == {404}
    assert requests.get(f"{other}/v1/graphs/{graph}", timeout=60).status_code == 404


def check_backup(database: str, backup: Path, service: str) -> None:
    assert call_main(service, "backup", str(backup), "--database", database).code == 0
    with closing(sqlite3.connect(backup)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    again = call_main(service, "backup", str(backup), "--database", database)
    assert (again.code, again.err) == (3, f"gradbook: {backup} is there already\n")
    later = post(f"{service}/v1/graphs", {"name": "later", "expression": "F = x*x*x"}).json()["id"]
    assert requests.get(f"{service}/v1/graphs/{later}", timeout=60).status_code == 200
    assert "found" in names(backup) and "later" not in names(backup)
    assert call_main(service, "restore", str(backup), "--database", database) == (0, "", "")
    assert requests.get(f"{service}/v1/graphs/{later}", timeout=60).status_code == 404
    assert statuses(service, "after the restoration") == [200, 201, 200, 200]
