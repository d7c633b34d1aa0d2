"""The JSON Schemas of figures, names and nodes, and those of them that the document of the API shares by name.

Generators of clients read the document too. So every array says what its items are, every object what else it may
hold, and what several operations take or answer stands under one name, which becomes one class.
"""

from typing import Any

from service.core.graph.names import LONGEST_NAME


def reference(name: str) -> dict[str, Any]:
    """The JSON Schema that has this name in the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON Schema that also takes null."""
    return {"oneOf": [*schema.get("oneOf", [schema]), {"type": "null"}]}


def _array(name: str, description: str, *elements: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of that name: an element, or a list of such again.

    Generators cannot follow a schema into itself, and do not read `then`.
    """
    inner = {"anyOf": [*elements, {"type": "array", "items": {}}], "if": {"type": "array"}, "then": reference(name)}
    return {"description": description, "oneOf": [*elements, {"type": "array", "items": inner}]}


# Of texts; `(?![\s\S])` is the end, and `$` would be before a last line break too.
NODE_NAME = {"minLength": 1, "maxLength": LONGEST_NAME, "pattern": r"^[^\x00-\x1f\x7f-\x9f`]+(?![\s\S])"}
NAMES = {"type": "array", "items": {"type": "string", **NODE_NAME}}
DISTINCT_NAMES = {**NAMES, "minItems": 1, "uniqueItems": True}
DIGEST = {"type": "string", "pattern": r"^sha256:[0-9a-f]{64}(?![\s\S])"}
TAGS = {"type": "object", "additionalProperties": {"type": "string"}}

NUMBER: dict[str, Any] = {"oneOf": [{"type": "number"}, reference("NonfiniteNumber")]}
NUMBER_OR_NULL = or_null(NUMBER)
ARRAY: dict[str, Any] = {"oneOf": [reference("Figure")]}
ARRAY_OR_NULL = or_null(ARRAY)
FIGURES = {"type": "object", "additionalProperties": ARRAY}
FIGURES_OR_NULL = {"type": "object", "additionalProperties": ARRAY_OR_NULL}
NODES = {"type": "array", "items": reference("Node")}
TOLERANCE: dict[str, Any] = {"oneOf": [reference("ToleranceName"), reference("ToleranceBounds")]}

COMPONENTS: dict[str, dict[str, Any]] = {
    "NonfiniteNumber": {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]},
    "Figure": _array(
        "Figure", "A number, or nested lists of numbers; NaN, Infinity and -Infinity as strings", *NUMBER["oneOf"]
    ),
    "WrittenFigure": _array(
        "WrittenFigure",
        "A number, or nested lists of numbers, each of which may be text: 2/3, 1 1/3, 0.667",
        {"type": "number"},
        {"type": "string", "minLength": 1},
    ),
    "Tensor": {
        "description": "A stored tensor in place of an array, by its digest",
        "type": "object",
        "required": ["tensor"],
        "properties": {"tensor": DIGEST},
        "additionalProperties": False,
    },
    "ToleranceName": {"type": "string", "enum": ["float64", "float32", "float16", "bfloat16", "exact"]},
    "ToleranceBounds": {
        "type": "object",
        "minProperties": 1,
        "properties": {bound: {"type": "number", "minimum": 0} for bound in ("rtol", "atol")},
        "additionalProperties": False,
    },
    "Node": {
        "type": "object",
        "required": ["name", "operation"],
        "properties": {
            "name": {"type": "string", **NODE_NAME},
            "operation": {
                "type": "string",
                "minLength": 1,
                "description": "An operation, a composed one, or a stored graph: its name, name@version or id",
            },
            "inputs": NAMES,
            "attributes": {
                "type": "object",
                "additionalProperties": {},
                "description": "By name; `GET /v1/operations/{name}` lists them",
            },
            "part_of": {
                "type": "string",
                "description": "In answers the part that the node lies in, left out if none; where posted, ignored",
            },
        },
        "additionalProperties": False,
    },
    "Part": {
        "type": "object",
        "required": ["name", "operation"],
        "properties": {
            "name": {"type": "string", **NODE_NAME},
            "operation": {"type": "string", "description": "As it was written"},
            "graph": {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "The digest of a stored graph"},
        },
        "additionalProperties": False,
    },
}

# Keywords of what has values, gradients or both.
SOME_FIGURES: dict[str, Any] = {
    "if": {"properties": {"values": {"maxProperties": 0}}},
    "then": {"required": ["gradients"], "properties": {"gradients": {"minProperties": 1}}},
}


def given(name: str) -> dict[str, Any]:
    """The JSON Schema of an array, by its name, or of a tensor."""
    return {"oneOf": [reference(name), reference("Tensor")]}


def _axis(kind: str, description: str, numbers: dict[str, Any], **others: Any) -> dict[str, Any]:
    """The JSON Schema of how an input of a sweep varies."""
    members = {kind: numbers, **others}
    return {
        "description": description,
        "type": "object",
        "required": [kind],
        "properties": members,
        "additionalProperties": False,
    }


_THREE = {"type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 3}
_SEED = {"type": "integer", "minimum": 0, "default": 0}
AXES: dict[str, dict[str, Any]] = {
    "LinspaceAxis": _axis("linspace", "start, stop, count: evenly spaced, with both ends", _THREE),
    "LogspaceAxis": _axis("logspace", "start, stop, count: 10 to the power of evenly spaced numbers", _THREE),
    "UniformAxis": _axis("uniform", "low, high, count: random numbers", _THREE, seed=_SEED),
    "NormalAxis": _axis("normal", "mean, deviation, count: random numbers", _THREE, seed=_SEED),
    "ValuesAxis": _axis("values", "a vector, one number after the other", given("Figure")),
}
COMPONENTS |= AXES
INPUTS = {"type": "object", "additionalProperties": given("Figure")}
SWEPT_INPUT = {"oneOf": [*given("Figure")["oneOf"], *map(reference, AXES)]}
INPUTS_OR_NULL = {"type": "object", "additionalProperties": or_null(given("Figure"))}


def given_figures(name: str, *, none: bool = False) -> dict[str, Any]:
    """The JSON Schema of figures that are given, each an array by its name or a tensor, with `none` also null."""
    figure = or_null(given(name)) if none else given(name)
    return {
        "type": "object",
        "additionalProperties": figure,
        "x-more": {"propertyNames": {"type": "string", **NODE_NAME}},
    }
