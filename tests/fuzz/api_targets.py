"""What comes from the API: callbacks with their tokens, and the bodies of answers."""

from __future__ import annotations

import base64
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from gateway.omnichannel import outcome, payload
from gateway.omnichannel.bulk import Mismatch, judge_bulk
from gateway.omnichannel.callback import BadToken, Key, KeyRing, signature, signed
from gateway.omnichannel.report import DeliveryReport, judge_report, read_report
from gateway.omnichannel.route import BadRoute, Route, pack, unpack
from gateway.smpp.constants import CommandStatus
from tests.fuzz.target import Octets, Target

_SECRET: Final = bytes(range(64))
_RING: Final = KeyRing([Key("k1", 0.0, _SECRET)])
_REQUESTS: Final = [payload.SmsRequest("+37255500001", "a"), payload.SmsRequest("37255500002", "b")]
_LONGEST_WORD: Final = 300
_LATEST: Final = 1 << 38  # seconds that a route can hold


def token(octets: bytes) -> None:
    """A token that anybody may have written: a route, or BadToken."""
    try:
        _is_route(_RING.open(octets.decode("latin-1")))
    except BadToken as error:
        assert error.detail


def route(octets: bytes) -> None:
    """Octets that were sealed with our key, by another version perhaps."""
    sealed = AESSIV(_SECRET).encrypt(octets, [b"k1"]) if octets else b""
    try:
        found = unpack(octets)
    except BadRoute as error:
        assert error.detail
        found = None
    written = "k1" + base64.urlsafe_b64encode(sealed).decode().rstrip("=")
    try:
        assert _RING.open(written) == found
    except BadToken:
        assert found is None or len(written) > 3000
    if found is not None:
        _is_route(found)


def _is_route(found: Route) -> None:
    assert all(0 <= target.number <= 255 for target in found.targets)
    if found.submitted_at < _LATEST:
        assert unpack(pack(found)) == found


def report(octets: bytes) -> None:
    """The body of a callback: a report of a message, or None."""
    assert not signed(octets, octets[:64].decode("latin-1"), ["secret"])
    assert signed(octets, signature(octets, "secret").upper(), ["other", "secret"])
    found = read_report(octets)
    if found is None:
        return
    _is_id(found.omnimessage_id)
    _are_words(found.status, found.error, found.to, found.channel)
    assert isinstance(found, DeliveryReport)
    assert found.timestamp is None or found.timestamp.utcoffset() is not None
    assert 0 <= judge_report(found.status, found.err).err <= 999


def answer(octets: bytes) -> None:
    """Any status with any body: an outcome, of every kind of request."""
    given = Octets(octets)
    status = 100 + int.from_bytes(given.some(2)) % 500
    body = given.rest()
    found = [outcome.judge(status, body)]
    found += [outcome.judge_inquiry(status, body, question) for question in outcome.ANSWERS]
    for one in found:
        assert isinstance(one.command_status, CommandStatus)
        if one.verdict is outcome.Verdict.ACCEPTED:
            assert 200 <= status < 300
            _is_id(one.message_id)
        _are_words(one.error.code, one.error.title, one.error.detail, one.error.source)
    for error in payload.read_errors(body):
        _are_words(*(getattr(error, name) for name in ("code", "title", "detail", "source")))
        assert len(error.field) <= _LONGEST_WORD
    delivery = payload.read_delivery(body)
    _are_words(delivery.status, delivery.sender)
    assert delivery.err >= 0
    assert outcome.state_of(delivery.status)


def bulk(octets: bytes) -> None:
    """The answer to two messages at once: an outcome for each, or Mismatch."""
    given = Octets(octets)
    status = 100 + int.from_bytes(given.some(2)) % 500
    try:
        found = judge_bulk(status, given.rest(), _REQUESTS)
    except Mismatch as error:
        assert 200 <= status < 300
        assert str(error)
        return
    assert len(found) == len(_REQUESTS)
    ids = [one.message_id for one in found if one.verdict is outcome.Verdict.ACCEPTED]
    assert len(set(ids)) == len(ids)
    for message_id in ids:
        _is_id(message_id)
    assert not ids or 200 <= status < 300


def _is_id(found: str) -> None:
    assert 1 <= len(found) <= 64
    assert found.isascii()
    assert found.isprintable()


def _are_words(*words: str) -> None:
    for word in words:
        assert len(word) <= _LONGEST_WORD
        word.encode("utf-8", "surrogatepass")  # the API cuts between the halves of a pair


_JSON: Final = (
    *(b'{"omnimessage_id":', b'"status":', b'"err":', b'"error":', b'"timestamp":', b'"to":'),
    *(b'"errors":[{', b'"code":', b'"title":', b'"detail":', b'"source":', b'"channel":'),
    *(b'"statuses":[{', b'"DELIVRD"', b'"0001-01-01T00:00:00+02:00"', b"null", b"true", b"1e9"),
    *(b"\\ud800", b"\xef\xbb\xbf", b"[[[[", b'"sender":', b"]}", b'"messages":[{'),
)

API: Final[dict[str, Target]] = {
    "token": Target(token, longest=256),
    "route": Target(route, longest=256),
    "report": Target(report, weight=2, longest=400, words=_JSON),
    "answer": Target(answer, weight=2, longest=400, words=_JSON),
    "bulk": Target(bulk, longest=400, words=_JSON),
}
