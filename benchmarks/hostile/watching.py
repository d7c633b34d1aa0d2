"""What others notice meanwhile: /livez and a run of seven nodes, asked all the time by a process of its own."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from urllib.parse import urlsplit

import requests

from benchmarks.hostile.target import PATIENCE, Target
from benchmarks.load import post
from service import example


@contextmanager
def watched(target: Target) -> Iterator[list[float]]:
    """The list has the longest waits for /livez and for the run, in seconds, when the context ends."""
    command = [sys.executable, "-m", "benchmarks.hostile.watching", target.url]
    found: list[float] = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout is not None
        watcher.stdout.readline()
        yield found
        said, _ = watcher.communicate("\n")
        found += map(float, said.split())


def watch(url: str) -> None:
    """Ask both over new connections every 10 ms until told to stop; print the longest waits in seconds."""
    body = {"name": "watched", "expression": example.EXPRESSION}
    graph = requests.post(f"{url}/v1/graphs", json=body, timeout=PATIENCE).json()["id"]
    asked = {
        "/livez": f"GET /livez HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n\r\n".encode(),
        "run": post(f"{url}/v1/graphs/{graph}/runs", json.dumps({"inputs": example.INPUTS, "keep": False}).encode()),
    }
    waits = {name: [wait(url, request)] for name, request in asked.items()}

    def ask(name: str) -> None:
        while True:
            waits[name].append(wait(url, asked[name]))
            time.sleep(0.01)

    for name in asked:
        Thread(target=ask, args=(name,), daemon=True).start()
    print("asking", flush=True)
    sys.stdin.readline()
    print(*(max(found[1:], default=0.0) for found in waits.values()), flush=True)


def wait(url: str, request: bytes) -> float:
    """Seconds until a request is answered with 200; infinite if it is not."""
    parts, begin = urlsplit(url), time.perf_counter()
    try:
        with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE) as connection:
            connection.sendall(request)
            answered = connection.recv(1000).startswith(b"HTTP/1.1 200")
    except OSError:
        answered = False
    return time.perf_counter() - begin if answered else float("inf")


if __name__ == "__main__":
    watch(sys.argv[1])
