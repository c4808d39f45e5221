"""Connections that come through a balancer: each begins with a PROXY header.

Behind the header everything is as if the client had connected itself: `getPeer` gives its
address, through TLS too. Only balancers that are listed may say who a client is, and they must.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure

from gateway.net.proxy_header import LONGEST, BadHeader, Source, read_header
from gateway.networks import Network, allows

HEADER_TIMEOUT: Final = 5.0  # seconds; a balancer sends it in its first segment


class ProxiedFactory(WrappingFactory[Any]):
    """Around `factory`, whose buildProtocol is given the client's address.

    A peer outside `networks`, which may be replaced, has its connection as if this were not
    here: a header from there is no more than odd octets. `refused` is told of each connection
    that is closed for its header: the balancer's address, and why.
    """

    noisy = False

    def __init__(
        self,
        factory: Any,
        reactor: IReactorTime,
        networks: Iterable[Network],
        timeout: float,
        refused: Callable[[str, str], None],
    ) -> None:
        super().__init__(factory)  # type: ignore[no-untyped-call]
        self.reactor = reactor
        self.networks = tuple(networks)
        self.timeout = timeout  # seconds for the header
        self.refused = refused

    def buildProtocol(self, addr: IAddress | None) -> Any:
        if allows(self.networks, getattr(addr, "host", "")):
            return _HeaderFirst(self)
        return self.wrappedFactory.buildProtocol(addr)


class _HeaderFirst(Protocol):
    """Reads the header of one connection, and then hands on what comes."""

    transport: Any

    def __init__(self, factory: ProxiedFactory) -> None:
        self._factory = factory
        self._octets = bytearray()
        self._timeout: IDelayedCall | None = None
        self._behind: Any = None  # a _Behind, once the header is read
        self._refused = False

    def connectionMade(self) -> None:
        self._timeout = self._factory.reactor.callLater(self._factory.timeout, self._too_late)

    def dataReceived(self, data: bytes) -> None:
        if self._behind is not None:
            self._behind.dataReceived(data)
            return
        if self._refused:
            return
        self._octets += data
        try:
            header = read_header(bytes(self._octets[:LONGEST]))
        except BadHeader as bad:
            self._refuse(str(bad))
            return
        if header is not None:
            rest = bytes(self._octets[header.length :])
            self._octets.clear()
            self._begin(header.source, rest)

    def _begin(self, source: Source | None, rest: bytes) -> None:
        self._stop_waiting()
        peer = _address(source) if source else self.transport.getPeer()
        protocol = self._factory.wrappedFactory.buildProtocol(peer)
        if protocol is None:  # not let in: what it still sends meets nobody
            self._refused = True
            self.transport.loseConnection()
            return
        self._behind = _Behind(self._factory, protocol, peer)
        self._behind.makeConnection(self.transport)
        if rest:
            self._behind.dataReceived(rest)

    def _too_late(self) -> None:
        self._timeout = None
        self._refuse(f"no PROXY protocol header within {self._factory.timeout:g} s")

    def _refuse(self, detail: str) -> None:
        self._refused = True
        self._stop_waiting()
        self._octets.clear()
        self._factory.refused(self.transport.getPeer().host, detail)
        self.transport.loseConnection()

    def _stop_waiting(self) -> None:
        if self._timeout is not None:
            self._timeout.cancel()
            self._timeout = None

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        # Before its header a balancer may leave as it likes: many health checks are no more.
        self._stop_waiting()
        if self._behind is not None:
            self._behind.connectionLost(reason)


class _Behind(ProtocolWrapper):
    """The transport as the protocol behind the header sees it."""

    def __init__(self, factory: ProxiedFactory, protocol: Any, peer: IAddress) -> None:
        super().__init__(factory, protocol)
        self._peer = peer

    def getPeer(self) -> IAddress:
        return self._peer


def _address(source: Source) -> IPv4Address | IPv6Address:
    kind = IPv4Address if source.address.version == 4 else IPv6Address
    return kind("TCP", str(source.address), source.port)
