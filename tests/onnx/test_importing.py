"""What is made of a model, and what is refused: each node by name, operator and reason, all at once."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from service.core.errors import InvalidModel, LimitExceeded, MalformedModel
from service.core.execution.passes import forward_pass
from service.core.graph.building import build_graph
from service.onnx.importing import import_model
from service.settings import Limits
from tests.onnx.models import imported, model_of

FEATURES = "(float[N, 3] x) => (float[N, 2] y) <float[3, 2] w = {1, 2, 3, 4, 5, 6}, float[2] b = {0.5, -0.5}>"


def refusals(text: str, opset: int = 17, more: str = "", **given: object) -> list[str]:
    """The details of the faults for which a model is refused."""
    with pytest.raises(InvalidModel) as refused:
        imported(text, opset, more, **given)
    return [fault.detail for fault in refused.value.faults]


def values(text: str, opset: int = 17, more: str = "", **inputs: object) -> np.ndarray:
    """The model's only output."""
    shapes = {name: np.shape(each) for name, each in inputs.items()}
    model = imported(text, opset, more, **shapes)
    graph = build_graph(model.nodes, model.outputs, model.inputs)
    given = {name: np.asarray(each, dtype=np.float64) for name, each in {**inputs, **model.weights}.items()}
    (output,) = graph.outputs
    return forward_pass(graph, given)[graph.position[output]]


def test_nodes_are_named_as_tensors_and_the_models_own_inputs_come_first() -> None:
    model = imported(f"{FEATURES} {{ h = MatMul(x, w) y = Add(h, b) }}")
    assert model.inputs == ["x", "w", "b"] and model.outputs == ["y"]
    assert model.nodes == [
        {"name": "x", "operation": "Input", "attributes": {"shape": [None, 3], "dtype": "float32"}},
        {"name": "w", "operation": "Input", "attributes": {"shape": [3, 2], "dtype": "float32"}},
        {"name": "b", "operation": "Input", "attributes": {"shape": [2], "dtype": "float32"}},
        {"name": "h", "operation": "MatMul", "inputs": ["x", "w"]},
        {"name": "y", "operation": "Add", "inputs": ["h", "b"]},
    ]
    assert {name: each.tolist() for name, each in model.weights.items()} == {
        "w": [[1, 2], [3, 4], [5, 6]],
        "b": [0.5, -0.5],
    }
    assert model.warnings == []


def test_only_what_the_chosen_outputs_need_is_imported() -> None:
    text = f"{FEATURES} {{ h = MatMul(x, w) u = Unique(h) y = Add(h, b) }}"
    model = imported(text, outputs=["h"])
    assert [node["name"] for node in model.nodes] == ["x", "w", "h"] and model.inputs == ["x", "w"]
    assert refusals(text, outputs=["z"]) == ["the model has no tensor 'z'"]


def test_a_weight_of_several_uses_and_one_that_the_exporter_made_are_told() -> None:
    model = imported("(float[2] x) => (float[2] y) <float[2] w = {1, 2}> { h = Mul(x, w) y = Add(h, w) }")
    assert model.warnings == ["the weight 'w' has 2 uses: 'h', 'y'; its gradient is the sum over all"]


def test_a_long_constant_is_a_weight() -> None:
    numbers = ", ".join(map(str, range(20)))
    model = imported(f"""(float[20] x) => (float[20] y) {{
        w = Constant<value = float[20] {{{numbers}}}>()  two = Constant<value = float[1] {{2}}>()
        h = Mul(x, w)  y = Mul(h, two) }}""")
    assert model.inputs == ["x", "w"] and model.weights["w"].tolist() == list(range(20))
    assert [node["name"] for node in model.nodes if node["operation"] == "Constant"] == ["two"]


def test_whole_numbers_are_computed_while_the_model_is_read() -> None:
    text = """(float[N, 2, 3] x) => (float[A, B] y) <int64[1] rest = {-1}, int64 first = {0}> {
        shape = Shape(x)  n = Gather(shape, first)  axes = Constant<value_ints = [0]>()
        rows = Unsqueeze(n, axes)  to = Concat<axis = 0>(rows, rest)  y = Reshape(x, to) }"""
    model = imported(text, x=[4, 2, 3])
    assert [(node["name"], node.get("attributes", {}).get("shape")) for node in model.nodes] == [
        ("x", [4, 2, 3]),
        ("y", [4, -1]),
    ]
    assert refusals(text) == ["'y' (Reshape): the shape of 'x' is not known: give those of the model's inputs"]


def test_all_that_cannot_be_imported_is_named_at_once() -> None:
    text = """(float[2] x, float16[2] h, int64[2] i) => (float[2] y) {
        r = RandomNormalLike(x)  u = own.Fancy(x)  v = Unique(x)  d = Div(i, i)  s = Cast<to = 10>(x)
        t = Exp(s)  c = Cast<to = 2>(x)
        n = Nothing(x)  m = Relu<alpha = 1.0>(x)
        f = Sum(r, u, v, d, t, c, n, m) y = Softsign(f) }"""
    assert refusals(text.replace(", float16[2] h", "")) == [
        "'r' (RandomNormalLike): it draws random numbers",
        "'u' (Fancy): it is of another domain than ONNX's own, 'own'",
        "'v' (Unique): there is no operation of that name here",
        "'d' (Div): the division of whole numbers that only a run knows is not computed here",
        "'t' (Exp): it computes in float16, which rounds or wraps around otherwise than here",
        "'c' (Cast): it converts to uint8, which wraps around",
        "'n' (Nothing): ONNX has no operator 'Nothing' in opset 17",
        "'m' (Relu): Relu has no attribute 'alpha' in opset 17",
    ]
    assert refusals(text) == ["the input 'h' is of float16; float32, float64 and whole numbers are taken"]


def test_shapes_are_bound_throughout_and_wrong_ones_are_named() -> None:
    text = "(float[N, 3] x, float[N] z) => (float[N] y) { s = Size(z) f = Cast<to = 1>(s) y = Mul(z, f) }"
    model = imported(text, x=[4, 3])
    assert model.nodes[1]["attributes"]["shape"] == [4] and model.nodes[2]["attributes"]["value"] == 4.0
    assert refusals(text, x=[4, 2], q=[1]) == [
        "the model has no input 'q'",
        "the model declares 'x' with shape [N,3]; [4, 2] is given",
    ]


def test_an_if_is_decided_by_a_known_condition() -> None:
    text = """(float[2] x, int64 rate) => (float[2] y) { fast = Constant<value_int = 16>()  c = Equal(rate, fast)
        y = If(c) <then_branch = a () => (float[2] s) { s = Exp(x) },
                   else_branch = b () => (float[2] s) { t = Exp(x)  s = Neg(t) }> }"""
    assert [node["operation"] for node in imported(text, rate=[16]).nodes] == ["Input", "Exp", "Identity"]
    assert [node["operation"] for node in imported(text, rate=[8]).nodes] == ["Input", "Exp", "Neg", "Identity"]
    (refused,) = refusals(text)
    assert refused.startswith("'y' (If): its condition 'c' is not known")


def test_local_functions_are_inlined_and_none_may_call_itself() -> None:
    def functions(innermost: str) -> str:
        return f"""<opset_import: ["": 17, "own": 1], domain: "own"> f(a) => (b) {{ c = own.g(a)  b = own.g(c) }}
            <opset_import: ["": 17, "own": 1], domain: "own"> g(a) => (b) {{ b = {innermost}(a) }}"""

    text = "(float[2] x) => (float[2] y) { y = own.f(x) }"
    assert values(text, more=functions("Neg"), x=[1, 2]).tolist() == [1, 2]
    assert refusals(text, more=functions("own.f")) in (
        ["the function 'f' calls itself"],
        ["the function 'g' calls itself"],
    )


def test_functions_that_call_each_other_twice_are_counted_before_they_are_inlined() -> None:
    calls = "".join(
        f'<opset_import: ["": 17, "own": 1], domain: "own"> f{k}(a) => (b) {{ c = own.f{k + 1}(a)  b = '
        f"own.f{k + 1}(c) }}"
        for k in range(40)
    )
    last = '<opset_import: ["": 17], domain: "own"> f40(a) => (b) { b = Neg(a) }'
    with pytest.raises(LimitExceeded, match=f"this model has {2**40}"):
        imported("(float[2] x) => (float[2] y) { y = own.f0(x) }", more=calls + last)


def test_a_model_larger_than_the_limits_is_refused() -> None:
    text = f"{FEATURES} {{ h = MatMul(x, w) y = Add(h, b) }}"
    for limits in (Limits(nodes=1), Limits(tensor_elements=5), Limits(body_bytes=20)):
        with pytest.raises(LimitExceeded):
            imported(text, limits=limits)


def test_what_is_no_model_or_has_its_data_elsewhere_is_refused() -> None:
    for body in (b"", b"\0" * 40, b"PK\3\4", b"Gradbook" * 9):
        with pytest.raises(MalformedModel):
            import_model(body, Limits(), {})
    model = model_of(f"{FEATURES} {{ h = MatMul(x, w) y = Add(h, b) }}")
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    with pytest.raises(InvalidModel, match=r"the data of the tensor 'w' are in another file"):
        import_model(model.SerializeToString(), Limits(), {})
    tensor.data_location = TensorProto.DEFAULT
    tensor.dims[0] = 4
    with pytest.raises(InvalidModel, match=r"the tensor 'w' is damaged"):
        import_model(model.SerializeToString(), Limits(), {})
    del model.graph.output[:]
    with pytest.raises(InvalidModel, match="the model has no output"):
        import_model(model.SerializeToString(), Limits(), {})
    model.opset_import[0].version = 6
    with pytest.raises(InvalidModel, match=r"opset 6; those from 7 to \d+ are read"):
        import_model(model.SerializeToString(), Limits(), {})


@pytest.mark.parametrize(
    "maker",
    [
        "y = ConstantOfShape(n)",
        "a = Range(zero, m, one)  y = Cast<to = 1>(a)",
        "e = ConstantOfShape(two)  a = Expand(e, n)  y = Identity(a)",
        "a = Shape(x)  b = Concat<axis = 0>(a, n)  e = ConstantOfShape(two)  y = Tile(e, n)",
    ],
)
def test_small_models_of_large_constants_are_refused_before_these_are_made(maker: str) -> None:
    text = f"""(float[2] x) => (float[A] y) <int64[2] n = {{1000000000, 1000000000}}, int64[2] two = {{1, 1}},
        int64 zero = {{0}}, int64 m = {{1000000000000}}, int64 one = {{1}}> {{ {maker} }}"""
    try:
        model = imported(text)
    except InvalidModel:
        return
    assert all(np.size(node.get("attributes", {}).get("value", 0)) < 10 for node in model.nodes)


X = np.array([[1.5, -2.5], [0.25, -0.0]])


@pytest.mark.parametrize(
    ("opset", "body", "expected"),
    [
        (17, "i = Cast<to = 7>(x)  y = Cast<to = 1>(i)", np.trunc(X)),
        (17, "i = Cast<to = 9>(x)  y = Cast<to = 1>(i)", X != 0),
        (17, "n = Log(x)  i = IsNaN(n)  y = Cast<to = 1>(i)", X < 0),
        (17, "r = Reciprocal(x)  i = IsInf(r)  y = Cast<to = 1>(i)", X == 0),
        (17, "r = Reciprocal(x)  i = IsInf<detect_positive = 0>(r)  y = Cast<to = 1>(i)", np.signbit(X) & (X == 0)),
        (17, "z = Sub(x, x)  p = Greater(x, z)  q = Equal(x, z)  e = Xor(p, q)  y = Cast<to = 1>(e)", X >= 0),
        (17, "y, mask = Dropout(x)", X),
        (17, "h = Cast<to = 10>(x)  t = Transpose(h)  y = Cast<to = 1>(t)", X.T.astype(np.float16)),
        (17, "d = Cast<to = 11>(x)  y = Exp(d)", np.exp(X)),
        (11, "y = Softmax<axis = 0>(x)", np.exp(X) / np.exp(X).sum()),
        (12, "y = LogSoftmax(x)", X - np.log(np.exp(X).sum(axis=1, keepdims=True))),
        (11, "y = ReduceSum<axes = [1], keepdims = 0>(x)", X.sum(axis=1)),
        (11, "u = Unsqueeze<axes = [0]>(x)  y = Squeeze<axes = [0]>(u)", X),
        (9, "y = Slice<starts = [0], ends = [1], axes = [1]>(x)", X[:, :1]),
        (10, "y = Clip<min = -1.0, max = 1.0>(x)", X.clip(-1, 1)),
        (7, "y = Pad<pads = [0, 1, 0, 0], value = 2.0>(x)", np.pad(X, ((0, 0), (1, 0)), constant_values=2)),
        (17, "lo = Constant<value_float = -1.0>()  y = Clip(x, lo)", X.clip(-1)),
        (17, "a, y = Split<axis = 1>(x)", X[:, 1:]),
        (17, "k = Constant<value_float = 0.1>()  y = Mul(x, k)", X * np.float32(0.1)),
    ],
)
def test_forms_of_all_opsets_and_types(opset: int, body: str, expected: np.ndarray) -> None:
    found = values(f"(float[2, 2] x) => (float[A, B] y) {{ {body} }}", opset, x=X)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7, equal_nan=True)


def test_a_float32_is_kept_as_the_shortest_decimal_where_that_is_the_same() -> None:
    model = imported(
        "(float[2] x) => (float[2] y) { a = LeakyRelu<alpha = 0.1>(x) k = Constant<value_float = 0.3>() y = Mul(a, k) }"
    )
    assert model.nodes[1]["attributes"]["alpha"] == 0.1 and model.nodes[2]["attributes"]["value"] == 0.3
    double = helper.make_node("LeakyRelu", ["x"], ["y"], alpha=0.1)
    x, y = (helper.make_tensor_value_info(name, TensorProto.DOUBLE, [2]) for name in "xy")
    body = helper.make_model(
        helper.make_graph([double], "g", [x], [y]), opset_imports=[onnx.helper.make_opsetid("", 17)]
    )
    model = import_model(body.SerializeToString(), Limits(), {})
    assert model.nodes[1]["attributes"]["alpha"] == float(np.float32(0.1)) != 0.1
