"""The measure for callbacks: a twisted.web resource that reads a body and answers 200.

It neither checks nor keeps anything and writes no access log. The first line on standard output
is `{"port": ...}`; the process ends with its standard input.
"""

# mypy: disable-error-code="no-untyped-call"
# (twisted.web's Resource and Site are not annotated throughout)

from __future__ import annotations

import json
import sys
from typing import cast

from twisted.internet import reactor as installed  # noqa: TID251  a program of its own
from twisted.internet import stdio
from twisted.internet.base import ReactorBase
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

reactor = cast("ReactorBase", installed)


class _Takes(Resource):
    isLeaf = True

    def render_POST(self, request: Request) -> bytes:
        assert request.content is not None, "it is there before it is rendered"
        request.content.read()
        return b""


class _Quiet(Site):
    noisy = False

    def log(self, request: object) -> None:
        """Nothing."""


class _Commands(Protocol):
    def connectionLost(self, reason: Failure | None = None) -> None:
        reactor.stop()


def _listening(port: IListeningPort) -> None:
    print(json.dumps({"port": port.getHost().port}), flush=True)  # type: ignore[attr-defined]
    stdio.StandardIO(_Commands())


def main() -> None:
    endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    endpoint.listen(_Quiet(_Takes())).addCallback(_listening)
    reactor.run()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
