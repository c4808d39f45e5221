"""Certificates, the scripted server and the engines, for the transports' tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from gateway.omnichannel.transport import TransportSettings
from tests.omnichannel.certificates import Authority
from tests.omnichannel.engines import ENGINES, Client, Engine
from tests.omnichannel.https_server import HttpsServer, server_context

Connect = Callable[..., Client]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def certificate(authority: Authority) -> str:
    """A good certificate for localhost, with its key."""
    return authority.issue()


@pytest.fixture(params=ENGINES, ids=lambda engine: engine.name)
def engine(request: pytest.FixtureRequest) -> Engine:
    engine: Engine = request.param
    return engine


@pytest.fixture
def server(engine: Engine, certificate: str) -> Iterator[HttpsServer]:
    with HttpsServer(server_context(certificate, engine.alpn)) as running:
        yield running


@pytest.fixture
def connect(engine: Engine, authority: Authority) -> Iterator[Connect]:
    """`connect(base_url, **settings)`: a client of the engine under test, closed at the end."""
    with ExitStack() as stack:

        def connect(base_url: str, **settings: Any) -> Client:
            settings.setdefault("ca_file", authority.ca_file)
            client = Client(engine, TransportSettings(base_url, "gateway/test", **settings))
            stack.callback(client.close)
            return client

        yield connect


@pytest.fixture
def client(connect: Connect, server: HttpsServer) -> Client:
    return connect(server.base_url)
