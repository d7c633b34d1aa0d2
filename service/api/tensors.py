"""Tensors over HTTP."""

from flask import Response, request

from service.api.http.endpoint import BYTES, NPY, Blueprint
from service.api.http.problems import InvalidParameters
from service.api.http.request import context
from service.api.http.response import accepted, location, respond
from service.api.tensor_schemas import TensorDocument
from service.core.errors import Fault, NotFound
from service.usecases import tensors as usecases
from service.usecases.tensors import read_digest, write_digest

_FOREVER = "private, max-age=31536000, immutable"

blueprint = Blueprint("tensors", __name__, description="Arrays that are sent once and then named by their digest")


@blueprint.endpoint(
    "PUT",
    "/v1/tensors/<digest>",
    answer=TensorDocument,
    status=201,
    also=200,
    problems=(404,),
    raw=(BYTES, NPY),
)
def put_tensor(body: bytes, digest: str) -> Response:
    """Store an array, an .npy as NumPy's `save` writes it, under the SHA-256 of these bytes

    It is stored once. Wherever a request takes an array, `{"tensor": "sha256:…"}` stands for it from then on.
    `application/x-npy`, as which it is read again, is taken too.
    """
    try:
        asked = read_digest(digest)
    except ValueError as error:
        raise InvalidParameters([Fault(("digest",), str(error))]) from None
    record, new = usecases.put_tensor(context(), asked, body)
    document = {
        "digest": write_digest(record.digest),
        "dtype": record.dtype,
        "shape": record.shape,
        "bytes": record.nbytes,
        "created_at": record.created_at.isoformat(),
    }
    headers = {"Location": location(f"/v1/tensors/{write_digest(record.digest)}")}
    return respond(document, 201 if new else 200, headers)


@blueprint.endpoint("GET", "/v1/tensors/<digest>", answer=None, problems=(404,), forms=(NPY,))
def get_tensor(digest: str) -> Response:
    """Read a tensor as it was sent; a HEAD tells whether it is stored"""
    accepted(NPY)
    try:
        record = usecases.get_tensor(context(), read_digest(digest))
    except ValueError:
        raise NotFound(f"there is no tensor {digest!r}") from None
    response = Response(content_type=NPY, headers={"Cache-Control": _FOREVER})
    response.set_etag(write_digest(record.digest))
    response.make_conditional(request)
    if response.status_code == 200 and request.method == "HEAD":
        response.content_length = record.nbytes
    elif response.status_code == 200:
        response.set_data(usecases.load_tensor(context(), record))
    return response
