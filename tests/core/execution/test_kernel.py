"""The compiled loops against the array loop: the same figures on every operation and on random graphs."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from random import Random
from threading import Event, Thread

import numpy as np
import pytest

from service.core.comparison.replay import replay_gradients, replay_values
from service.core.comparison.rounding import Weights
from service.core.execution import codegen, kernel
from service.core.execution import program as program_module
from service.core.execution.passes import backward_pass, forward_pass, nondifferentiable_nodes
from service.core.execution.program import opcodes
from service.core.figures.figures import Figures, FloatArray
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph
from service.core.graph.traversal import reaches
from service.core.rulebook.operation import Operation
from tests.elementwise import ELEMENTWISE, attribute_samples, each_elementwise, grid, operand_counts
from tests.examples import examples
from tests.passes import array_loop, graph_of

# By how many units in the last place the two loops may differ for equal operands, value and local gradient, where it is
# more than one. Compiled, exp, tanh and their kin are the C library's; over arrays NumPy and SciPy have their own, each
# right to an ulp or two of it, and a rule that combines several adds them up: as measured on x86-64 with AVX-512, where
# NumPy's differ the most (NPY_DISABLE_CPU_FEATURES tries the others). The signs of zeros never differ.
APART: Mapping[str, tuple[int, int]] = {
    "Sigmoid": (2, 3),
    "Elu": (2, 2),
    "Selu": (2, 2),
    "Softplus": (3, 2),
    "Gelu": (4, 64),  # near its least value the two terms of its slope cancel
    "Sech": (2, 2),
    "Tanh": (2, 4),
    "Tan": (1, 3),
    "Erf": (2, 3),
    "Erfc": (1, 3),
    "Acosh": (2, 1),
    "Swish": (2, 2),
    "Mish": (2, 8),
    "LogAddExp": (64, 2),  # near 0 its two terms cancel
    "GeluGate": (2, 1),
    "Digamma": (2, 1),
    "Bell": (2, 1),
    "NormalDensity": (2, 1),
    "NormalDistribution": (1, 2),
    "Lgamma": (1, 1),  # the slope, at few points
    "Polygamma": (2, 32),
}

Inputs = dict[str, FloatArray]


@pytest.fixture(scope="module", autouse=True)
def _warm() -> Iterator[None]:
    kernel.warm()
    yield


def one_node_each(operation: Operation) -> tuple[Graph, Inputs]:
    """A graph of many nodes of one operation side by side, at extreme and at ordinary operands, and their sum."""
    random = np.random.default_rng(0)
    documents: list[dict[str, object]] = []
    inputs: Inputs = {}
    tops = []
    for attributes in attribute_samples(operation):
        for count in operand_counts(operation):
            rows = [*(grid(count) if count <= 3 else []), *random.normal(scale=3.0, size=(100, count))]
            for row in rows:
                names = [f"x{len(inputs) + position}" for position in range(count)]
                inputs |= {name: np.array(x) for name, x in zip(names, row, strict=True)}
                documents += [{"name": name, "operation": "Input"} for name in names]
                tops.append(f"y{len(tops)}")
                node = {"name": tops[-1], "operation": operation.name, "inputs": names, "attributes": attributes}
                documents.append(node)
    documents.append({"name": "all", "operation": "Sum", "inputs": tops})
    return build_graph(documents), inputs


def ulps_apart(x: FloatArray, y: FloatArray) -> FloatArray:
    """Units in the last place between numbers, 0 for two NaN; infinite between zeros of different signs."""
    with np.errstate(all="ignore"):
        apart = np.abs(x - y) / np.spacing(np.maximum(np.abs(x), np.abs(y)))
    apart[(x == y) | (np.isnan(x) & np.isnan(y))] = 0.0
    apart[np.isnan(apart) | (x == y) & (np.signbit(x) != np.signbit(y))] = np.inf
    return apart


def both(graph: Graph, inputs: Inputs) -> tuple[tuple[Figures, Figures], tuple[Figures, Figures]]:
    """Values, then gradients, each compiled and from the array loop; the gradients at the same values."""
    output = graph.outputs[0]
    with array_loop():
        values = forward_pass(graph, inputs)
        gradients = backward_pass(graph, values, output)
    return (forward_pass(graph, inputs), values), (backward_pass(graph, values, output), gradients)


@cache
def greatest_ulps(operation: Operation) -> tuple[float, float]:
    """By how much the two loops differ, at worst, in the operation's value and in its gradients."""
    pairs = both(*one_node_each(operation))
    value, gradient = (ulps_apart(compiled.flat, plain.flat).max() for compiled, plain in pairs)
    return float(value), float(gradient)


@pytest.mark.slow
@each_elementwise
def test_every_operation_is_compiled_and_gives_the_same_figures(operation: Operation) -> None:
    assert operation in {known for known, _ in opcodes()}
    found, allowed = greatest_ulps(operation), APART.get(operation.name, (1, 1))
    assert found[0] <= allowed[0] and found[1] <= allowed[1], found


@pytest.mark.slow
@each_elementwise
def test_the_same_nodes_are_without_a_derivative(operation: Operation) -> None:
    graph, inputs = one_node_each(operation)
    values = forward_pass(graph, inputs)
    compiled = nondifferentiable_nodes(graph, values)
    with array_loop():
        assert compiled == nondifferentiable_nodes(graph, values)


def random_graphs(count: int, rulebook: Sequence[Operation], seed: int) -> tuple[Graph, Inputs]:
    """`count` random graphs of up to ten operations side by side, under one sum."""
    random = Random(seed)
    documents: list[dict[str, object]] = []
    inputs: Inputs = {}
    tops = []
    samples = {operation: list(attribute_samples(operation)) for operation in rulebook}
    for number in range(count):
        names = [f"{number}x{position}" for position in range(random.randint(1, 3))]
        inputs |= {name: np.float64(round(random.gauss(0.0, 1.0), 1)) for name in names}
        documents += [{"name": name, "operation": "Input"} for name in names]
        documents.append({"name": f"{number}c", "operation": "Constant", "attributes": {"value": number % 5 - 2}})
        names.append(f"{number}c")
        for position in range(random.randint(3, 10)):
            operation = random.choice(rulebook)
            attributes = random.choice(samples[operation])
            read = random.choices(names, k=random.choice(operand_counts(operation)))
            names.append(f"{number}y{position}")
            document = {"name": names[-1], "operation": operation.name, "inputs": read, "attributes": attributes}
            documents.append(document)
        tops.append(names[-1])
    documents.append({"name": "all", "operation": "Sum", "inputs": tops})
    return build_graph(documents, ["all"]), inputs


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_random_graphs_of_exact_operations_agree_bit_for_bit(seed: int) -> None:
    """Of all operations but those in which the libraries behind the loops differ; 10,000 in the thorough profile."""
    exact = [each for each in ELEMENTWISE if each.name not in APART and greatest_ulps(each) == (0.0, 0.0)]
    assert len(exact) > 20
    for compiled, plain in both(*random_graphs(examples(2000), exact, seed)):
        assert np.all(ulps_apart(compiled.flat, plain.flat) == 0.0)


@pytest.mark.parametrize("seed", range(5))
def test_each_node_of_random_graphs_is_what_the_array_loop_makes_of_its_operands(seed: int) -> None:
    """Of all operations, 10,000 in the thorough profile: what one node has lost is no fault of the next."""
    graph, inputs = random_graphs(examples(2000), ELEMENTWISE, seed)
    values = forward_pass(graph, inputs)
    gradients = backward_pass(graph, values, "all")
    allowed = np.array([APART.get(node.operation.name, (1, 1)) for node in graph.nodes])
    replayed = replay_values(graph, values, Weights(0.0, 0.0))
    assert np.all(ulps_apart(values.flat, replayed.expected.flat)[:-1] <= allowed[:-1, 0])
    # 64 units of 2⁻⁵³ in a local gradient, and some for the order of summing up.
    replayed = replay_gradients(graph, values, gradients, "all", np.ones(()), Weights(70 * 2.0**-53, 0.0))
    with np.errstate(all="ignore"):
        apart = np.abs(gradients.flat - replayed.expected.flat)
    same = (gradients.flat == replayed.expected.flat) | np.isnan(gradients.flat) & np.isnan(replayed.expected.flat)
    constant = np.array([node.operation.name == "Constant" for node in graph.nodes])
    assert np.all(same | constant | (apart <= replayed.slack))


def test_values_of_another_graph_are_refused_before_any_index_is_trusted() -> None:
    graph = graph_of("y = relu(x) * 2")
    for values in (Figures(np.zeros(3)), Figures(np.zeros(5))):
        with pytest.raises(ValueError, match="values for 4 nodes"):
            backward_pass(graph, values, "y")
        with pytest.raises(ValueError, match="values for 4 nodes"):
            nondifferentiable_nodes(graph, values)


# --- what is kept on disk -----------------------------------------------------------------------------------------

# Two small operations instead of the whole rulebook, so that it compiles in seconds.
FEW = """
from service.core.execution import kernel
from service.core.rulebook import operations, registry
kept = [each for each in registry.operations() if each.name in ("Input", "Constant", "Add", "Max")]
registry._by_name = {each.name: each for each in kept}
from service.core.execution.passes import backward_pass, forward_pass
from service.core.graph.building import build_graph
kernel.warm()
nodes = [{"name": "a", "operation": "Input"}, {"name": "b", "operation": "Max", "inputs": ["a", "a"]}]
graph = build_graph([*nodes, {"name": "c", "operation": "Add", "inputs": ["b", "a"]}])
values = forward_pass(graph, {"a": 2.5})
print(*values.flat, *backward_pass(graph, values, "c").flat, sum(kernel.warm().forward.stats.cache_hits.values()))
print(kernel.warm().kept)
"""


def run_few(folder: Path, **environment: str) -> str:
    """What `FEW` prints in a process of its own, its compiled code in that folder."""
    given = {**os.environ, "NUMBA_CACHE_DIR": str(folder), **environment}
    ended = subprocess.run(
        [sys.executable, "-c", FEW], env=given, capture_output=True, text=True, check=False, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


READ_ONLY = {"NUMBA_CACHE_LOCATOR_CLASSES": "service.core.execution.numba_cache.ReadOnlyCacheLocator"}
FIGURES = "2.5 2.5 5.0 2.0 1.0 1.0"


@pytest.mark.compilation
def test_compiled_code_is_found_again_even_where_it_cannot_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "compiled"
    assert run_few(folder, **READ_ONLY) == f"{FIGURES} 0\nTrue"
    files = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert run_few(folder, **READ_ONLY) == f"{FIGURES} 1\nTrue"
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == files


@pytest.mark.compilation
@pytest.mark.parametrize("environment", [{}, READ_ONLY], ids=["numba's own locator", "ours"])
def test_an_unwritable_folder_only_costs_time(tmp_path: Path, environment: dict[str, str]) -> None:
    """No folder can be made below a file, whoever tries, root among them."""
    (tmp_path / "file").touch()
    home = {"HOME": str(tmp_path / "file"), "XDG_CACHE_HOME": str(tmp_path / "file")}
    locators = environment or {"NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator"}
    assert run_few(tmp_path / "file" / "compiled", **home, **locators) == f"{FIGURES} 0\nFalse"


# An operation that NumPy evaluates and Numba cannot compile, beside one of which it compiles every rule.
REFUSED = """
import numpy as np
from service.core.rulebook.registry import define
define("OwnShift", "x", forward=lambda x: np.vectorize(lambda each: each + 1.0)(x), local_gradients=lambda x, z: (1.0,))
define("OwnTwice", "x", forward=lambda x: 2.0 * x, local_gradients=lambda x, z: (2.0,))
"""
RUN_REFUSED = """
import rules
from service.core.rulebook import operations, registry
names = ("Input", "Constant", "Add", "OwnShift", "OwnTwice")
registry._by_name = {each.name: each for each in registry.operations() if each.name in names}
from threading import Thread
from service.core.execution import kernel
from service.core.execution.passes import backward_pass, forward_pass, nondifferentiable_nodes
from service.core.graph.building import build_graph
warm = Thread(target=kernel.warm)
warm.start()
warm.join()
for name in ("OwnShift", "OwnTwice"):
    nodes = [{"name": "x", "operation": "Input"}, {"name": "y", "operation": name, "inputs": ["x"]}]
    graph = build_graph([*nodes, {"name": "z", "operation": "Add", "inputs": ["y", "x"]}])
    values = forward_pass(graph, {"x": 2.5})
    compiled = kernel.compiled_loops(kernel.program_of(graph)) is not None
    print(name, compiled, *values.flat, *backward_pass(graph, values, "z").flat, nondifferentiable_nodes(graph, values))
"""


@pytest.mark.compilation
def test_a_rule_that_numba_refuses_is_named_and_runs_in_numpy(tmp_path: Path) -> None:
    (tmp_path / "rules.py").write_text(REFUSED)
    paths = os.pathsep.join([str(tmp_path), str(Path.cwd())])
    given = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "compiled"), "PYTHONPATH": paths}
    ended = subprocess.run(
        [sys.executable, "-c", RUN_REFUSED], env=given, capture_output=True, text=True, check=True, timeout=120
    )
    assert ended.stdout.splitlines() == [
        "OwnShift False 2.5 3.5 6.0 2.0 1.0 1.0 ()",
        "OwnTwice True 2.5 5.0 7.5 3.0 1.0 1.0 ()",
    ]
    assert "the rules of OwnShift cannot be compiled; graphs that hold it run in NumPy" in ended.stderr
    assert "OwnTwice" not in ended.stderr


def test_a_changed_rule_is_compiled_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name under which compiled code is kept holds a digest of every file that a rule is written in."""
    before = kernel.generated_loops(opcodes())["forward"].__qualname__
    assert kernel.generated_loops(opcodes())["forward"].__qualname__ == before
    changed = tmp_path / "rules.py"
    changed.write_text("def rule(x):\n    return -x\n")
    scope: dict[str, object] = {}
    exec(compile(changed.read_text(), str(changed), "exec"), scope)
    rules = dict(codegen.rules_of_loops(opcodes()))
    name = next(name for name in rules if name.startswith("forward_"))
    monkeypatch.setattr(kernel, "rules_of_loops", lambda codes: {**rules, name: scope["rule"]})
    names = [kernel.generated_loops(opcodes())["forward"].__qualname__]
    changed.write_text("def rule(x):\n    return 0 - x\n")
    names.append(kernel.generated_loops(opcodes())["forward"].__qualname__)
    assert len({before, *names}) == 3


def test_the_functions_over_packed_arrays_are_the_same_compiled() -> None:
    graph, _ = random_graphs(20, ELEMENTWISE, seed=1)
    counts = np.array([len(operands) for operands in graph.operands], dtype=np.int32)
    operands = np.array([position for operands in graph.operands for position in operands], dtype=np.uint32)
    levels = [np.empty(len(graph), dtype=np.int32) for _ in range(2)]
    program = kernel.program_of(graph)
    assert program
    reached = [np.arange(len(graph)) == len(graph) - 1 for _ in range(2)]
    for find_levels, find_reached, level, mark in zip(
        (kernel.warm().find_levels, program_module.find_levels),
        (kernel.warm().find_reached, program_module.find_reached),
        levels,
        reached,
        strict=True,
    ):
        find_levels(counts, operands, level)
        find_reached(program.stretches, program.nodes, program.operands, mark)
    assert np.array_equal(*levels)
    assert np.array_equal(*reached)
    assert np.array_equal(reached[0], reaches(graph, "all"))


# --- threads ------------------------------------------------------------------------------------------------------


def test_runs_in_many_threads_give_the_same_figures() -> None:
    graph, inputs = random_graphs(100, ELEMENTWISE, seed=0)
    values = forward_pass(graph, inputs)
    expected = [backward_pass(graph, values, node.name).flat.tobytes() for node in graph.nodes[-40:]]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda node: backward_pass(graph, values, node.name).flat.tobytes(), graph.nodes[-40:]))
    assert found == expected


def test_a_thread_runs_while_another_one_is_inside_the_loops() -> None:
    """Python's own lock changes hands here only where it is let go of: a loop that held it would be seen no sooner than
    after all its calls."""
    graph, _ = random_graphs(500, ELEMENTWISE, seed=2)
    program = kernel.program_of(graph)
    assert program
    loop, values = kernel.warm().forward, program.leaves.copy()
    begun, seen, left = Event(), Event(), Event()

    def run() -> None:
        begun.set()
        for _ in range(200_000):
            loop(program.stretches, program.nodes, program.operands, program.attributes, values)
            if seen.is_set():
                break
        left.set()

    thread = Thread(target=run)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)
    try:
        thread.start()
        begun.wait()
        inside = not left.is_set()
        seen.set()
        thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert inside


def test_the_seed_example_compiled() -> None:
    assert kernel.warm().kept
    graph = graph_of("F(a, b, c, d) = ((a + b) * c) / d")
    inputs = {name: np.array(x) for name, x in zip("abcd", (5.0, 1.0, -2.0, -3.0), strict=True)}
    for compiled, plain in both(graph, inputs):
        assert compiled.flat.tobytes() == plain.flat.tobytes()
