"""The two ends of a receipt: an API that calls back, and an ESME that takes what it is sent."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred

from gateway.bridge.accounts import Account
from gateway.bridge.dispatcher import Dispatcher
from gateway.omnichannel.callback import signature
from gateway.omnichannel.route import Route
from gateway.smpp.codec import decode, encode
from gateway.smpp.pdu import DeliverSm
from tests.bridge.trial import ID, PUBLIC_URL, TO, Trial
from tests.omnichannel.scripted_transport import Post

_ROK = 0
# What php-smpp demands, the strictest reader met (SMPP reference section 5).
_RECEIPT = re.compile(
    r"id:(?P<id>\S+) sub:001 dlvrd:(?P<dlvrd>00[01])"
    r" submit date:(?P<submitted>\d{10}) done date:(?P<done>\d{10})"
    r" stat:(?P<stat>[A-Z]{7}) err:(?P<err>\d{3}) text:(?P<text>[ -~]{0,20})"
)


class Told(NamedTuple):
    """What a client reads in a receipt."""

    id: str
    dlvrd: str
    submitted: str
    done: str
    stat: str
    err: str
    text: str


def told(pdu: DeliverSm) -> Told:
    """The receipt in a deliver_sm; its TLVs and esm_class must say the same."""
    found = _RECEIPT.fullmatch(pdu.short_message.decode("ascii"))
    assert found, pdu.short_message
    receipt = Told(*found.groups())
    tlvs = dict(pdu.tlvs)
    assert tlvs[0x001E] == receipt.id.encode() + b"\0"
    assert pdu.esm_class == (0x20 if receipt.stat == "ACCEPTD" else 0x04)
    assert (pdu.data_coding, pdu.registered_delivery) == (0, 0)
    assert len(encode(pdu)) > 16
    return receipt


class Esme:
    """A bound receiver with a window. What it is sent waits until the test has it answered."""

    def __init__(
        self, dispatcher: Dispatcher, account: Account, session_id: str = "s1", window: int = 10
    ) -> None:
        self.session_id = session_id
        self.window = window
        self.reads = True
        self.pdus: list[DeliverSm] = []  # all that it was ever sent
        self.unanswered: dict[int, DeliverSm] = {}  # by tag, the oldest first
        self._dispatcher = dispatcher
        self._account = account

    @property
    def room(self) -> int:
        return max(0, self.window - len(self.unanswered)) if self.reads else 0

    def deliver(self, octets: bytes, tag: int) -> None:
        assert self.room, "above its window"
        assert tag not in self.unanswered
        pdu = decode(octets)
        assert isinstance(pdu, DeliverSm)
        self.pdus.append(pdu)
        self.unanswered[tag] = pdu

    def bind(self) -> Esme:
        self._dispatcher.joined(self._account, self)
        return self

    def answer(self, status: int | None = _ROK, place: int = 0) -> None:
        """Answer the one at `place` among the unanswered; None lets its time run out."""
        tag = list(self.unanswered)[place]
        del self.unanswered[tag]
        self._dispatcher.answered(self, tag, status)

    def take_all(self) -> None:
        """Acknowledge until nothing comes any more."""
        while self.unanswered:
            self.answer()

    def leave(self) -> list[int]:
        """The session ends; the tags that it has not answered."""
        tags = list(self.unanswered)
        self.unanswered.clear()
        self.reads = False
        self._dispatcher.left(self, tags)
        return tags

    @property
    def told(self) -> list[Told]:
        return [told(pdu) for pdu in self.pdus]

    @property
    def ids(self) -> list[str]:
        return [one.id for one in self.told]

    @property
    def stats(self) -> list[str]:
        return [one.stat for one in self.told]


def esme(trial: Trial, session_id: str = "s1", window: int = 10, account: str = "bank") -> Esme:
    """A receiver of an account, bound now."""
    return Esme(trial.dispatcher, trial.accounts[account], session_id, window).bind()


def outcome(coroutine: Any) -> Any:
    """The result of a coroutine that waits for nothing; what it raises is raised."""
    found: list[Any] = []
    failed: list[Any] = []
    Deferred.fromCoroutine(coroutine).addCallbacks(found.append, failed.append)
    if failed:
        failed[0].raiseException()
    [result] = found
    return result


def token_of(post: Post) -> str:
    """The token in the dlr_url of a request."""
    head, _, token = post.sms["dlr_url"].rpartition("/")
    assert head == f"{PUBLIC_URL}/dlr"
    return str(token)


def route_of(trial: Trial, place: int = -1) -> Route:
    """The route that a request carries."""
    return trial.keys.open(token_of(trial.transport.posts[place]))


def body_of(status: str | None, **fields: Any) -> bytes:
    """A callback's body, as the API's samples have it."""
    return json.dumps(
        {
            "status": status,
            "sender": "MySender",
            "err": 0,
            "message_id": "b7f2a1c0-91a2-4f6e-8f0a-000000000001",
            "to": f"+{TO}",
            "channel": "sms",
            "error": None,
            "omnimessage_id": ID,
            "timestamp": "1970-01-01T00:20:00.389630",
            "price_info": {"part_price": "0.1", "parts_count": 2, "total_price": "0.2"},
            **fields,
        }
    ).encode()


def call_back(trial: Trial, status: str | None, place: int = -1, **fields: Any) -> Any:
    """The API reports on the message of a request; the HTTP status, None if none came yet."""
    body = body_of(status, **fields)
    found: list[int] = []
    called = trial.callbacks.receive(
        token_of(trial.transport.posts[place]), body, signature(body, "key")
    )
    called.addCallback(found.append)
    return found[0] if found else None
