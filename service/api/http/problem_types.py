"""Every type of problem that the service answers with: what it means and what to do.

docs/errors.md and the pages /problems/NAME are written from here, and `problems.py` answers with nothing else. The name
of a type is stable: callers may branch on it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_URN = "urn:gradbook:problem:"
_AGAIN = "Send it again a little later, as Retry-After says."


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A type of problem: its status and title, and for its page a meaning, a remedy and an example."""

    status: int
    title: str
    meaning: str
    remedy: str
    detail: str
    members: Mapping[str, Any] = field(default_factory=dict)


def type_uri(name: str) -> str:
    """The member `type` of a problem."""
    return f"{_URN}{name}"


PROBLEM_TYPES: dict[str, ProblemType] = {
    "malformed-http": ProblemType(
        400,
        "The request is not HTTP/1.1",
        "The request's line, headers or framing break the rules of HTTP/1.1, so no request could be read.",
        "Use a client library, or mend the bytes that `detail` names. The connection is closed.",
        "Content-Length can't be present with Transfer-Encoding",
    ),
    "malformed-json": ProblemType(
        400,
        "The body is not JSON",
        "The body cannot be read as JSON, or it says the same member twice, or it holds a bare NaN or Infinity.",
        'Mend the body at the line and column in `detail`. Write NaN and infinity as strings: `"NaN"`, `"Infinity"`, '
        '`"-Infinity"`.',
        "the body is not JSON: line 1, column 15: Expecting property name enclosed in double quotes",
    ),
    "malformed-npz": ProblemType(
        400,
        "The body is not an .npz",
        "The body has the Content-Type `application/x-npz` and is not an archive as NumPy's `savez` writes it.",
        "Write it with `numpy.savez` or `savez_compressed`, with plain arrays only.",
        "the body is not an .npz archive",
    ),
    "malformed-onnx": ProblemType(
        400,
        "The body is not an ONNX model",
        "The body has the Content-Type `application/x-onnx` and is not a model as `onnx.save` writes it.",
        "Send the bytes of one `.onnx` file as they are.",
        "the body is not an ONNX model: it has no graph, or says no version of the operators",
    ),
    "malformed-npy": ProblemType(
        400,
        "The body is not an .npy",
        "The body of a tensor is not an array of real numbers or booleans as NumPy's `save` writes it.",
        "Write it with `numpy.save`, in version 1.0 of the format, which NumPy takes by itself; no objects, no records "
        "and no complex numbers.",
        "the body is not an .npy of real numbers: its header promises 32 bytes of data, and there are 24",
    ),
    "bad-request": ProblemType(
        400,
        "Bad Request",
        "A header or the address of the request cannot be understood.",
        "Mend what `detail` names.",
        "The browser (or proxy) sent a request that this server could not understand.",
    ),
    "unauthorized": ProblemType(
        401,
        "Unauthorized",
        "The service has keys, and the request bears none, or one that is unknown, expired or revoked.",
        "Send `Authorization: Bearer KEY`; the command line and the Python client do so with `GRADBOOK_KEY`. Whoever "
        "operates the service makes keys with `gradbook key create`.",
        "a key is needed: send the header Authorization: Bearer KEY",
    ),
    "forbidden": ProblemType(
        403,
        "Forbidden",
        "The key's scope does not include this, or the page of another site sent the request.",
        "Ask for a key of the scope that `detail` names. For the page of another site, add its origin to "
        "`GRADBOOK_ORIGINS`.",
        "this needs a key of the scope write, and this one's is read",
    ),
    "not-found": ProblemType(
        404,
        "There is no such thing",
        "No path, graph, run, comparison, node or operation has that name or id; it may have been deleted.",
        "Check the id, or list what there is, with `GET /v1/graphs` for instance.",
        "there is no graph '01a20b51'",
    ),
    "method-not-allowed": ProblemType(
        405,
        "Method Not Allowed",
        "The path is there, but does not take this method.",
        "Use a method that the header `Allow` lists.",
        "The method is not allowed for the requested URL.",
    ),
    "not-acceptable": ProblemType(
        406,
        "Not Acceptable",
        "The header `Accept` admits none of the forms in which this answer can be given.",
        "Accept one of those in `detail`. Arrow streams need the extra `arrow` on the service's side.",
        "the answer is available as application/json or application/x-npz",
    ),
    "request-timeout": ProblemType(
        408,
        "Request Timeout",
        "The request's head or body did not come whole in time.",
        "Send it again, faster or smaller. `GRADBOOK_HEAD_SECONDS`, `GRADBOOK_BODY_SECONDS` and "
        "`GRADBOOK_TRANSFER_SECONDS` bound the waiting.",
        "the request's head was not whole after 10 s",
    ),
    "conflict": ProblemType(
        409,
        "Not in the present state",
        "The request is right in itself, but does not fit the present state of what it names.",
        "Read `detail`: it says what stands in the way and what to do instead.",
        "this run has gradients already; create another run for another output or seed",
    ),
    "precondition-failed": ProblemType(
        412,
        "It has changed since",
        "The header `If-Match` names another ETag than the one that it has now: somebody changed it after it was read.",
        "Read it again, and decide anew whether to change it.",
        "this is not what If-Match names: it has changed since",
    ),
    "request-entity-too-large": ProblemType(
        413,
        "Request Entity Too Large",
        "The body has more bytes than the limit `body_bytes`.",
        "Send less, or arrays as `.npz`, which takes a third of JSON's bytes. An operator raises "
        "`GRADBOOK_MAX_BODY_BYTES`.",
        "a body has at most 67108864 bytes (the limit body_bytes)",
        {"limit": "body_bytes", "maximum": 67108864},
    ),
    "unsupported-media-type": ProblemType(
        415,
        "Unsupported Media Type",
        "The body's Content-Type is not read here, or the body is compressed.",
        "Send JSON with `Content-Type: application/json`, without Content-Encoding.",
        "the body must be JSON; send it with Content-Type: application/json",
    ),
    "misdirected-request": ProblemType(
        421,
        "Misdirected Request",
        "The request calls the service by a name, in the header Host, that is not one of its own.",
        "Use one of its names, or have the operator add this one to `GRADBOOK_HOSTS`.",
        "this service is not called 'books.example'; the setting GRADBOOK_HOSTS lists the names by which it may be "
        "called",
    ),
    "invalid-graph": ProblemType(
        422,
        "The nodes do not make a graph",
        "A node has an unknown operation, wrong attributes, or operands that are not nodes; or there is a cycle.",
        "Mend each fault in `errors`; its `pointer` leads to the place in the body.",
        "2 faults; the first: there is no operation 'Ad'; near it are And, Add",
        {
            "errors": [
                {"pointer": "/nodes/1/operation", "detail": "there is no operation 'Ad'; near it are And, Add"},
                {"pointer": "/nodes/1/inputs/1", "detail": "'b' reads 'c', which is not a node"},
            ]
        },
    ),
    "invalid-model": ProblemType(
        422,
        "The model cannot be imported as it is",
        "The ONNX model has nodes that cannot be computed here exactly as ONNX says, needs the shape of an input, or "
        "has its data in other files.",
        "Each fault in `errors` names the node, its operator and the reason; `pointer` leads to it in the model. Give "
        "shapes as `input=x=1,3,224,224`, and choose by `outputs` what can be computed.",
        "'/pool/Unique' (Unique): there is no operation of that name here",
        {
            "errors": [
                {
                    "pointer": "/graph/node/4",
                    "detail": "'/pool/Unique' (Unique): there is no operation of that name here",
                }
            ]
        },
    ),
    "invalid-expression": ProblemType(
        422,
        "The text is not an expression",
        "The expression breaks the grammar, or names an operation that there is not.",
        "Mend it at `line` and `column`; `place` shows the line with a mark below the fault.",
        'line 1, column 9: this "(" is not closed',
        {
            "errors": [{"pointer": "/expression", "detail": 'line 1, column 9: this "(" is not closed'}],
            "line": 1,
            "column": 9,
            "place": "y = w * (x + b\n        ^",
        },
    ),
    "invalid-inputs": ProblemType(
        422,
        "The figures do not fit the graph",
        "An input is missing, unknown or no number, or the shapes do not fit together.",
        "Mend each fault in `errors`. `GET /v1/graphs/{id}` lists the inputs.",
        "a number, NaN, Infinity or -Infinity is expected, not the string 'x'",
        {
            "errors": [
                {
                    "pointer": "/inputs/c",
                    "detail": "a number, NaN, Infinity or -Infinity is expected, not the string 'x'",
                }
            ]
        },
    ),
    "invalid-request": ProblemType(
        422,
        "A part of the request is wrong",
        "A member of the body or a parameter of the query is unknown, missing, or not what it should be.",
        "Mend each fault in `errors`; it has a `pointer` into the body or the name of a `parameter`.",
        "a whole number from 1 is expected",
        {"errors": [{"parameter": "limit", "detail": "a whole number from 1 is expected"}]},
    ),
    "limit-exceeded": ProblemType(
        422,
        "A limit is exceeded",
        "What is asked for is larger than the limit `limit`, which is `maximum`. Where the work was weighed before it "
        "was begun, `estimate` says how large it would be. Nothing was done.",
        "Ask for less, in parts, or with `?gradients=inputs`. A POST that takes more than `operations` becomes a job "
        "if it says `Prefer: respond-async`. An operator raises the limit; `GET /v1/limits` names its variable.",
        "a graph has at most 250000 nodes; this one has 250001",
        {"limit": "nodes", "maximum": 250000, "estimate": 250001},
    ),
    "digest-mismatch": ProblemType(
        422,
        "The body has another digest",
        "The SHA-256 of the body is not the digest in the path, so these are not the bytes that were meant.",
        "Take the SHA-256 of the bytes that you send, in hexadecimal, of the whole .npy with its header.",
        "the SHA-256 of the body is 5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
    ),
    "idempotency-key-reused": ProblemType(
        422,
        "The Idempotency-Key was used with a different request",
        "Another request was sent under the same Idempotency-Key before.",
        "Use a new key for a new request, and the same key only to repeat the same request.",
        "this Idempotency-Key was used with a different request",
    ),
    "too-many-requests": ProblemType(
        429,
        "Too Many Requests",
        "The key was used more often in this minute than `GRADBOOK_REQUESTS_PER_MINUTE` allows.",
        "Wait as many seconds as Retry-After says. The header `RateLimit` tells how many requests are left.",
        "a key has 600 requests a minute",
    ),
    "request-header-fields-too-large": ProblemType(
        431,
        "Request Header Fields Too Large",
        "The request's line and headers have too many bytes.",
        "Send fewer headers or a shorter address; large figures belong into the body.",
        "the request's line and headers have at most 65536 bytes",
    ),
    "internal-server-error": ProblemType(
        500,
        "Internal Server Error",
        "The service failed. That is a fault of ours, and not of the request.",
        "Report it with the answer's header `X-Request-Id`, under which the service's log says what happened.",
        "the service failed; its log has this request's id",
    ),
    "not-implemented": ProblemType(
        501,
        "Not Implemented",
        "The method is not known, or the body comes in a transfer coding other than `chunked`.",
        "Use a method that `openapi.yaml` names, and send the body as it is.",
        "of transfer codings only chunked is read; send the body without another",
    ),
    "not-installed": ProblemType(
        501,
        "An extra is not installed",
        "What is asked for needs a package that the service's installation lacks.",
        "Whoever operates the service installs the extra that `detail` names, and starts it anew.",
        "reading ONNX models needs the extra onnx: pip install 'gradbook[onnx]', or in a checkout pip install "
        "--require-hashes -r requirements-onnx.lock",
    ),
    "not-ready": ProblemType(
        503,
        "The database does not answer",
        "The database cannot be reached, or others have been writing to it for too long. What was acknowledged "
        "before is kept.",
        f"{_AGAIN} With an Idempotency-Key a repeated request stores nothing twice.",
        "OperationalError",
    ),
    "overloaded": ProblemType(
        503,
        "Too much is under way",
        "More requests wait, or more bytes of bodies are being read, than the service takes.",
        f"{_AGAIN} An operator gives it more processes, threads or memory.",
        "too many requests wait; try again a little later",
    ),
    "deadline-exceeded": ProblemType(
        503,
        "It took too long",
        "The work was not done within `GRADBOOK_DEADLINE_SECONDS` and was given up; nothing of it is kept.",
        "Send it with `Prefer: respond-async`, and it is done as a job. Or ask for less at once, or have the operator "
        "raise the deadline.",
        "the request was given up; send `Prefer: respond-async` to have it done as a job",
    ),
    "lost": ProblemType(
        503,
        "The work was lost",
        "The process that did the work has ended, killed by the system for its memory perhaps; nothing of it is kept.",
        f"{_AGAIN} If it happens again, ask for less at once; the service's log may say why.",
        "the process that did it has ended; the service's log may say why",
    ),
    "insufficient-storage": ProblemType(
        507,
        "There is no room for it",
        "The disk of the database is full, so nothing can be stored. Reading goes on.",
        "Make room on the disk; then send the request again.",
        "the database cannot grow; its disk is full",
    ),
}


def example_of(name: str) -> dict[str, Any]:
    """A problem of that type, as it is answered."""
    kind = PROBLEM_TYPES[name]
    return {"type": type_uri(name), "title": kind.title, "status": kind.status, "detail": kind.detail, **kind.members}


def write_entry(name: str, level: int = 1) -> str:
    """The Markdown of one type under a heading of that level, from its name to an example of the body."""
    kind = PROBLEM_TYPES[name]
    example = json.dumps(example_of(name), indent=2, ensure_ascii=False)
    return (
        f"{'#' * level} {name}\n\n**{kind.title}** (status {kind.status})\n\n"
        f"{kind.meaning}\n\nWhat to do: {kind.remedy}\n\n```json\n{example}\n```\n"
    )


def write_page() -> str:
    """docs/errors.md: all types, by status."""
    rows = "\n".join(f"| {kind.status} | [{name}](#{name}) | {kind.title} |" for name, kind in PROBLEM_TYPES.items())
    entries = "\n".join(write_entry(name, level=2) for name in PROBLEM_TYPES)
    return f"""# Errors

Every error is a problem in the sense of RFC 9457: a JSON document with the Content-Type `application/problem+json`.

- `type` says which of the types below it is: `{_URN}NAME`. It is stable, so branch on it and not on a text.
- `title` is the same for all problems of a type; `detail` says what is wrong in this one.
- `errors` lists each fault with a `pointer` into the body (RFC 6901) or the name of a `parameter`, a hundred at most.
- The header `X-Request-Id` names the request in the service's log, and `Retry-After` says after how many seconds to try
  again where that may help.

The Python client raises `Problem`, which has these members as attributes; the command line prints `detail` and exits
with 3. A service shows each type as a page too, at `/problems/NAME`, without a key.

| status | type | title |
|---|---|---|
{rows}

{entries}"""


if __name__ == "__main__":
    print(write_page(), end="")
