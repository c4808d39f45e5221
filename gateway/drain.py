"""The end of a gateway: everybody gets an answer, or as much of one as the time allows.

Nothing new is let in, what is in flight is answered, sessions are unbound, and reports of the
API are taken to the last, each committed before it is answered. At `drain.timeout` what is left
is answered at once and dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from structlog.typing import FilteringBoundLogger
from twisted.internet.base import DelayedCall
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from gateway.assembly import Bridge
from gateway.config import DrainSettings
from gateway.listeners import Listeners
from gateway.net.smpp_server import SmppServer
from gateway.omnichannel.client import OmnichannelClient
from gateway.omnichannel.transport import Transport
from gateway.store.worker import StoreThread

_CLOSING: Final = 5.0  # seconds for the store and what listens to close, when all is answered
_LAST_MOMENT: Final = 0.5  # seconds for the last answers of a stop that ran out of time


class Parts(NamedTuple):
    """What a drain ends, in its order."""

    listeners: Listeners
    smpp: SmppServer
    bridge: Bridge
    client: OmnichannelClient
    transport: Transport
    store: StoreThread


class Drain:
    """One stop. `reactor` is Twisted's; `ended` is called once, when all is closed."""

    def __init__(
        self,
        reactor: Any,
        parts: Parts,
        settings: DrainSettings,
        log: FilteringBoundLogger,
        ended: Callable[[], None],
    ) -> None:
        self._reactor = reactor
        self._parts = parts
        self._settings = settings
        self._log = log
        self._ended = ended
        self._hard_stop: DelayedCall | None = None
        self._given_up: Deferred[None] = Deferred()

    def begin(self, reason: str) -> None:
        """Drain; the end comes within drain.delay and drain.timeout."""
        settings = self._settings
        self._log.info(
            "draining",
            reason=reason,
            connections=len(self._parts.smpp.connections),
            timeout=settings.timeout,
        )
        self._hard_stop = self._reactor.callLater(settings.delay + settings.timeout, self.give_up)
        Deferred.fromCoroutine(self._drain()).addErrback(self._failed)

    async def _drain(self) -> None:
        listeners, smpp, bridge, _, transport, store = self._parts
        if self._settings.delay:
            pause: Deferred[None] = deferLater(self._reactor, self._settings.delay)
            await _first(pause, self._given_up)
        listeners.close("smpp")
        listeners.close("smpp_tls")
        await smpp.shut_down()
        # A client may have left before its answer: the API's is worth knowing all the same.
        await _first(bridge.load.idle(), self._given_up)
        receipts = bridge.receipts
        receipts.dispatcher.stop()
        receipts.poller.stop()
        ended = Deferred.fromCoroutine(bridge.upkeep.stop())
        await _first(ended.addErrback(self._upkeep_failed), self._given_up)
        if self._hard_stop is not None and self._hard_stop.active():
            self._hard_stop.cancel()
        last = self._reactor.callLater(_CLOSING, self._end_anyway)
        await transport.close()
        # Reports are taken to the last: each is committed before it is answered.
        listeners.close("callbacks")
        if receipts.site is not None:
            receipts.site.close()
        await store.stop()
        await listeners.close_all()
        if not last.active():
            return
        last.cancel()
        self._log.info("stopped")
        self._ended()

    def _end_anyway(self) -> None:
        """The disk hangs: what was committed is safe, and waiting longer changes nothing."""
        self._log.error("drain_unfinished", detail=f"the store did not close in {_CLOSING:g} s")
        self._ended()

    def _upkeep_failed(self, failure: Failure) -> None:
        """Nor may it keep the rest from ending in order."""
        self._log.error("drain_failed", failure=failure)

    def _failed(self, failure: Failure) -> None:
        """A fault of ours must not keep a stopping process alive."""
        self._log.error("drain_failed", failure=failure)
        self._ended()

    def give_up(self) -> None:
        """End what is under way: each message gets its answer, each session a moment to take it."""
        if self._given_up.called:
            return
        self._parts.transport.close()
        self._parts.client.close()
        self._given_up.callback(None)
        self._reactor.callLater(_LAST_MOMENT, self._drop_connections)

    def _drop_connections(self) -> None:
        left = len(self._parts.smpp.connections)
        if left:
            self._log.warning("connections_dropped", connections=left)
        self._parts.smpp.abort()


async def _first(*awaited: Deferred[None]) -> None:
    """Wait until one of them has fired."""
    await DeferredList(awaited, fireOnOneCallback=True, consumeErrors=True)
