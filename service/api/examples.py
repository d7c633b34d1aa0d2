"""The seed example as openapi.yaml shows it; a test checks these against the running service."""

from typing import Any

GRAPH_REQUEST: dict[str, Any] = {"name": "blog", "expression": "e = a + b; f = e * c; F = f / d"}

_GRAPH_ID = "01932c6f-4d2a-7c3e-9f10-5f6a1b2c3d4e"
_DIGEST = "4f09528cc3a9207273d442457bb83df4598778f4773e62cfe4cfae1abe556bf0"
_CREATED_AT = "2026-11-24T09:00:00+00:00"

GRAPH: dict[str, Any] = {
    "id": _GRAPH_ID,
    "name": "blog",
    "version": 1,
    "digest": _DIGEST,
    "inputs": ["a", "b", "c", "d"],
    "outputs": ["F"],
    "node_count": 7,
    "expression": "e = a + b; f = e * c; F = f / d",
    "parent": None,
    "tags": {},
    "created_at": _CREATED_AT,
    "nodes": [
        *({"inputs": [], "name": name, "operation": "Input"} for name in "abcd"),
        {"inputs": ["a", "b"], "name": "e", "operation": "Add"},
        {"inputs": ["e", "c"], "name": "f", "operation": "Mul"},
        {"inputs": ["f", "d"], "name": "F", "operation": "Div"},
    ],
    "next": None,
}

# The answer where neither `of` nor `wrt` is given.
FORMULA: dict[str, Any] = {
    "expression": "F(a, b, c, d) = (a + b) * c / d",
    "latex": r"F = \frac{\left(a + b\right) \cdot c}{d}",
    "mathml": '<mi>F</mi><mo>=</mo><mfrac><mrow><mrow><mo stretchy="false">(</mo><mrow><mi>a</mi><mo>+</mo><mi>b</mi>'
    '</mrow><mo stretchy="false">)</mo></mrow><mo>·</mo><mi>c</mi></mrow><mi>d</mi></mfrac>',
}

RUN_REQUEST: dict[str, Any] = {"inputs": {"a": 5, "b": 1, "c": -2, "d": -3}}

_FIGURES = (
    ("a", "Input", 5.0, 2 / 3),
    ("b", "Input", 1.0, 2 / 3),
    ("c", "Input", -2.0, -2.0),
    ("d", "Input", -3.0, 4 / 3),
    ("e", "Add", 6.0, 2 / 3),
    ("f", "Mul", -12.0, -1 / 3),
    ("F", "Div", 4.0, 1.0),
)

RUN: dict[str, Any] = {
    "id": "01932c70-0b6e-7a55-8d21-0c9b8a7f6e5d",
    "graph_id": _GRAPH_ID,
    "graph_digest": _DIGEST,
    "source": "computed",
    "inputs": {"a": 5.0, "b": 1.0, "c": -2.0, "d": -3.0},
    "output": "F",
    "seed": 1.0,
    "outputs": {"F": 4.0},
    "gradients": {name: gradient for name, operation, _, gradient in _FIGURES if operation == "Input"},
    "nonfinite": {"forward": None, "backward": None},
    "conventions": "minimum-norm",
    "label": None,
    "tags": {},
    "created_at": _CREATED_AT,
    "nodes": [
        {"name": name, "operation": operation, "value": value, "gradient": gradient}
        for name, operation, value, gradient in _FIGURES
    ],
    "next": None,
}

# The figures that the tutorial prints.
CHECK_REQUEST: dict[str, Any] = {
    **RUN_REQUEST,
    "claims": {
        "by": "the tutorial",
        "gradients": {"F": 1, "f": -3, "d": 108, "e": 6, "c": -18, "a": 6, "b": 6},
    },
}

# The second derivatives of the seed example with respect to c and d: d²F/dc² = 0, d²F/dcdd = −e/d², d²F/dd² = 2f/d³.
DERIVATIVES_REQUEST: dict[str, Any] = {**RUN_REQUEST, "kind": "hessian", "wrt": ["c", "d"]}

DERIVATIVES: dict[str, Any] = {
    "id": "01932c71-3c5d-7e11-a2b4-7d8e9f0a1b2c",
    "graph_id": _GRAPH_ID,
    "graph_digest": _DIGEST,
    "kind": "hessian",
    "inputs": {"a": 5.0, "b": 1.0, "c": -2.0, "d": -3.0},
    "outputs": ["F"],
    "wrt": ["c", "d"],
    "vector": None,
    "blocks": [
        {"of": "c", "wrt": "c", "value": 0.0},
        {"of": "c", "wrt": "d", "value": -2 / 3},
        {"of": "d", "wrt": "c", "value": -2 / 3},
        {"of": "d", "wrt": "d", "value": 8 / 9},
    ],
    "created_at": _CREATED_AT,
}
