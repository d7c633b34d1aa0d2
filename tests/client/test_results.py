"""What results can: they are mappings, tables and HTML."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from service.client import Client, Comparison, Derivatives, GradientCheck, Graph, Hypothesis, Run, graph
from service.client.results.result import Result, Table

INPUTS = {"a": 5, "b": 1, "c": -2, "d": -3}


@dataclass(frozen=True)
class Answers:
    """One of each table."""

    graph: Graph
    run: Run
    comparison: Comparison
    derivatives: Derivatives
    check: GradientCheck

    def tables(self) -> list[Table]:
        return [self.graph, self.run, self.comparison, self.derivatives, self.check]


@pytest.fixture(scope="module")
def service(service_url: str) -> Iterator[Client]:
    with Client(service_url) as client:
        yield client


@pytest.fixture(scope="module")
def answers(service: Client) -> Answers:
    made = service.create_graph("<results>", expression="e = a + b; f = e * c; F = f / d")
    return Answers(
        made,
        service.create_run(made, INPUTS),
        service.check_claims(made, INPUTS, {"gradients": {"d": 108, "f": -3}}),
        service.create_derivatives(made, "jacobian", INPUTS),
        service.check_gradients(made, INPUTS),
    )


# --- mappings --------------------------------------------------------------------------------------------------------


def test_a_result_is_a_mapping_of_what_it_shows(answers: Answers) -> None:
    run = answers.run
    members = dict(run)
    assert members["output"] == run["output"] == run.output == "F"
    assert {"document", "nodes", "values"} & members.keys() == set()
    assert [name for name in members if f"{name}=" not in repr(run)] == []
    assert len(run) == len(members)
    assert dict(run.items()) == members
    assert run["values"] is run.get("values") is run.values
    assert run.get("none") is None
    assert run in {run} and run != answers.graph
    for name in ("_all", "keys", "none"):
        with pytest.raises(KeyError):
            run[name]


def test_hypotheses_are_typed_and_mappings(answers: Answers) -> None:
    likeliest = answers.comparison.origins[0].hypotheses[0]
    assert isinstance(likeliest, Hypothesis)
    assert (likeliest.name, likeliest.error) == ("reciprocal of the local gradient", 0.0)
    assert likeliest["name"] == likeliest.name
    assert likeliest.sentence.startswith("∂F/∂f is −3")


# --- tables ----------------------------------------------------------------------------------------------------------


def test_tables_have_columns(answers: Answers) -> None:
    columns = answers.run.to_numpy()
    assert list(columns) == ["name", "operation", "shape", "value", "gradient"]
    assert columns["name"].tolist() == list(answers.run.values)
    assert columns["value"].tolist() == list(answers.run.values.values())
    assert columns["gradient"].dtype == np.float64
    assert answers.graph.to_numpy()["inputs"].tolist()[-1] == ("f", "d")
    assert answers.derivatives.to_numpy()["value"].tolist() == list(answers.derivatives.blocks.values())
    assert answers.check.to_numpy()["verdict"].tolist() == ["right"] * 4
    compared = answers.comparison.to_numpy()
    assert compared["verdict"].tolist() == ["same"] * 4 + ["origin"] * 2
    assert compared["candidate"].tolist() == [5, 1, -2, -3, -3, 108]


def test_what_is_missing_among_numbers_is_nan_and_arrays_stay_arrays(service: Client) -> None:
    made = service.create_graph("results with arrays", expression="y = sum(x * 2)")
    scalar, batch = (service.create_run(made, {"x": x}).to_numpy() for x in (3.0, [1.0, 2.0]))
    assert scalar["gradient"].tolist()[:1] == [2.0] and np.isnan(scalar["gradient"][1])
    assert batch["gradient"][0].tolist() == [2.0, 2.0]
    assert batch["gradient"][1] is None
    vectors = service.create_run(service.create_graph("results of vectors", expression="y = -x"), {"x": [1.0, 2.0]})
    assert [figure.tolist() for figure in vectors.to_numpy()["value"]] == [[1.0, 2.0], [-1.0, -2.0]]


def test_a_table_reads_what_the_answer_left_out(service: Client) -> None:
    with graph("results, long") as g:
        g.y0 = g.input("x")
        for k in range(500):
            g[f"y{k + 1}"] = -g[f"y{k}"]
    long = service.create_graph(g)
    run, other = (service.create_run(long, {"x": x}) for x in (1.0, 1.0))
    compared = service.create_comparison(run, other)
    (listed,) = service.list_graphs(name="results, long")
    short = service.get_run(run, gradients="inputs")
    assert (len(listed.nodes), len(short.nodes), len(compared.document["nodes"])) == (0, 0, 1000)
    assert [len(table.to_numpy()["name"]) for table in (listed, short, compared)] == [502, 502, 1004]


def test_without_a_library_no_frame_is_made(answers: Answers) -> None:
    assert not find_spec("pandas"), "the environment of `make test` is without it"
    with pytest.raises(ImportError, match="pandas"):
        answers.run.to_frame()


@pytest.mark.peers
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_table_is_a_frame_of_each_library(answers: Answers, library: Any) -> None:
    for table in answers.tables():
        frame, columns = table.to_frame(library), table.to_numpy()
        assert list(frame.columns) == list(columns)
        for name, column in columns.items():
            assert list(map(str, frame[name])) == list(map(str, column.tolist()))
    assert type(answers.run.to_frame()).__module__.startswith("pandas")


@pytest.mark.peers
def test_a_frame_of_results_has_their_members(service: Client, answers: Answers) -> None:
    import pandas
    import polars

    frame = pandas.DataFrame(service.list_runs(graph=answers.graph))
    assert set(frame["source"]) == {"computed", "recorded"}
    assert polars.DataFrame(list(service.list_runs(graph=answers.graph)))["id"].to_list() == list(frame["id"])
    assert list(pandas.DataFrame(service.list_limits()).columns) == ["name", "maximum", "meaning", "variable"]


# --- notebooks -------------------------------------------------------------------------------------------------------


def markup(result: Any) -> ElementTree.Element:
    """A result's HTML, which is also well-formed XML."""
    return ElementTree.fromstring(f"<div>{result._repr_html_()}</div>")


def test_every_result_has_html(service: Client, answers: Answers) -> None:
    run, comparison = answers.run, answers.comparison
    step = next(iter(service.list_steps(run, node="e")))
    trained = service.create_series(service.create_graph("<trained>", expression="V = W + x"), {"V": "W"})
    # The second step takes another W than the first gave, and adds wrongly.
    service.add_steps(trained, {"W": np.array([1.0, 5.0]), "x": np.ones(2), "V": np.array([2.0, 7.0])})
    axes = {**INPUTS, "a": {"linspace": [0, 1, 3]}, "d": {"values": [0.0, 1.0]}}
    swept = service.create_sweep(answers.graph, axes, against=answers.graph).result()
    judged, rounding = service.get_series_verdict(trained), service.get_rounding(run, dtype="bfloat16")
    shown: list[Any] = [
        *answers.tables(),
        *(answers.graph.nodes[0], run.nodes[0], answers.check.nodes[0], comparison.origins[0], comparison.causes[0]),
        *(service.list_paths(run, "a"), service.list_paths(run, "a").paths[0], service.get_formula(answers.graph)),
        *(step, *list(service.list_steps(run, node="e"))[-1].contributions),
        *(service.get_operation("tanh"), service.list_limits()[0]),
        *(next(service.list_comparisons()), next(service.list_comparison_nodes(comparison))),
        next(service.list_derivatives(answers.graph)),
        *(service.align_runs(run, run), rounding, rounding.nodes[0], trained, *service.list_series_steps(trained)),
        *(judged, judged.first_wrong, judged.broken_carries[0], swept, swept.job),
        *(swept.nonfinite[0], *swept.reduced.values(), *swept.parted.values(), *service.list_sweep_points(swept)),
    ]
    assert {type(each) for each in shown} | {Hypothesis} >= set(_classes(Result)) - {Table}
    for each in shown:
        assert "".join(markup(each).itertext()).strip(), type(each)


def _classes(root: type[Result]) -> Iterator[type[Result]]:
    for each in root.__subclasses__():
        # dataclass makes a second class where there are slots; the first is no public name
        yield from ([each] if each.__name__ == "Table" or "__slots__" in vars(each) else [])
        yield from _classes(each)


def test_html_is_escaped_and_keeps_to_the_pages_colours(service: Client) -> None:
    with graph("<results>") as g:
        g["<b>"] = g.input("<a>") + 1
    made = service.create_graph(g)
    for shown in (made, service.create_run(made, {"<a>": 1}), made.nodes[0]):
        written = shown._repr_html_()
        assert "&lt;a&gt;" in written
        assert not re.search("<[ab]>(?!Graph)", written)
        assert not re.search("color|style|background", written.rpartition("</svg>")[2])


def test_a_run_is_drawn_and_listed(answers: Answers) -> None:
    found = markup(answers.run)
    assert [child.tag.rpartition("}")[2] for child in found] == ["svg", "table"]
    assert [row[3].text for row in found.iterfind("table/tbody/tr")] == ["5", "1", "−2", "−3", "6", "−12", "4"]


def test_a_comparison_says_its_causes_and_lists_differences(answers: Answers) -> None:
    found = markup(answers.comparison)
    assert "".join(found[0].itertext()) == "differ: 4 same, 2 origin"
    assert [item.text for item in found.iterfind("ul/li")] == [cause.sentence for cause in answers.comparison.causes]
    assert [row[1].text for row in found.iterfind("table/tbody/tr")] == ["f", "d"]


def test_what_was_not_kept_is_not_drawn(service: Client, answers: Answers) -> None:
    kept_no_run = service.create_run(answers.graph, INPUTS, keep=False)
    assert kept_no_run._repr_svg_() is None
    assert [child.tag for child in markup(kept_no_run)] == ["table"]


def test_what_is_no_longer_there_is_listed_all_the_same(service: Client, answers: Answers) -> None:
    run = service.create_run(answers.graph, INPUTS)
    service.delete_run(run)
    assert [child.tag for child in markup(run)] == ["table"]


def test_long_tables_end_with_dots(service: Client) -> None:
    made = service.create_graph("results, in part", expression="; ".join(f"y{k} = x" for k in range(30)))
    run = service.create_run(made, {"x": np.zeros((2, 3))}, output="y1")
    found = markup(run)
    assert len(found.findall("table/tbody/tr")) == 20
    assert found[-1].text == "… and more"
    assert found.find("table/tbody/tr")[3].text == "[2×3]"  # type: ignore[index]
    assert re.search("<dt>outputs</dt><dd>y0, y1, .*, y19, …</dd>", Result._repr_html_(made))
