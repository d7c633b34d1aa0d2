"""Compare two OpenAPI documents: what would a caller of the old one miss in the new one?

A request may demand less and allow more than before; an answer may hold more, never less. The schema of a request must
therefore accept all that it accepted, and that of an answer must promise every member it promised, with no other type.
Enumerations may grow, also in answers.
"""

from collections.abc import Iterator
from typing import Any

METHODS = ("get", "post", "put", "patch", "delete")
# Whether a larger number is narrower.
BOUNDS = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), True),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), False),
}
# What is compared as a whole.
WHOLE = ("allOf", "dependentRequired", "dependentSchemas", "else", "if", "not", "propertyNames", "then", "uniqueItems")


def find_breaches(old: Any, new: Any) -> list[str]:
    """Everything that `old` promises and `new` does not keep: sentences that begin with the place."""
    found = []
    for path, methods in old["paths"].items():
        if path not in new["paths"]:
            found.append(f"{path}: the path is gone")
            continue
        for method in set(METHODS) & methods.keys():
            if method not in new["paths"][path]:
                found.append(f"{method.upper()} {path}: the method is gone")
            else:
                found += _Operation(old, new, path, method).breaches()
    return found


class _Operation:
    """One operation in both documents."""

    def __init__(self, old: Any, new: Any, path: str, method: str) -> None:
        self._documents = old, new
        self._paths = old["paths"][path], new["paths"][path]
        self._old, self._new = (methods[method] for methods in self._paths)
        self._where = f"{method.upper()} {path}"
        self._open: set[tuple[str, str]] = set()  # the references being compared, since schemas may refer to themselves

    def breaches(self) -> Iterator[str]:
        if self._old["operationId"] != self._new["operationId"]:
            yield f"{self._where}: the operationId was {self._old['operationId']}"
        yield from self._parameters()
        yield from self._bodies()
        for status, old in self._old["responses"].items():
            where, new = f"{self._where}, {status}", self._new["responses"].get(status)
            if new is None:
                yield f"{where}: the status is gone"
            else:
                yield from self._answers(where, *map(_resolved, self._documents, (old, new)))

    def _answers(self, where: str, old: Any, new: Any) -> Iterator[str]:
        for header in old.get("headers", {}).keys() - new.get("headers", {}).keys():
            yield f"{where}: the header {header} is gone"
        yield from self._contents(where, old, new, answered=True)

    def _parameters(self) -> Iterator[str]:
        before, after = (
            {
                (each["in"], each["name"]): each
                for each in [*path.get("parameters", ()), *operation.get("parameters", ())]
            }
            for path, operation in zip(self._paths, (self._old, self._new), strict=True)
        )
        for key in [*before, *(key for key in after if key not in before)]:
            where = f"{self._where}, {key[0]} parameter {key[1]}"
            if key not in after:
                yield f"{where}: the parameter is gone"
                continue
            if after[key].get("required") and not before.get(key, {}).get("required"):
                yield f"{where}: the parameter is newly required"
            if key in before:
                yield from self._schemas(where, before[key]["schema"], after[key]["schema"], answered=False)

    def _bodies(self) -> Iterator[str]:
        old, new = (operation.get("requestBody", {}) for operation in (self._old, self._new))
        if new.get("required") and not old.get("required"):
            yield f"{self._where}: the body is newly required"
        yield from self._contents(f"{self._where}, body", old, new, answered=False)

    def _contents(self, where: str, old: Any, new: Any, *, answered: bool) -> Iterator[str]:
        for media, content in old.get("content", {}).items():
            other = new.get("content", {}).get(media)
            if other is None:
                yield f"{where}: the media type {media} is gone"
            else:
                yield from self._schemas(where, content["schema"], other["schema"], answered=answered)

    def _schemas(self, where: str, old: Any, new: Any, *, answered: bool) -> Iterator[str]:
        pair = old.get("$ref", ""), new.get("$ref", "")
        if all(pair) and pair in self._open:
            return
        self._open.add(pair)
        before, after = (list(_alternatives(*each)) for each in zip(self._documents, (old, new), strict=True))
        for each in before:
            # Of several alternatives of its type, an alternative goes with the one that keeps most of it.
            same = [other for other in after if _accepts(_kind(other), _kind(each), answered)]
            if same:
                yield from min((list(self._alternative(where, each, other, answered)) for other in same), key=len)
            else:
                yield f"{where}: the type {_kind(each)} is gone"
        for other in after if answered else ():
            if not any(_accepts(_kind(other), _kind(each), answered) for each in before):
                yield f"{where}: the type {_kind(other)} is new in an answer"
        if old.get("default") != new.get("default", old.get("default")) or ("default" in old and "default" not in new):
            yield f"{where}: the default was {old.get('default')}"
        self._open.discard(pair)

    def _alternative(self, where: str, old: Any, new: Any, answered: bool) -> Iterator[str]:
        yield from _narrowed(where, old, new, answered)
        properties, others = old.get("properties", {}), new.get("properties", {})
        for name, schema in properties.items():
            if name in others:
                yield from self._schemas(f"{where}, {name}", schema, others[name], answered=answered)
            else:
                yield f"{where}, {name}: the member is gone"
        before, after = (set(schema.get("required", ())) for schema in (old, new))
        for name in sorted(before - after if answered else after - before):
            yield f"{where}, {name}: the member is " + ("no longer promised" if answered else "newly required")
        for part in ("items", "additionalProperties"):
            inside, other = old.get(part, True), new.get(part, True)
            if inside is False or (answered and other is False):
                continue
            if other is False:
                yield f"{where}: {part} are refused"
            elif inside is not True or other is not True:
                pair = ({} if each is True else each for each in (inside, other))
                yield from self._schemas(f"{where}, {part}", *pair, answered=answered)


def _narrowed(where: str, old: Any, new: Any, answered: bool) -> Iterator[str]:
    """The values, bounds and forms that a request no longer accepts or an answer no longer keeps to."""
    for value in old.get("enum", ()):
        if value not in new.get("enum", [value]):
            yield f"{where}: the value {value} is gone"
    wide, narrow = (new, old) if answered else (old, new)
    if "enum" in narrow and "enum" not in wide:
        yield f"{where}: the enum is " + ("gone" if answered else "new")
    for keyword, larger_is_narrower in BOUNDS.items():
        if keyword in narrow:
            outside = wide.get(keyword, float("-inf" if larger_is_narrower else "inf"))
            if narrow[keyword] > outside if larger_is_narrower else narrow[keyword] < outside:
                yield f"{where}: {keyword} was {old.get(keyword)} and is {new.get(keyword)}"
    for keyword in ("const", "format", "multipleOf", "pattern"):
        if keyword in narrow and narrow[keyword] != wide.get(keyword):
            yield f"{where}: {keyword} was {old.get(keyword)} and is {new.get(keyword)}"
    for keyword in WHOLE:
        if keyword in narrow and narrow[keyword] != wide.get(keyword):
            yield f"{where}: {keyword} is not what it was"


def _resolved(document: Any, part: Any) -> Any:
    """A schema or a response, or that to which it refers."""
    while "$ref" in part:
        *_, kind, name = part["$ref"].split("/")
        part = document["components"][kind][name]
    return part


def _alternatives(document: Any, schema: Any) -> Iterator[Any]:
    """The schemas of one type each of which one holds."""
    schema = _resolved(document, schema)
    parts = schema.get("oneOf") or schema.get("anyOf")
    kinds = schema.get("type")
    if parts:
        for part in parts:
            yield from _alternatives(document, part)
    elif isinstance(kinds, list):
        for kind in kinds:
            yield {"type": kind} if kind == "null" else {**schema, "type": kind}
    else:
        yield schema


def _kind(schema: Any) -> str:
    return str(schema.get("type", "any"))


def _accepts(new: str, old: str, answered: bool) -> bool:
    """Whether a request's new type takes all of the old one, or an answer's new type lies within the old one."""
    wide, narrow = (old, new) if answered else (new, old)
    return wide in (narrow, "any") or (wide, narrow) == ("number", "integer")
