"""What the sandbox sends back: status, body, and how the answer goes over the wire."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred

from gateway.sandbox.api_errors import ApiError, error_body

JSON = b"application/json"
PLAIN = b"text/plain; charset=utf-8"
HTML = b"text/html; charset=utf-8"


class Wire(enum.Enum):
    """What becomes of an answer once it is due."""

    SEND = "send"
    HANG = "hang"  # nothing is ever sent
    CUT_BEFORE = "cut before"  # the connection is closed instead
    CUT_WITHIN = "cut within"  # the connection is closed after half of the body


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `delay` is in seconds and comes on top of the sandbox's latency.

    It does not begin to leave before `after` has fired.
    """

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    delay: float = 0.0
    wire: Wire = Wire.SEND
    after: Deferred[Any] | None = None


def json_answer(status: int, value: object) -> Answer:
    """Return `value` as a JSON answer."""
    return Answer(status, json.dumps(value).encode())


def error_answer(status: int, *errors: ApiError) -> Answer:
    """Return the API's errors as an answer."""
    return json_answer(status, error_body(*errors))


UNAUTHORIZED = Answer(
    401,
    json.dumps(error_body(ApiError("103", "Wrong API username or password"))).encode(),
    headers=((b"WWW-Authenticate", b'Basic realm="omnichannel"'),),
)
FORBIDDEN = error_answer(403, ApiError("102", "Access from this address is not allowed"))
NOT_FOUND = error_answer(404, ApiError("101", "No such path"))
NO_MESSAGE = error_answer(404, ApiError("101", "No such message"))
SERVER_ERROR = error_answer(500, ApiError("104", "Something went wrong, try again later"))
# No code of the API stands for throttling or for a proxy's fault, so neither is JSON here.
TOO_MANY_REQUESTS = Answer(429, b"Too Many Requests\n", PLAIN)
BAD_GATEWAY = Answer(
    502, b"<html><head><title>502 Bad Gateway</title></head><body></body></html>\n", HTML
)


def method_not_allowed(allowed: bytes) -> Answer:
    """Return 405 for a path that knows only the `allowed` method."""
    error = ApiError("107", f"Use {allowed.decode()}")
    body = json.dumps(error_body(error)).encode()
    return Answer(405, body, headers=((b"Allow", allowed),))
