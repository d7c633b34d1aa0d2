"""JSON as RFC 8259 means it, and no more: what two readers could understand differently is refused."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import Any

import orjson

from service.core.errors import Fault, GradbookError, LimitExceeded

_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
# A body with 0 for each digit and a comma for all else but points has these where an integer has 19 digits or more.
_DIGITS = bytes(ord("0" if 48 <= byte < 58 else "." if byte == 46 else ",") for byte in range(256))
_LONG_INTEGER = b"," + 19 * b"0"
_NEGATIVE_ZERO = re.compile(rb"-0(?![.0-9eE])")
_BEFORE_COLONS = (b" :", b"\t:", b"\n:", b"\r:")
_LEAVES = frozenset((float, int, str, bool, type(None)))
_LONGEST_INTEGER = 400  # digits; float64 ends at 309


class Malformed(GradbookError):
    """A body that is not JSON; `faults` say where, as far as a place can be named."""

    def __init__(self, detail: str, faults: tuple[Fault, ...] = ()) -> None:
        super().__init__(detail)
        self.faults = faults


class _Repeated(dict[str, Any]):
    """An object in which `name` appears twice."""

    name: str


class _OutOfRange(float):
    """A number that float64 cannot hold."""


class _BareConstant(Exception):
    """NaN or an infinity without quotes."""


class WrittenFloat(float):
    """A number with the text that it was read from: 0.670 has three digits."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> "WrittenFloat":
        """Read the text of a number."""
        number = super().__new__(cls, text)
        number.text = text
        return number


def read_json(body: bytes, max_depth: int, as_written: bool = False) -> Any:
    """The value of a body; `as_written`, numbers with a point or an exponent are `WrittenFloat`.

    Raises Malformed, with a pointer where there is a place to point to, or LimitExceeded. Refused besides bad syntax:
    NaN and Infinity without quotes, a name twice in one object, numbers out of float64's range, lone surrogates, and
    lists and objects more than `max_depth` within one another.
    """
    if not as_written:
        with suppress(orjson.JSONDecodeError):  # the reader below finds it too, and says where
            plain = orjson.loads(body)
            if _has_names(body, _count_names(plain, max_depth)) and _has_plain_numbers(body):
                return plain
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"the body is not UTF-8 at byte {error.start}") from None
    marked: list[object] = []
    try:
        value = _decoder(marked, WrittenFloat if as_written else float).decode(text)
        _count_names(value, max_depth)
    except RecursionError:
        raise _too_deep(max_depth) from None
    except json.JSONDecodeError as error:
        detail = f"the body is not JSON: line {error.lineno}, column {error.colno}: {error.msg}"
        raise Malformed(detail) from None
    except _BareConstant as error:
        raise Malformed(f"{error} is not JSON; write the string {json.dumps(str(error))}") from None
    if marked or _SURROGATE_ESCAPE.search(text):
        faults = tuple(_faults(value))
        if faults:
            raise Malformed(faults[0].detail, faults)
    return value


def _has_names(body: bytes, count: int) -> bool:
    """Whether it is certain that the body has no more names than these, none lost to the same name after it."""
    if body.count(b":") == count:
        return True
    # Some colons stand in strings.
    return body.count(b'":') == count and not any(space in body for space in _BEFORE_COLONS)


def _has_plain_numbers(body: bytes) -> bool:
    """Whether orjson loses nothing of the numbers: it reads −0 as 0, and integers of more than 64 bits as floats."""
    return not _NEGATIVE_ZERO.search(body) and _LONG_INTEGER not in b"," + body.translate(_DIGITS)


def _decoder(marked: list[object], number: type[float]) -> json.JSONDecoder:
    """A decoder of all that JSON's grammar allows; what we refuse is collected in `marked`."""

    def read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) == len(pairs):
            return members
        repeated = _Repeated(members)
        repeated.name = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        marked.append(repeated)
        return repeated

    def out_of_range() -> float:
        marked.append(_OutOfRange(math.inf))
        return _OutOfRange(math.inf)

    def read_float(text: str) -> float:
        value = number(text)
        return value if math.isfinite(value) else out_of_range()

    def read_integer(text: str) -> float:
        if len(text) < 300:
            return float(text) if text == "-0" else int(text)  # whose sign an int would lose
        return out_of_range() if len(text) > _LONGEST_INTEGER or math.isinf(float(text)) else int(text)

    def read_constant(text: str) -> Any:
        raise _BareConstant(text)

    return json.JSONDecoder(
        object_pairs_hook=read_object,
        parse_float=read_float,
        parse_int=read_integer,
        parse_constant=read_constant,
    )


def _faults(root: Any) -> Iterator[Fault]:
    """What we refuse in a decoded value, each with its place."""
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), root)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, _Repeated):
            yield Fault((*place, value.name), f"the name {value.name!r} appears twice in one object")
        elif isinstance(value, _OutOfRange):
            yield Fault(place, "the number is out of float64's range")
        elif isinstance(value, str) and _LONE_SURROGATE.search(value):
            yield Fault(place, "the string has a lone surrogate, which is not a character")
        if isinstance(value, dict):
            for name in value:
                if _LONE_SURROGATE.search(name):
                    yield Fault(place, "a name in this object has a lone surrogate, which is not a character")
            waiting.extend(((*place, name), member) for name, member in reversed(value.items()))
        elif isinstance(value, list):
            waiting.extend(((*place, index), value[index]) for index in range(len(value) - 1, -1, -1))


def _count_names(root: Any, max_depth: int) -> int:
    """The number of names in all objects; raises LimitExceeded for what lies too deep."""
    count = depth = 0
    level = [root] if isinstance(root, (dict, list)) else []
    while level:
        depth += 1
        if depth > max_depth:
            raise _too_deep(max_depth)
        objects = [within for within in level if isinstance(within, dict)]
        count += sum(map(len, objects))
        lists = (within for within in level if isinstance(within, list))
        members = [*chain.from_iterable(lists), *chain.from_iterable(map(dict.values, objects))]
        if _LEAVES.issuperset(map(type, members)):
            break
        level = [member for member in members if isinstance(member, (dict, list))]
    return count


def _too_deep(max_depth: int) -> LimitExceeded:
    return LimitExceeded("json_depth", max_depth, None, f"lists and objects are at most {max_depth} deep")
