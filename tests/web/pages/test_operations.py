"""The rulebook as pages: by kind, found by any name, each operation with its rule, kinks and an example that runs."""

import re
from collections import Counter
from html import unescape

import numpy as np
import pytest
from flask.testing import FlaskClient

from service.core.rulebook.composed import composed_operations
from service.core.rulebook.registry import operations
from service.web.pages.operation_examples import KINKS, example_run
from service.web.pages.operation_kinks import draw_curves, is_plotted, kink_places, kink_rows
from service.web.pages.operation_words import KINDS, meaning_of, shape_in_words

OWN = {"Origin": "http://localhost"}


def names_in(text: str) -> list[str]:
    """The operations to which a list leads."""
    return re.findall(r'<th scope="row"><a href="/operations/(\w+)">', text)


def text_of(page: str) -> str:
    """What a reader reads, without the formulas' elements."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_every_operation_stands_in_one_kind_and_is_told_in_words() -> None:
    listed = Counter(name for names in KINDS.values() for name in names)
    assert listed == Counter(operation.name for operation in operations())
    for operation in operations():
        assert shape_in_words(operation)
        assert all(meaning_of(operation, each.name) for each in operation.attributes), operation.name


def test_the_example_of_every_operation_runs_with_it() -> None:
    for operation in operations():
        run = example_run(operation)
        assert operation in [node.operation for node in run.graph.nodes], operation.name
        assert run.gradients and np.isfinite(run.values.flat).all() and np.isfinite(run.gradients.flat).all()
        assert not {"x", "z", "L"}.isdisjoint(run.graph.position), operation.name


def test_every_kink_is_shown_at_a_place_where_there_is_one() -> None:
    for operation in operations():
        assert bool(kink_rows(operation)) == (operation.kinks is not None), operation.name
        assert (operation.name in KINKS) == (operation.kinks is not None and not kink_places(operation))


def test_the_list_is_searched_by_name_and_by_alias(client: FlaskClient) -> None:
    composed = [operation.name for operation in composed_operations()]
    assert names_in(client.get("/operations").text) == [
        *(name for names in KINDS.values() for name in names),
        *composed,
    ]
    assert names_in(client.get("/operations?name=RELU").text) == ["Relu", "LeakyRelu", "PRelu", "ThresholdedRelu"]
    assert names_in(client.get("/operations?name=÷").text) == ["Div"]
    nothing = client.get("/operations?name=<b>").text
    assert "No operation is called so" in nothing and "&lt;b&gt;" in nothing and not names_in(nothing)


@pytest.mark.parametrize(("alias", "name"), [("tanh", "Tanh"), ("/", "Div"), ("//", "FloorDiv"), ("÷", "Div")])
def test_an_alias_leads_to_the_operation(client: FlaskClient, alias: str, name: str) -> None:
    led = client.get(f"/operations/{alias}")
    assert (led.status_code, led.headers["Location"]) == (303, f"/operations/{name}")
    shown = client.get(led.headers["Location"])
    assert shown.status_code == 200 and f"<h1>{name}</h1>" in shown.text


def test_a_name_that_there_is_not_is_told_so(client: FlaskClient) -> None:
    missing = client.get("/operations/RELU", headers={"Accept": "text/html"})
    assert missing.status_code == 404 and "there is no operation" in missing.text


def test_a_kink_is_told_with_what_each_library_chooses(client: FlaskClient) -> None:
    text = text_of(client.get("/operations/Abs").text)
    assert "x = 0 x −1 1 0 the same 1 the same" in text  # minimum norm, PyTorch, JAX, TensorFlow
    text = text_of(client.get("/operations/Max").text)
    assert "x1 = 1, x2 = 1 x1 0 1 0.5 the same the same 1" in text and "x2 0 1 0.5 the same the same 0" in text
    assert "−1 x 0 1 0 1 or 0 0.5 or 0 1 or 0" in text_of(client.get("/operations/Clip").text)
    assert "Kinks None" in text_of(client.get("/operations/Tanh").text)


def test_a_page_tells_rule_attributes_shape_and_closed_edges(client: FlaskClient) -> None:
    page = client.get("/operations/LeakyRelu").text
    assert "<mo>∂</mo>" in page and 'href="/operations/Relu"' in page
    text = text_of(page)
    assert "alpha 0.01 the factor below 0" in text and "Shape That of x." in text
    assert "To x where" in text and "PyTorch, JAX and TensorFlow multiply by 0 there" in text
    assert "Conv" in client.get("/operations/MaxPool").text
    assert "where x > 0" in text_of(client.get("/operations/Log").text).replace("0 < x", "x > 0")


def test_an_operation_of_one_operand_is_drawn_with_its_derivative_and_its_kinks(client: FlaskClient) -> None:
    shown = client.get("/operations/Abs").text
    labels = re.findall(r'class="plot floor"[^>]* aria-label="([^"]*)"', shown)
    assert shown.count('class="dot"') == 2
    assert labels == [
        "z over x from −4 to 4: it goes from 4 to 4, between 0 and 4. Marked at x = 0.",
        "∂z/∂x over x from −4 to 4: it rises from −1 to 1, and has no value in places. Marked at x = 0.",
    ]
    assert client.get("/operations/Tanh").text.count('class="dot"') == 0
    assert 'class="plot' not in client.get("/operations/Add").text
    for operation in operations():
        if is_plotted(operation):
            curves = draw_curves(operation)
            assert curves.count("<path") >= 2 and "no value anywhere" not in curves, operation.name
            assert curves.count("<circle") <= 2 * len(kink_places(operation))


@pytest.mark.parametrize("name", ["Tanh", "Div", "SoftmaxCrossEntropyLoss"])
def test_the_example_is_run_and_leads_to_its_run(client: FlaskClient, name: str) -> None:
    led = client.post(f"/operations/{name}/example", headers=OWN)
    assert led.status_code == 303 and led.headers["Location"].startswith("/runs/")
    assert f"{name} at work" in client.get(led.headers["Location"]).text
