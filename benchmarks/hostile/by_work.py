"""Attacks by work: few bytes that ask for much, and whatever else is legal and large; a row each."""

import io
import json
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import requests

from benchmarks.hostile.target import PATIENCE, Target, answers

NPZ = "application/x-npz"


def ask(target: Target, path: str, body: Any = None, **headers: str) -> requests.Response:
    """The answer to a body of JSON or of bytes, or to none."""
    given = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    if body is None:
        return requests.get(target.url + path, headers=headers, timeout=PATIENCE)
    return requests.post(target.url + path, given, headers=sent, timeout=PATIENCE)


def graph(target: Target, expression: str) -> str:
    """The path of a stored graph."""
    made = ask(target, "/v1/graphs", {"name": "work", "expression": expression})
    return f"/v1/graphs/{made.json()['id']}"


def wait_for_processes(target: Target) -> None:
    """Return when the service's processes have begun."""
    while not _padded(target).ok:
        time.sleep(0.1)


def chain(name: str, nodes: int) -> bytes:
    """The body of a graph, a chain of that many nodes."""
    listed: list[dict[str, object]] = [{"name": "x", "operation": "Input"}]
    listed += [{"name": f"n{k}", "operation": "Sin", "inputs": [f"n{k - 1}" if k else "x"]} for k in range(nodes)]
    return json.dumps({"name": name, "nodes": listed}).encode()


def said(response: requests.Response) -> str:
    """An answer in a few words: its status, and what the problem is."""
    if response.ok:
        return f"{response.status_code}, {len(response.content) / 1e6:.1f} MB"
    problem = response.json()
    slug = problem["type"].rpartition(":")[2]
    return f"{response.status_code} {slug}{' ' + problem['limit'] if 'limit' in problem else ''}"


def in_turn(*responses: requests.Response) -> Counter[str]:
    """Each answer with its seconds."""
    return Counter(f"{said(each)} after {each.elapsed.total_seconds():.2f} s" for each in responses)


# --- many at once ---------------------------------------------------------------------------------------------------


def busy_views(target: Target) -> Counter[str]:
    """8 requests that take 3 s and more, each a graph of 100,000 nodes"""
    bodies = [target.post(chain(f"busy {number}", 100_000)) for number in range(8)]
    return answers([target.connect(body) for body in bodies])


def large_legal_bodies(target: Target) -> Counter[str]:
    """8 legal bodies of 59 MB"""
    path = graph(target, "F = sum(x)")
    body = b'{"keep": false, "backward": false, "inputs": {"x": [' + b"0.55, " * 9_800_000 + b"0.5]}}"
    return answers([target.connect(target.post(body, f"{path}/runs?gradients=inputs")) for _ in range(8)])


def readers_of_large_answers(target: Target) -> Counter[str]:
    """64 readers that never read, of answers of 17 MB"""
    path = graph(target, "F = x*x")
    run = ask(target, f"{path}/runs", {"inputs": {"x": [k / 7 for k in range(420_000)]}}).json()["id"]
    request = f"GET /v1/runs/{run}/nodes/F HTTP/1.1\r\nHost: {target.url.partition('//')[2]}\r\n\r\n".encode()
    found = answers([target.connect(request, receives=2048) for _ in range(64)])
    time.sleep(12)  # until their clocks have rung
    return found


def abandoned_hessians(target: Target) -> Counter[str]:
    """64 Hessians of 300 numbers, 40 KB altogether, whose clients leave at once"""
    path = graph(target, "F = sum(exp(x) * sum(sin(x)))")
    body = json.dumps({"kind": "hessian", "inputs": {"x": [k % 9 for k in range(300)]}}).encode()
    connections = [target.connect(target.post(body, f"{path}/derivatives")) for _ in range(64)]
    time.sleep(0.5)
    for connection in connections:
        connection.close()
    time.sleep(0.5)
    before = target.cpu_seconds()
    time.sleep(3)
    return Counter({f"{target.cpu_seconds() - before:.1f} s of CPU in the 3 s after": 1})


# --- one at a time --------------------------------------------------------------------------------------------------


def large_answer(target: Target) -> Counter[str]:
    """One answer of 8.5 million numbers"""
    path, numbers = graph(target, "F = x*x"), np.random.default_rng(0).normal(size=1_214_285)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, request=np.array('{"keep": false}'), **{"inputs/x": numbers})
    return in_turn(ask(target, f"{path}/runs", file.getvalue(), Content_Type=NPZ))


def product(target: Target) -> Counter[str]:
    """A product of 2,800 by 2,800 numbers: as JSON, as .npz"""
    path, numbers = graph(target, "F = A @ A"), np.random.default_rng(0).normal(size=(2800, 2800))
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, request=np.array('{"keep": false}'), **{"inputs/A": numbers})
    runs = f"{path}/runs?gradients=inputs"
    as_json = ask(target, runs, file.getvalue(), Content_Type=NPZ)
    return in_turn(as_json, ask(target, runs, file.getvalue(), Content_Type=NPZ, Accept=NPZ))


def archives(target: Target) -> Counter[str]:
    """An archive of 100 KB that declares 100 MB, one of 1,292 bytes in LZMA, one that is damaged"""
    path = graph(target, "F = sum(x)")
    whole, lzma = io.BytesIO(), io.BytesIO()
    np.savez_compressed(whole, allow_pickle=False, **{"inputs/x": np.zeros(13_000_000)})
    with zipfile.ZipFile(lzma, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("inputs/x.npy", zipfile.ZipFile(whole).read("inputs/x.npy")[:8_000_128])
    damaged = bytearray(lzma.getvalue())
    damaged[len(damaged) // 2] ^= 1
    bodies = (whole.getvalue(), lzma.getvalue(), bytes(damaged))
    return in_turn(*(ask(target, f"{path}/runs", body, Content_Type=NPZ) for body in bodies))


def many_operands(target: Target) -> Counter[str]:
    """The maximum of 10,000 operands, all at a tie"""
    made = ask(target, "/v1/graphs", {"name": "max", "expression": f"F = max({', '.join(['x'] * 10_000)})"})
    if not made.ok:
        return in_turn(made)
    return in_turn(made, ask(target, f"/v1/graphs/{made.json()['id']}/runs", {"inputs": {"x": 1}}))


def unknown_members(target: Target) -> Counter[str]:
    """200,000 unknown members"""
    return in_turn(ask(target, "/v1/graphs", {f"m{k}": k for k in range(200_000)}))


def refused_before_the_work(target: Target) -> Counter[str]:
    """A formula and a check of 100,000 nodes; a Hessian and an outer product of 40,000 numbers"""
    made = ask(target, "/v1/graphs", chain("refused", 100_000)).json()["id"]
    outer = graph(target, "F = sum(unsqueeze(x, 1) * x)")
    hessian = graph(target, "F = sum(exp(x) * sum(x))")
    numbers = [0.5] * 40_000
    every = {"inputs": {"x": 0.5}, "nodes": [f"n{k}" for k in range(100_000)]}
    return in_turn(
        ask(target, f"/v1/graphs/{made}/formula?of=n99999&wrt=x"),
        ask(target, f"/v1/graphs/{made}/gradient-checks", every),
        ask(target, f"{hessian}/derivatives", {"kind": "hessian", "inputs": {"x": numbers}}),
        ask(target, f"{outer}/runs", {"inputs": {"x": numbers}}),
    )


def hessian_of_a_product(target: Target) -> Counter[str]:
    """The Hessian of a product of 1,000 numbers"""
    names = [f"x{k}" for k in range(1000)]
    path = graph(target, f"F = {'*'.join(names)}")
    return in_turn(ask(target, f"{path}/derivatives", {"kind": "hessian", "inputs": dict.fromkeys(names, 1.001)}))


def other_sites(target: Target) -> Counter[str]:
    """A page of another site: a form, a foreign Origin, a foreign Host"""
    body = {"name": "site", "expression": "x"}
    return in_turn(
        ask(target, "/v1/graphs", body, Content_Type="text/plain"),
        ask(target, "/v1/graphs", body, Origin="https://evil.example"),
        ask(target, "/v1/graphs", body, Host="evil.example"),
    )


# --- with one second for a request -----------------------------------------------------------------------------------


def deadlines(target: Target) -> Counter[str]:
    """Products of 2,000 by 2,000 numbers, each one call in C, together that take longer than a request's second"""
    path, numbers = graph(target, "A = unsqueeze(x, 1) * x; F = sum(A @ A)"), [k / 2000 for k in range(2000)]
    runs = f"{path}/runs?gradients=inputs"
    found: Counter[str] = Counter()
    for _ in range(3):
        found += in_turn(ask(target, runs, {"inputs": {"x": numbers}, "keep": False}))
        wait_for_processes(target)
    return found


def kills_in_a_row(target: Target) -> Counter[str]:
    """48 requests killed, by 8 clients that leave, and the answer after each"""
    body = target.post(chain("killed", 100_000))

    def leave_and_ask(number: int) -> requests.Response:
        with target.connect(body):
            time.sleep(0.2)
        return _padded(target)

    with ThreadPoolExecutor(8) as threads:
        after = list(threads.map(leave_and_ask, range(48)))
    slowest = max(each.elapsed.total_seconds() for each in after)
    return Counter(str(each.status_code) for each in after) + Counter({f"slowest {slowest:.2f} s": 1})


def _padded(target: Target) -> requests.Response:
    """The answer to a small request that is large enough to be done by a process."""
    return ask(target, "/v1/graphs", json.dumps({"name": "next", "expression": "x"}).encode() + b" " * 300_000)


ATTACKS: list[Callable[[Target], Counter[str]]] = [
    *(busy_views, large_legal_bodies, readers_of_large_answers, abandoned_hessians, large_answer, product, archives),
    *(many_operands, unknown_members, refused_before_the_work, hessian_of_a_product, other_sites),
    kills_in_a_row,
]
HASTY: list[Callable[[Target], Counter[str]]] = [deadlines]
