"""Scripts that show an origin: they run by themselves and print what is right beside what was recorded."""

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.core.errors import InvalidRequest
from service.core.graph.building import build_graph
from service.core.reproduction.issue import write_issue
from service.core.reproduction.script import LANGUAGES, LARGEST_WRITTEN, write_script
from tests.core.comparison.porting_slips import PORTS
from tests.core.comparison.students_slips import STUDENTS
from tests.planted import SEED, SEED_INPUTS, altered, graph_of, run_of
from tests.reproductions import (
    execute,
    only_smallest,
    planted_everywhere,
    run_script,
    shown_figures,
    slips,
    smallest_of,
    wrong,
    wrong_cases,
)

# Along several directions.
REFUSED = {"CofactorsAlong"}


TABLE = [*STUDENTS, *PORTS]


def test_numpy_shows_origins_of_elementwise_operations() -> None:
    failed, refused, count = wrong_cases("numpy", planted_everywhere(0, every=2))
    assert failed == [] and not refused and count > 50


@pytest.mark.slow
def test_numpy_shows_every_origin_of_the_registry() -> None:
    failed, refused, count = wrong_cases("numpy", planted_everywhere(3))
    assert failed == [] and refused == REFUSED and count > 600


@pytest.mark.slow
def test_numpy_shows_every_slip() -> None:
    failed, refused, count = wrong_cases("numpy", slips(TABLE))
    assert failed == [] and not refused and count == len(TABLE)


@pytest.mark.peers
def test_pytorch_shows_every_origin_of_the_registry_and_every_slip() -> None:
    pytest.importorskip("torch", reason="left to `make test-peers`")
    cases = chain(planted_everywhere(2), slips(TABLE))
    failed, refused, count = wrong_cases("torch", cases, lambda found: found.detach().numpy())
    assert failed == [] and refused <= REFUSED and count > 700


@pytest.mark.peers
def test_jax_shows_origins_of_the_registry() -> None:
    pytest.importorskip("jax", reason="left to `make test-peers`")
    failed, refused, count = wrong_cases("jax", planted_everywhere(1, every=16))
    assert failed == [] and refused <= REFUSED and count > 20


TENSORS = "h = tanh(x @ W + b); n = softmax(h); y = n * h; L = sum(y * y)"


def tensor_inputs(columns: int = 3) -> dict[str, Any]:
    random = np.random.default_rng(0)
    return {"x": random.normal(size=(2, 4)), "W": random.normal(size=(4, columns)), "b": random.normal(size=columns)}


def in_processes(language: str, path: Path) -> list[str]:
    """What the scripts of seven origins print, each in a process of its own."""
    graph = graph_of(SEED)
    right = run_of(graph, SEED_INPUTS)
    smalls = smallest_of(right, run_of(graph, SEED_INPUTS, gradients={"f": -3.0, "d": 108.0}))
    net, inputs = graph_of(TENSORS), tensor_inputs()
    right = run_of(net, inputs)
    for phase, node in (("values", "n"), ("values", "h"), ("gradients", "h"), ("gradients", "W"), ("gradients", "b")):
        smalls += smallest_of(right, run_of(net, inputs, **{phase: {node: wrong}}))
    assert len(smalls) == 7
    printed = []
    for number, small in enumerate(smalls):
        printed.append(run_script(write_script(small, language, ["Wrong."]), path / f"{language}_{number}.py"))
        if not small.right.ndim:
            shown = shown_figures(printed[-1])
            assert shown["right"] == pytest.approx(float(small.right), rel=1e-12)
            assert shown["recorded"] == small.recorded
    return printed


@pytest.mark.slow
def test_seven_scripts_of_numpy_run_by_themselves(tmp_path: Path) -> None:
    printed = in_processes("numpy", tmp_path)
    assert (
        printed[0]
        == f"numpy {np.__version__}\nright -0.3333333333333333\nrecorded -3.0\ndifference -2.6666666666666665\n"
    )
    assert all("difference" in each for each in printed)


@pytest.mark.peers
@pytest.mark.parametrize("language", ["torch", "jax"])
def test_seven_scripts_of_a_library_run_by_themselves(language: str, tmp_path: Path) -> None:
    pytest.importorskip(language, reason="left to `make test-peers`")
    assert all("difference" in each for each in in_processes(language, tmp_path))


def test_large_arrays_lie_beside_the_script(tmp_path: Path) -> None:
    net, inputs = graph_of(TENSORS), tensor_inputs(100)
    small = only_smallest(run_of(net, inputs), run_of(net, inputs, gradients={"W": wrong}))
    script = write_script(small, "numpy", ["Wrong."])
    assert script.reads and len(script.text) < 8000
    assert {name for name, figure in script.figures.items() if figure.size > LARGEST_WRITTEN} == {"W", "recorded"}
    assert "largest difference" in run_script(script, tmp_path / "origin.py")
    for language in LANGUAGES:
        assert 'with_suffix(".npz")' in write_script(small, language, ["Wrong."]).text


HOSTILE = ["right", "seed", "np", "import os", '"""', "__file__", "x\\", "∂", "lambda", "def", "recorded"]


def test_names_and_sentences_are_never_code(tmp_path: Path) -> None:
    nodes = [{"name": name, "operation": "Input"} for name in HOSTILE]
    graph = build_graph([*nodes, {"name": "value of '\\", "operation": "Sum", "inputs": HOSTILE}])
    inputs = {name: float(number) for number, name in enumerate(HOSTILE)}
    right = run_of(graph, inputs)
    about = ['"""; import os; os.abort(); """', "\\", '"', "a\nb\u2028c"]
    for small in (
        only_smallest(right, altered(right, values={graph.outputs[0]: 7.0})),
        only_smallest(right, altered(right, gradients={"right": np.array(7.0)})),
    ):
        for language in LANGUAGES:
            compile(write_script(small, language, about).text, "origin", "exec")
        found = execute(write_script(small, "numpy", about))
        assert float(found["right"]) == small.right and float(found["recorded"]) == 7.0


def test_an_id_stands_in_one_line() -> None:
    right = run_of(graph_of("y = x * 2"), {"x": 1.0})
    small, identifier = only_smallest(right, altered(right, values={"y": 7.0})), "01a22bea-bc68-7288-885f-4314008917e2"
    for width in range(60, 100):
        assert identifier in write_script(small, "numpy", [f"{'x' * width} {identifier}"]).text


def test_what_is_no_number_is_shown_too() -> None:
    graph = graph_of("y = x / z")
    right = run_of(graph, {"x": np.array([1.0, 0.0, -2.0]), "z": 0.0})
    small = only_smallest(right, altered(right, values={"y": np.array([np.inf, np.nan, np.inf])}))
    shown = shown_figures(execute(write_script(small, "numpy", ["Wrong."]))["printed"])
    assert (shown["right"], shown["recorded"]) == (-np.inf, np.inf)


def test_another_shape_is_shown() -> None:
    graph = graph_of("y = x * b; L = sum(y)")
    right = run_of(graph, {"x": np.ones((2, 3)), "b": np.ones(3)})
    small = only_smallest(right, altered(right, gradients={"b": np.ones((2, 3))}))
    printed = execute(write_script(small, "numpy", ["Wrong."]))["printed"]
    assert printed.splitlines()[1:] == ["right has the shape (3,)", "recorded has the shape (2, 3)"]


def test_a_graph_of_float32_is_shown_in_float32() -> None:
    nodes = [{"name": "x", "operation": "Input", "attributes": {"dtype": "float32"}}]
    graph = build_graph([*nodes, {"name": "y", "operation": "Exp", "inputs": ["x"]}])
    right = run_of(graph, {"x": 1.0}, dtype="float32")
    found = execute(write_script(only_smallest(right, altered(right, values={"y": 2.5})), "numpy", ["Wrong."]))
    assert found["right"].dtype == found["recorded"].dtype == np.float32


def test_what_a_language_cannot_say_is_refused() -> None:
    nodes = [{"name": "x", "operation": "Input"}]
    graph = build_graph([*nodes, {"name": "y", "operation": "Cast", "inputs": ["x"], "attributes": {"to": "bfloat16"}}])
    right = run_of(graph, {"x": 1.0})
    small = only_smallest(right, altered(right, values={"y": 2.5}))
    with pytest.raises(InvalidRequest, match="NumPy has no words here for Cast"):
        write_script(small, "numpy", ["Wrong."])
    assert "bfloat16" in write_script(small, "torch", ["Wrong."]).text


def test_an_issue_has_sentence_figures_script_and_source() -> None:
    graph = graph_of(SEED)
    right = run_of(graph, SEED_INPUTS)
    small = only_smallest(right, run_of(graph, SEED_INPUTS, gradients={"f": -3.0}))
    script = write_script(small, "torch", ["``` is *wrong*"])
    issue = write_issue(small, "``` is *wrong*", "By <us> & @them.", script.text, "torch")
    head, _, rest = issue.partition("````python\n")
    code, _, tail = rest.partition("````\n")
    assert head.startswith(
        "\\`\\`\\` is \\*wrong\\*\n\n- right: -0.3333333333333333\n- recorded: -3\n\nTo be seen with PyTorch"
    )
    assert code == script.text and tail == "\nBy \\<us\\> \\& \\@them.\n"
