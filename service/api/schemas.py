"""What all schemas share: the fields of requests, and problems.

Marshmallow checks a request's schema; bulk (nodes, figures) passes through unread, since the core checks it faster
and reports more. An answer's schema only documents it: `documents.py` writes answers, and a test checks them against
these schemas.
"""

import re
from datetime import UTC, datetime
from typing import Any, ClassVar

import marshmallow as ma
from flask import current_app
from marshmallow import fields

from service.api.components import NODE_NAME
from service.api.http.problem_types import PROBLEM_TYPES, type_uri

# What no text may hold; `(?![\s\S])` is the end, and `$` would be before a last line break too.
_LABEL = {"minLength": 1, "pattern": r"^[^\x00-\x1f\x7f-\x9f]+(?![\s\S])", "x-limits": {"maxLength": "name_length"}}
_TEXT = {"pattern": r"^[^\x00]*$"}
# What refers to a graph, a run, a comparison, derivatives or a series, wherever one is asked for.
REFERENCES = {
    "graph": "Its id, its name, which means its highest version, name@version, or the last 8 characters of its id. "
    "In a path what has / in its name is given by its id",
    "run": "Its id, GRAPH:LABEL, the newest run with that label, or the last 8 characters of its id",
    "comparison": "Its id, or the last 8 characters of it",
    "derivatives": "Their id, or the last 8 characters of it",
    "series": "Its id, or the last 8 characters of it",
    "job": "Its id, or the last 8 characters of it",
    "sweep": "Its id, which is that of its job, or the last 8 characters of it",
}
WEIGHTS_TOO = "The graph's weights are those that are left out"

LONGEST_CURSOR = 4096  # characters; that of an id has 48, a name four bytes for each of its characters, if need be
_MOMENT = "a time such as 2026-11-24T09:00:00Z, or a date"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]"
_MOMENT_PATTERN = (
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    rf"(T{_CLOCK}(:[0-5][0-9](\.[0-9]{{1,9}})?)?(Z|[+-]{_CLOCK})?)?(?![\s\S])"
)
_MESSAGES = {"type": "an object is expected", "unknown": "unknown"}


def _described(options: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The options of a field whose JSON Schema holds what the field refuses by itself."""
    return {**options, "metadata": {**schema, **options.get("metadata", {})}}


class Label(fields.String):
    """A graph's name, a label or a tag: 1 to `name_length` characters (a limit), no control characters."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**_described(options, _LABEL))

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        if not isinstance(value, str):
            raise ma.ValidationError("a string is expected")
        most = current_app.extensions["gradbook"].limits.name_length
        if not 1 <= len(value) <= most:
            raise ma.ValidationError(f"1 to {most} characters are expected (the limit name_length); {len(value)} given")
        if any(ord(character) < 32 or 127 <= ord(character) < 160 for character in value):
            raise ma.ValidationError("control characters are not allowed")
        return value


class StrictString(fields.String):
    """A string, without conversion; without NUL, which PostgreSQL cannot store in text."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**(options if "validate" in options else _described(options, _TEXT)))

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        if not isinstance(value, str):
            raise ma.ValidationError("a string is expected")
        if "\0" in value:
            raise ma.ValidationError("NUL characters are not allowed")
        return value


class NodeName(StrictString):
    """The name of a node, which the core looks up."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**_described(options, NODE_NAME))


class StrictBool(fields.Boolean):
    """true or false, without conversion."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        if not isinstance(value, bool):
            raise ma.ValidationError("true or false is expected")
        return value


class QueryBool(fields.Boolean):
    """true or false in a query, in these words alone."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        if value not in ("true", "false"):
            raise ma.ValidationError("true or false is expected")
        return value == "true"


class Tags(fields.Dict):
    """An object of labels by labels."""

    def __init__(self, **options: Any) -> None:
        label = {"type": "string", **_LABEL}
        described = {"type": "object", "additionalProperties": label, "x-more": {"propertyNames": label}}
        super().__init__(**_described(options, {**described, "x-limits": {"maxProperties": "tags"}}))

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        if not isinstance(value, dict):
            raise ma.ValidationError("an object of strings is expected")
        most = current_app.extensions["gradbook"].limits.tags
        if len(value) > most:
            raise ma.ValidationError(f"at most {most} tags are allowed (the limit tags)")
        faults: dict[str, Any] = {}
        for key, text in value.items():
            for part in self._parts(key, text):
                try:
                    Label().deserialize(part)
                except ma.ValidationError as error:
                    faults[key] = error.messages
        if faults:
            raise ma.ValidationError(faults)
        return value

    def _parts(self, key: str, text: Any) -> tuple[Any, ...]:
        """What is to be a label."""
        return key, text


class TagChanges(Tags):
    """Tags that are set, and those that are taken away: null."""

    def __init__(self, **options: Any) -> None:
        label = {"type": "string", **_LABEL}
        described = {"additionalProperties": {"oneOf": [label, {"type": "null"}]}}
        super().__init__(**_described(options, described))

    def _parts(self, key: str, text: Any) -> tuple[Any, ...]:
        return (key,) if text is None else (key, text)


class JsonObject(fields.Raw):
    """An object whose members the core checks."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        if not isinstance(value, dict):
            raise ma.ValidationError("an object is expected")
        return value


class QueryInt(fields.Integer):
    """A whole number in a query, `least` or more, in at most nine plain decimal digits."""

    def __init__(self, least: int = 1, **options: Any) -> None:
        super().__init__(**_described(options, {"minimum": least, "maximum": 999_999_999}))
        self._least = least

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        is_number = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10
        if not (is_number and int(value) >= self._least):
            raise ma.ValidationError(f"a whole number from {self._least} is expected")
        return int(value)


class StrictInt(fields.Integer):
    """A whole number of at most nine digits in a body, `least` or more."""

    def __init__(self, least: int, **options: Any) -> None:
        super().__init__(**_described(options, {"minimum": least, "maximum": 999_999_999}))
        self._least = least

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (is_number and value == value // 1 and self._least <= value <= 999_999_999):
            raise ma.ValidationError(f"a whole number from {self._least} to 999999999 is expected")
        return int(value)


class KeyValue(StrictString):
    """A tag, key:value; either may have colons in it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**_described(options, {"pattern": r"^[^\x00]*:[^\x00]*$"}))

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        if ":" not in super()._deserialize(value, attr, data, **options):
            raise ma.ValidationError("a tag is expected as key:value")
        return value


class Time(StrictString):
    """A time with a zone, or in UTC; a date is its midnight."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**_described(options, {"pattern": _MOMENT_PATTERN}))

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        text = super()._deserialize(value, attr, data, **options)
        try:
            if not re.match(_MOMENT_PATTERN, text):
                raise ValueError
            moment = datetime.fromisoformat(text)
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            raise ma.ValidationError(f"{_MOMENT} is expected, in a query with %2B for +") from None


def one_of(*words: str) -> ma.validate.OneOf:
    """That one of these words is expected."""
    return ma.validate.OneOf(words, error=f"one of {', '.join(words)} is expected")


def order(*members: str) -> StrictString:
    """The parameter `sort`, by one of these members."""
    words = [sign + member for member in members for sign in ("-", "")]
    return StrictString(
        validate=one_of(*words), metadata={"description": "The member to sort by, with - before it in descending order"}
    )


class Request(ma.Schema):
    """A request's body; unknown members are refused."""

    class Meta:
        unknown = ma.RAISE

    error_messages = _MESSAGES
    binary: ClassVar[tuple[str, ...]] = ()  # the media types of bodies that are accepted instead of JSON
    as_written = False  # whether its numbers keep the text that they were written as
    part = "member"
    more: ClassVar[dict[str, Any]] = {}  # keywords of its JSON Schema: which members go together

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """Say plainly what is missing, and that null is not a value."""
        name = field_obj.data_key or field_name
        field_obj.error_messages |= {
            "required": f"the {self.part} `{name}` is missing",
            "null": f"the {self.part} `{name}` may not be null" + ("" if field_obj.required else ": leave it out"),
        }

    def handle_error(self, error: ma.ValidationError, data: Any, *, many: bool, **options: Any) -> None:
        """Name each unknown member, and the known ones."""
        known = ", ".join(field.data_key or name for name, field in self.load_fields.items())
        for messages in error.messages_dict.values() if many else [error.messages_dict]:
            for name, found in messages.items():
                if found == [_MESSAGES["unknown"]]:
                    messages[name] = [f"unknown {self.part} `{name}`; known: {known}"]


class Query(Request):
    """A request's query; unknown parameters are refused."""

    part = "parameter"


class PageQuery(Query):
    """One page of a list."""

    limit = QueryInt(
        metadata={
            "x-limits": {"maximum": "page"},
            "description": "The most items; a page ends earlier where its tensors have a million numbers together",
        }
    )
    cursor = StrictString(metadata={"pattern": r"^[A-Za-z0-9_-]+(?![\s\S])", "maxLength": LONGEST_CURSOR})


class ListQuery(PageQuery):
    """One page of a list of what was made in a certain time."""

    since = Time(metadata={"description": f"Only what was made at that time or later: {_MOMENT}"})
    until = Time(metadata={"description": f"Only what was made before that time: {_MOMENT}"})
    sort = order("created_at")


class TaggedQuery(ListQuery):
    """One page of a list of resources with a tag, or with a text in them."""

    tag = KeyValue(metadata={"description": "key:value"})
    q = StrictString(
        metadata={"description": "Only what has this text in its name, expression, label or recorded_by, ignoring case"}
    )


class CascadeQuery(Query):
    """Whether what rests on it is deleted too."""

    cascade = QueryBool(load_default=False, metadata={"description": "true: delete what rests on it too"})


class FaultDocument(ma.Schema):
    """One fault: a pointer into the body, or a parameter."""

    pointer = fields.String()
    parameter = fields.String()
    detail = fields.String(required=True)


class ProblemDocument(ma.Schema):
    """A problem (RFC 9457); `type` is stable."""

    type = fields.String(required=True, validate=ma.validate.OneOf([*map(type_uri, PROBLEM_TYPES)]))
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    errors = fields.List(fields.Nested(FaultDocument))
    limit = fields.String()
    maximum = fields.Integer()
    estimate = fields.Integer()
    line = fields.Integer()
    column = fields.Integer()
    place = fields.String()
