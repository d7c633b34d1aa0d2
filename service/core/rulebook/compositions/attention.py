"""Scaled dot-product attention as a text: ONNX's Attention of opset 23.

q, k and v have the shapes [batch, heads, length, size] or, with the attributes q_num_heads and kv_num_heads, [batch,
length, heads·size]. A mask is added to the scores: −∞, or a large negative number, where nothing is to be looked at.
A mask of truth values is written where(mask, 0, −∞). In which precision softmax is computed is the graph's own.
"""

from collections.abc import Iterator
from math import sqrt

from service.core.rulebook.attribute import Attribute, flag, integer, number
from service.core.rulebook.composed import Given, compose

# What the output qk_matmul_output is, by its mode.
_SCORES = ("scores", "capped", "masked", "weights")


def _attention(given: Given) -> str:
    attributes = given.attributes
    if ("past_key" in given) != ("past_value" in given):
        raise ValueError("past_key and past_value are given together, or neither")
    heads, kv_heads = attributes["q_num_heads"], attributes["kv_num_heads"]
    if bool(heads) != bool(kv_heads):
        raise ValueError("q_num_heads and kv_num_heads are given together, or neither")
    scale = attributes["scale"]
    scale = 1 / sqrt(given.length("q", -1) / (heads or 1)) if scale is None else scale
    return "\n".join(
        [
            *_split_heads(heads, kv_heads),
            *_with_past(given),
            *_repeated(given, heads, kv_heads),
            # As in ONNX both factors are scaled, so that neither overflows by itself.
            f"scores = (query * {sqrt(scale)!r}) @ transpose(keys * {sqrt(scale)!r}, perm=[0, 1, 3, 2])",
            *_masked(given, bool(heads)),
            "weighted = weights @ values",
            f"qk_matmul_output = {_SCORES[attributes['qk_matmul_output_mode']]}",
            *_joined(attributes["output"], bool(heads)),
        ]
    )


def _split_heads(heads: int | None, kv_heads: int | None) -> Iterator[str]:
    """query, key and value as [batch, heads, length, size]."""
    for name, given, count in (("query", "q", heads), ("key", "k", kv_heads), ("value", "v", kv_heads)):
        if count:
            yield f"{name} = transpose(reshape({given}, shape=[0, 0, {count}, -1]), perm=[0, 2, 1, 3])"
        else:
            yield f"{name} = {given}"


def _with_past(given: Given) -> Iterator[str]:
    for of in ("key", "value"):
        yield f"present_{of} = " + (f"concat(past_{of}, {of}, axis=2)" if "past_key" in given else of)


def _repeated(given: Given, heads: int | None, kv_heads: int | None) -> Iterator[str]:
    """Where there are fewer heads of keys than of queries, each serves several that follow each other."""
    if not heads or not kv_heads:
        heads, kv_heads = given.length("q", 1), given.length("k", 1)
    if not kv_heads or heads % kv_heads:
        raise ValueError(f"{heads} heads of q are no multiple of {kv_heads} of k")
    for name, of in (("keys", "present_key"), ("values", "present_value")):
        if heads == kv_heads:
            yield f"{name} = {of}"
        else:
            copies = ", ".join([f"unsqueeze({of}, axes=2)"] * (heads // kv_heads))
            shape = [0, heads, -1, _size(given, name, kv_heads)]
            yield f"{name} = reshape(concat({copies}, axis=2), shape={shape})"


def _size(given: Given, name: str, kv_heads: int) -> int:
    """The length of the last axis of keys or values."""
    of = "k" if name == "keys" else "v"
    length = given.length(of, -1)
    return length // kv_heads if given.attributes["kv_num_heads"] else length


def _masked(given: Given, split: bool) -> Iterator[str]:
    """weights: softmax of the scores, capped, with what may not be looked at left out."""
    cap = given.attributes["softcap"]
    yield f"capped = {cap!r} * tanh(scores / {cap!r})" if cap else "capped = scores"
    biases = ["attn_mask"] if "attn_mask" in given else []
    if given.attributes["is_causal"]:
        axis = 1 if split else 2
        past = given.length("past_key", 2) if "past_key" in given else 0
        rows, columns = given.length("q", axis), past + given.length("k", axis)
        yield f"row = {[[index + past] for index in range(rows)]}"
        yield f"column = {list(range(columns))}"
        yield "causal = where(column <= row, 0, [-Infinity])"
        biases.append("causal")
    if not biases:
        yield "masked = capped"
        yield "weights = softmax(masked, axis=-1)"
        return
    yield f"bias = {' + '.join(biases)}"
    yield "masked = capped + bias"
    yield "attended = softmax(masked, axis=-1)"
    # A query that may look at nothing gets 0, where a softmax of −∞ alone would be NaN.
    yield "weights = where(max(bias, axis=-1, keepdims=True) == [-Infinity], 0, attended)"


def _joined(output: str, split: bool) -> Iterator[str]:
    if output == "Y" and split:
        yield "Y = reshape(transpose(weighted, perm=[0, 2, 1, 3]), shape=[0, 0, -1])"
    else:
        yield "Y = weighted"


def _mode(value: object) -> int:
    if integer(value) not in range(len(_SCORES)):
        raise ValueError("0, 1, 2 or 3 is expected")
    return integer(value)


compose(
    "Attention",
    "q k v attn_mask? past_key? past_value?",
    attributes=[
        Attribute("is_causal", flag, 0),
        Attribute("q_num_heads", integer),
        Attribute("kv_num_heads", integer),
        Attribute("scale", number),
        Attribute("softcap", number, 0.0),
        Attribute("qk_matmul_output_mode", _mode, 0),
    ],
    outputs="Y present_key present_value qk_matmul_output",
    text=_attention,
    shapes={"q": (1, 2, 3, 4), "k": (1, 2, 3, 4), "v": (1, 2, 3, 4)},
    aliases=["scaled_dot_product_attention"],
    summary="softmax(q·kᵀ / √size)·v, head by head.",
)
