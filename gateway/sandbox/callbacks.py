"""Tells whoever gave a dlr_url what becomes of the message, when it becomes of it."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from datetime import datetime
from ipaddress import ip_address
from typing import Final, Protocol
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from gateway.sandbox.callback_client import Callback
from gateway.sandbox.delivery_result import callback_body
from gateway.sandbox.lifecycle import Reached
from gateway.sandbox.state import MessageState

OUTSTANDING: Final = 100_000  # messages and callbacks that may wait, for their time or an answer


class Client(Protocol):
    """What posts; `callback_client.CallbackClient`."""

    @property
    def outstanding(self) -> int: ...

    def post(self, callback: Callback) -> None: ...


class Callbacks:
    """The callbacks of one account's messages, signed with its password.

    One call of `clock` is pending for each message that has more to tell. A dlr_url that is
    not on this machine's loopback interface is refused unless `anywhere`, which is counted as
    "dlr_refused"; what is beyond OUTSTANDING is never told, "dlr_dropped".
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        client: Client,
        counts: Counter[str],
        *,
        password: str,
        anywhere: bool = False,
    ) -> None:
        self._clock = clock
        self._client = client
        self._counts = counts
        self._key = password.encode()
        self._anywhere = anywhere
        self._due: dict[str, IDelayedCall] = {}

    def follow(self, state: MessageState, now: datetime) -> Deferred[None] | None:
        """Tell all that a message accepted `now` comes to, each at its time.

        Returns what the answer to the client must wait for, None when it need not wait.
        """
        told = state.timeline.callbacks()
        if not told or not self._may_tell(state):
            return None
        if state.timeline.course.before_answer and told[0][0] <= now:
            first = self._tell(state, *told[0])
            self._wait(state, told[1:], now)
            return first
        self._wait(state, told, now)
        return None

    def cancelled(self, state: MessageState, now: datetime) -> None:
        """Tell that a message was deleted, and nothing else of it."""
        call = self._due.pop(state.omnimessage_id, None)
        if call is not None:
            call.cancel()
            self._wait(state, [(now, reached)] if (reached := state.reached(now)) else [], now)

    def close(self) -> None:
        """Tell nothing any more."""
        for call in self._due.values():
            call.cancel()
        self._due.clear()

    def _may_tell(self, state: MessageState) -> bool:
        if state.dlr_url is None:
            return False
        if not (self._anywhere or _on_loopback(state.dlr_url)) or not _is_plain(state.dlr_url):
            self._counts["dlr_refused"] += 1
            if self._counts["dlr_refused"] == 1:
                self._log.warn(
                    "A dlr_url was refused, since it is not on the loopback interface "
                    "(--callbacks-anywhere allows it); those to come are only counted, as "
                    "dlr_refused"
                )
            return False
        if len(self._due) + self._client.outstanding >= OUTSTANDING:
            self._counts["dlr_dropped"] += 1
            return False
        return True

    def _wait(
        self, state: MessageState, told: list[tuple[datetime, Reached]], now: datetime
    ) -> None:
        if told:
            delay = max(0.0, (told[0][0] - now).total_seconds())
            self._due[state.omnimessage_id] = self._clock.callLater(delay, self._come, state, told)

    def _come(self, state: MessageState, told: list[tuple[datetime, Reached]]) -> None:
        del self._due[state.omnimessage_id]
        when, reached = told[0]
        self._tell(state, when, reached)
        self._wait(state, told[1:], when)

    def _tell(self, state: MessageState, when: datetime, reached: Reached) -> Deferred[None]:
        state.told = when
        course = state.timeline.course
        body = callback_body(state, reached)
        signature = hmac.new(self._key, body, hashlib.sha256).hexdigest()
        if course.forged:
            signature = signature[::-1]
        for _ in range(course.copies):
            callback = Callback(state.dlr_url or "", body, signature)
            self._client.post(callback)
        return callback.first


def _on_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_plain(url: str) -> bool:
    """Whether a URL can be asked as it is: the API's own clients would have to encode others."""
    return url.isascii() and url.isprintable()
