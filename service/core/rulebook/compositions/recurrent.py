"""Recurrent nets as texts, unrolled over the length of their sequence: RNN, GRU and LSTM, as in ONNX.

Operands are those of ONNX: x [length, batch, size], w [directions, gates·hidden, size], r [directions, gates·hidden,
hidden], bias [directions, 2·gates·hidden], initial states [directions, batch, hidden]; with layout 1 the batch comes
first. The outputs are Y [length, directions, batch, hidden], and of the last step Y_h and Y_c.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from service.core.rulebook.attribute import Attribute, OneOf, flag, integer, number
from service.core.rulebook.composed import Given, compose
from service.core.rulebook.tensor import Tensor

_ACTIVATIONS = ("tanh", "sigmoid", "relu", "softsign", "softplus", "elu")


def _words(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(word, str) for word in value):
        raise ValueError("a list of names of activations is expected")
    if unknown := [word for word in value if word.lower() not in _ACTIVATIONS]:
        raise ValueError(f"the activation {unknown[0]!r} is not known; known: {', '.join(_ACTIVATIONS)}")
    return tuple(word.lower() for word in value)


@dataclass(frozen=True, slots=True)
class _Direction:
    """One direction of a net: its index, the suffix of its names, its steps in order, its activations, the clip."""

    index: int
    suffix: str
    steps: range
    activations: tuple[str, ...]
    clip: float | None

    def activated(self, which: int, argument: str) -> str:
        """The text of an activation of an argument, which is clipped first."""
        if self.clip is not None:
            argument = f"clip({argument}, {-self.clip!r}, {self.clip!r})"
        return f"{self.activations[which]}({argument})"

    def name(self, of: str, step: int) -> str:
        """The name of a figure at a step."""
        return f"{of}_{step}{self.suffix}"


# The statements of one step, of a direction at a step: from the texts of the input's part of the gates, and of the
# states before, which are None at a first step that starts from 0.
Step = Callable[[Given, _Direction, int, str | None, str | None], Iterator[str]]


def _recurrent(given: Given, gates: int, activations: tuple[str, ...], step: Step) -> str:
    """The text of a net whose step is given by `step`, over all directions."""
    attributes = given.attributes
    batch_first = attributes["layout"] == 1
    length = given.length("x", 1 if batch_first else 0)
    if length < 1:
        raise ValueError("the sequence has at least one element")
    _refuse_short_sequences(given, length)
    both = attributes["direction"] == "bidirectional"
    given.limit_nodes(length * (1 + both) * 4 * gates)
    chosen = attributes["activations"] or activations * (1 + both)
    if len(chosen) == 2 * len(activations):  # ONNX's default names those of both directions, however many there are
        chosen = chosen[: len(activations) * (1 + both)]
    if len(chosen) != len(activations) * (1 + both):
        raise ValueError(f"{len(activations)} activations are expected for each direction")
    statements = ["steps = transpose(x, perm=[1, 0, 2])" if batch_first else "steps = x"]
    results: dict[str, list[str]] = {"Y": [], "Y_h": [], "Y_c": []}
    for index in range(1 + both):
        backwards = index == 1 or attributes["direction"] == "reverse"
        direction = _Direction(
            index,
            "_reverse" if backwards else "",
            range(length)[:: -1 if backwards else 1],
            chosen[index * len(activations) : (index + 1) * len(activations)],
            attributes["clip"],
        )
        statements += _unrolled(given, gates, direction, step)
        last, at = direction.steps[-1], f"hidden{direction.suffix}"
        states = ", ".join(direction.name("h", number) for number in range(length))
        statements.append(f"{at} = stack([{states}], axis=0)" if length > 1 else f"{at} = unsqueeze({states}, axes=0)")
        results["Y"].append(f"unsqueeze({at}, axes=1)")
        results["Y_h"].append(f"unsqueeze({direction.name('h', last)}, axes=0)")
        results["Y_c"].append(f"unsqueeze({direction.name('c', last)}, axes=0)")
    output = attributes["output"]
    joined = results[output]
    axis = 1 if output == "Y" else 0
    value = f"concat({', '.join(joined)}, axis={axis})" if both else joined[0]
    perm = [2, 0, 1, 3] if output == "Y" else [1, 0, 2]
    statements.append(f"{output} = transpose({value}, perm={perm})" if batch_first else f"{output} = {value}")
    return "\n".join(statements)


def _refuse_short_sequences(given: Given, length: int) -> None:
    """Unrolled, all sequences of a batch have the same length."""
    if "sequence_lens" not in given:
        return
    lengths = given.constants.get("sequence_lens")
    numbers = lengths.array.ravel().tolist() if isinstance(lengths, Tensor) else [lengths]
    if lengths is None or any(each != length for each in numbers):
        raise ValueError(f"sequence_lens can only be a Constant of {length}, the length of x: leave it out")


def _unrolled(given: Given, gates: int, direction: _Direction, step: Step) -> Iterator[str]:
    """The statements of all steps of a direction; what the input adds to the gates is computed for all at once."""
    index, suffix = direction.index, direction.suffix
    yield f"recurrence{suffix} = r[{index}].T"
    inputs = f"steps @ w[{index}].T"
    if "bias" in given:
        for number, of in enumerate(("w", "r")):
            yield f"bias_{of}{suffix} = split(bias[{index}], num_outputs=2, output={number})"
        inputs += f" + bias_w{suffix}"
    yield f"inputs{suffix} = {inputs}"
    before: list[str | None] = [None, None]
    for number, name in enumerate(("initial_h", "initial_c")):
        if name in given:
            before[number] = f"start_{name[-1]}{suffix}"
            at = f"[:, {index}]" if given.attributes["layout"] == 1 else f"[{index}]"
            yield f"{before[number]} = {name}{at}"
    for number in direction.steps:
        yield f"{direction.name('x', number)} = inputs{suffix}[{number}]"
        yield from step(given, direction, number, *before)
        before = [direction.name("h", number), direction.name("c", number)]


def _from_state(direction: _Direction, given: Given, state: str | None) -> str:
    """What the state before adds to all gates, with a sign; nothing where that is 0."""
    added = "" if state is None else f" + {state} @ recurrence{direction.suffix}"
    return added + (f" + bias_r{direction.suffix}" if "bias" in given else "")


def _part(of: str, count: int, which: int) -> str:
    return f"split({of}, num_outputs={count}, axis=-1, output={which})"


def _rnn_step(given: Given, direction: _Direction, number: int, h: str | None, c: str | None) -> Iterator[str]:
    gate = direction.name("x", number) + _from_state(direction, given, h)
    yield f"{direction.name('h', number)} = {direction.activated(0, gate)}"


def _gru_step(given: Given, direction: _Direction, number: int, h: str | None, c: str | None) -> Iterator[str]:
    """z and r, then the candidate from r ∘ (h·Rᵀ + b), or from (r ∘ h)·Rᵀ + b, as linear_before_reset says."""
    name, suffix, biased = direction.name, direction.suffix, "bias" in given
    x, z, r, candidate = (name(each, number) for each in ("x", "z", "r", "candidate"))
    if number == direction.steps[0]:
        yield f"recurrence_candidate{suffix} = split(r[{direction.index}], num_outputs=3, output=2).T"
    state = _from_state(direction, given, h).removeprefix(" + ")
    if state:
        yield f"{name('state', number)} = {state}"
    for which, gate in enumerate((z, r)):
        recurrent = f" + {_part(name('state', number), 3, which)}" if state else ""
        yield f"{gate} = {direction.activated(0, _part(x, 3, which) + recurrent)}"
    argument = _part(x, 3, 2)
    if given.attributes["linear_before_reset"]:
        argument += f" + {r} * {_part(name('state', number), 3, 2)}" if state else ""
    else:
        argument += "" if h is None else f" + ({r} * {h}) @ recurrence_candidate{suffix}"
        argument += f" + {_part(f'bias_r{suffix}', 3, 2)}" if biased else ""
    yield f"{candidate} = {direction.activated(1, argument)}"
    kept = "" if h is None else f" + {z} * {h}"
    yield f"{name('h', number)} = (1 - {z}) * {candidate}{kept}"


def _lstm_step(given: Given, direction: _Direction, number: int, h: str | None, c: str | None) -> Iterator[str]:
    """Gates i, o, f and the candidate, the cell c and the state h; peepholes add p ∘ c to the gates."""
    name = direction.name
    gates, i, o, f, candidate, cell = (name(each, number) for each in ("gates", "i", "o", "f", "candidate", "c"))
    for which, of in enumerate("iof") if number == direction.steps[0] and "p" in given else ():
        yield f"peephole_{of}{direction.suffix} = split(p[{direction.index}], num_outputs=3, output={which})"
    yield f"{gates} = {name('x', number)}{_from_state(direction, given, h)}"

    def gate(which: int, state: str | None) -> str:
        """The text of the argument of gate i, o or f."""
        peeped = "" if "p" not in given or state is None else f" + peephole_{'iof'[which]}{direction.suffix} * {state}"
        return _part(gates, 4, which) + peeped

    yield f"{i} = {direction.activated(0, gate(0, c))}"
    yield f"{candidate} = {direction.activated(1, _part(gates, 4, 3))}"
    kept = ""
    if c is not None:
        coupled = given.attributes["input_forget"]
        yield f"{f} = 1 - {i}" if coupled else f"{f} = {direction.activated(0, gate(2, c))}"
        kept = f"{f} * {c} + "
    yield f"{cell} = {kept}{i} * {candidate}"
    yield f"{o} = {direction.activated(0, gate(1, cell))}"
    yield f"{name('h', number)} = {o} * {direction.activations[2]}({cell})"  # the cell is not clipped


def _attributes(*more: Attribute) -> list[Attribute]:
    return [
        Attribute("direction", OneOf(("forward", "reverse", "bidirectional")), "forward"),
        Attribute("hidden_size", integer),  # ONNX's; the shapes of the weights say it too
        Attribute("layout", flag, 0),
        Attribute("activations", _words),
        Attribute("clip", number),
        *more,
    ]


_SHAPES = {"x": (2, 1, 3)}

compose(
    "RNN",
    "x w r bias? sequence_lens? initial_h?",
    attributes=_attributes(),
    outputs="Y Y_h",
    text=lambda given: _recurrent(given, 1, ("tanh",), _rnn_step),
    shapes={**_SHAPES, "w": (1, 4, 3), "r": (1, 4, 4)},
    summary="A recurrent net: h = tanh(x·Wᵀ + h·Rᵀ + b) from step to step.",
)
compose(
    "GRU",
    "x w r bias? sequence_lens? initial_h?",
    attributes=_attributes(Attribute("linear_before_reset", flag, 0)),
    outputs="Y Y_h",
    text=lambda given: _recurrent(given, 3, ("sigmoid", "tanh"), _gru_step),
    shapes={**_SHAPES, "w": (1, 12, 3), "r": (1, 12, 4)},
    summary="Gated recurrent units: the gates z and r choose between the state before and a candidate.",
)
compose(
    "LSTM",
    "x w r bias? sequence_lens? initial_h? initial_c? p?",
    attributes=_attributes(Attribute("input_forget", flag, 0)),
    outputs="Y Y_h Y_c",
    text=lambda given: _recurrent(given, 4, ("sigmoid", "tanh", "tanh"), _lstm_step),
    shapes={**_SHAPES, "w": (1, 16, 3), "r": (1, 16, 4)},
    summary="Long short-term memory: the gates i, f and o write, keep and read a cell c.",
)
