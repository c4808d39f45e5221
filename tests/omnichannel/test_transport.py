"""The contract of transport.py, for every engine and HTTP version, against a real server."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator

import pytest

from gateway.omnichannel.transport import FailureKind, HttpAnswer, HttpFailure, HttpResult
from tests.omnichannel.certificates import Authority
from tests.omnichannel.connect_proxy import ConnectProxy
from tests.omnichannel.engines import AUTHORIZATION, BODY, Client, Engine
from tests.omnichannel.https_server import (
    Answer,
    Cut,
    Hang,
    HttpsServer,
    Raw,
    Stage,
    server_context,
    unused_port,
)
from tests.reactor_thread import in_reactor, running_reactor

Connect = Callable[..., Client]
METHODS = ("post", "get", "delete")
GRACE = 0.25  # seconds that the contract allows beyond the timeout

ERROR = b'{"errors":[{"code":"105","title":"Invalid data","detail":"x","source":"payload[to]"}]}'


def failed(result: HttpResult, *kinds: FailureKind, sent: bool) -> HttpFailure:
    assert isinstance(result, HttpFailure), result
    assert result.kind in kinds, result
    assert result.sent is sent, result
    return result


def answered(result: HttpResult, status: int = 201) -> HttpAnswer:
    assert isinstance(result, HttpAnswer), result
    assert result.status == status
    return result


# What goes out


def test_post_sends_the_body_and_the_headers(client: Client, server: HttpsServer) -> None:
    body = '{"text":"Ünïcødé € 漢字 😀"}'.encode() + bytes(range(256))
    answered(client.post("/omnimessage", body))
    (request,) = server.requests
    assert (request.method, request.path, request.body) == ("POST", "/v1/omnimessage", body)
    assert request.headers["authorization"] == AUTHORIZATION
    assert request.headers["content-type"] == "application/json"
    assert request.headers["accept"] == "application/json"
    assert request.headers["user-agent"] == "gateway/test"
    assert request.headers["content-length"] == str(len(body))
    assert "expect" not in request.headers


@pytest.mark.parametrize("method", ["get", "delete"])
def test_get_and_delete(client: Client, server: HttpsServer, method: str) -> None:
    server.actions["/omnimessage/1"] = Answer(202, b'{"a":1}')
    assert answered(client.call(method, "/omnimessage/1"), 202).body == b'{"a":1}'
    (request,) = server.requests
    assert (request.method, request.body) == (method.upper(), b"")
    assert request.headers["authorization"] == AUTHORIZATION


def test_each_request_has_its_own_body_and_authorization(
    client: Client, server: HttpsServer
) -> None:
    for number in range(4):
        in_reactor(
            client.transport.post,
            f"/{number % 2}",
            b"x" * number,
            authorization=f"Basic {number % 3}",
            timeout=5,
        )
    seen = [(each.path, each.body, each.headers["authorization"]) for each in server.requests]
    assert seen == [
        ("/v1/0", b"", "Basic 0"),
        ("/v1/1", b"x", "Basic 1"),
        ("/v1/0", b"xx", "Basic 2"),
        ("/v1/1", b"xxx", "Basic 0"),
    ]


def test_a_large_body_arrives_whole(client: Client, server: HttpsServer) -> None:
    body = bytes(range(256)) * 4096  # a bulk request of a thousand messages is about this size
    answered(client.post("/omnimessages", body))
    assert server.requests[0].body == body


def test_cookies_are_not_kept(client: Client, server: HttpsServer) -> None:
    server.actions["/a"] = Answer(headers=[("set-cookie", "session=1; Path=/")])
    answered(client.post("/a"))
    answered(client.post("/a"))
    assert "cookie" not in server.requests[1].headers


def test_the_surroundings_are_ignored(
    connect: Connect, server: HttpsServer, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    (home := tmp_path / ".netrc").write_text("machine localhost login netrc password netrc")  # type: ignore[operator]
    monkeypatch.setenv("NETRC", str(home))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("https_proxy", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{unused_port()}")
    answered(connect(server.base_url).post("/a"))
    assert server.requests[0].headers["authorization"] == AUTHORIZATION


# What comes back


def test_an_answer_has_status_body_and_headers(client: Client, server: HttpsServer) -> None:
    body = '{"detail":"ä 漢"}'.encode()
    server.actions["/a"] = Answer(
        201, body, [("content-type", "application/json"), ("x-request-id", "A b")]
    )
    answer = answered(client.post("/a"))
    assert answer.body == body
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"] == "A b"
    assert answer.headers.get("absent") is None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 415, 429, 500, 502, 503])
def test_an_error_status_is_an_answer(client: Client, server: HttpsServer, status: int) -> None:
    server.actions["/a"] = Answer(status, ERROR, [("retry-after", "7")])
    answer = answered(client.post("/a"), status)
    assert answer.body == ERROR
    assert answer.headers["retry-after"] == "7"
    assert server.seen("/a") == 1


@pytest.mark.parametrize(
    "body", [b"", b"<html>502 Bad Gateway</html>", b"\xff\xfe\x00", b"[1,", b'"a string"']
)
def test_a_body_of_any_kind_is_an_answer(client: Client, server: HttpsServer, body: bytes) -> None:
    server.actions["/a"] = Answer(502, body, [("content-type", "text/html")])
    assert answered(client.post("/a"), 502).body == body


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_an_answer(client: Client, server: HttpsServer, status: int) -> None:
    server.actions["/a"] = Answer(status, b"", [("location", f"{server.base_url}/elsewhere")])
    assert answered(client.post("/a"), status).headers["location"].endswith("/elsewhere")
    assert len(server.requests) == 1


def test_a_compressed_body_is_not_asked_for(client: Client, server: HttpsServer) -> None:
    answered(client.post("/a"))
    assert server.requests[0].headers.get("accept-encoding", "identity") == "identity"


def test_connections_are_reused(client: Client, server: HttpsServer) -> None:
    for _ in range(5):
        answered(client.post("/a"))
    assert server.connections == 1


def test_an_old_connection_is_not_reused(
    connect: Connect, server: HttpsServer, engine: Engine
) -> None:
    age, wait = (0.2, 0.3) if engine.name == "requests" else (1, 2.1)  # libcurl: whole seconds
    client = connect(server.base_url, max_connection_age=age)
    answered(client.post("/a"))
    time.sleep(wait)
    answered(client.post("/a"))
    assert server.connections == 2


def test_plain_http_to_loopback(connect: Connect) -> None:
    with HttpsServer(None) as server:
        answered(connect(server.base_url).post("/a"))
        assert server.seen("/a") == 1


# Nothing was sent


def test_refused(connect: Connect) -> None:
    client = connect(f"https://127.0.0.1:{unused_port()}/v1")
    failed(client.post("/a"), FailureKind.CONNECT, sent=False)


def test_the_name_does_not_resolve(connect: Connect) -> None:
    failed(connect("https://api.invalid/v1").post("/a"), FailureKind.DNS, sent=False)


def test_an_unknown_authority(connect: Connect, server: HttpsServer) -> None:
    client = connect(server.base_url, ca_file="")  # the system's, which do not know the test's
    failed(client.post("/a"), FailureKind.TLS, sent=False)
    assert server.requests == []


@pytest.mark.parametrize(("host", "expired"), [("elsewhere.example", False), ("localhost", True)])
def test_a_bad_certificate(
    engine: Engine, connect: Connect, authority: Authority, host: str, expired: bool
) -> None:
    chain = authority.issue(host, expired=expired)
    with HttpsServer(server_context(chain, engine.alpn)) as server:
        failed(connect(server.base_url).post("/a"), FailureKind.TLS, sent=False)
        assert server.requests == []


def test_a_missing_ca_file(connect: Connect, server: HttpsServer) -> None:
    client = connect(server.base_url, ca_file="/nonexistent/authorities.pem")
    failed(client.post("/a"), FailureKind.TLS, sent=False)
    assert server.requests == []


def test_not_tls(connect: Connect) -> None:
    with HttpsServer(None) as server:
        url = server.base_url.replace("http:", "https:")
        failed(
            connect(url).post("/a", timeout=0.4), FailureKind.TLS, FailureKind.TIMEOUT, sent=False
        )
        assert server.requests == []


@pytest.fixture
def full_backlog() -> Iterator[int]:
    """A port where connecting neither succeeds nor fails."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(address)
            fillers.append(filler)
        yield address[1]
        for filler in fillers:
            filler.close()


def test_connect_timeout(connect: Connect, full_backlog: int) -> None:
    client = connect(f"https://127.0.0.1:{full_backlog}/v1", connect_timeout=0.3)
    result, seconds = client.timed("post", "/a", 3)
    failed(result, FailureKind.CONNECT, sent=False)
    assert 0.25 < seconds < 0.3 + GRACE


def test_the_timeout_ends_connecting(connect: Connect, full_backlog: int) -> None:
    client = connect(f"https://127.0.0.1:{full_backlog}/v1", connect_timeout=5)
    result, seconds = client.timed("post", "/a", 0.3)
    failed(result, FailureKind.TIMEOUT, sent=False)
    assert seconds < 0.3 + GRACE


@pytest.mark.parametrize(
    ("connect_timeout", "timeout", "kind"),
    [(0.3, 3, FailureKind.CONNECT), (5, 0.3, FailureKind.TIMEOUT)],
)
def test_a_handshake_that_stalls(
    connect: Connect,
    server: HttpsServer,
    connect_timeout: float,
    timeout: float,
    kind: FailureKind,
) -> None:
    server.stall_handshake = True
    client = connect(server.base_url, connect_timeout=connect_timeout)
    result, seconds = client.timed("post", "/a", timeout)
    failed(result, kind, sent=False)
    assert seconds < 0.3 + GRACE


# It may have been sent: once, and never again


@pytest.mark.parametrize("method", METHODS)
def test_no_answer_in_time(client: Client, server: HttpsServer, method: str) -> None:
    server.actions["/hang"] = Hang()
    result, seconds = client.timed(method, "/hang", 0.3)
    failed(result, FailureKind.TIMEOUT, sent=True)
    assert 0.28 < seconds < 0.3 + GRACE
    assert server.seen("/hang") == 1


@pytest.mark.parametrize(
    "slow",
    [Answer(body=b"x" * 100, drip=0.05), Answer(drip_head=0.05), Answer(delay=1)],
    ids=["body", "head", "delay"],
)
def test_a_slow_answer(client: Client, server: HttpsServer, slow: Answer, engine: Engine) -> None:
    if slow.drip_head and engine.http2:
        pytest.skip("a head of HTTP/2 is one frame")
    server.actions["/slow"] = slow
    result, seconds = client.timed("post", "/slow", 0.3)
    failed(result, FailureKind.TIMEOUT, sent=True)
    assert seconds < 0.3 + GRACE
    assert server.seen("/slow") == 1
    answered(client.post("/a"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("reused", [False, True], ids=["fresh", "reused"])
@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize("stage", list(Stage), ids=lambda stage: stage.name.lower())
def test_a_cut_is_never_repeated(
    client: Client, server: HttpsServer, stage: Stage, reset: bool, reused: bool, method: str
) -> None:
    if reused:
        answered(client.call(method, "/warm"))
    if stage is Stage.REQUEST_UNREAD:
        server.cut_unread = Cut(stage, reset)
    else:
        server.actions["/cut"] = Cut(stage, reset)
    failed(client.call(method, "/cut"), FailureKind.CUT, sent=True)
    assert server.seen("/cut") == (0 if stage is Stage.REQUEST_UNREAD else 1)
    # And the engine goes on.
    server.cut_unread = None
    server.actions.clear()
    assert_recovers(client, server)


def assert_recovers(client: Client, server: HttpsServer) -> None:
    """A connection that died idle may cost one request its certainty, but not two."""
    results = [client.post(f"/after{number}") for number in range(2)]
    answered(results[1])
    assert [server.seen(f"/after{number}") for number in range(2)][1] == 1
    assert server.seen("/after0") <= 1


def test_a_connection_closed_while_idle(client: Client, server: HttpsServer) -> None:
    server.actions["/last"] = Answer(then_close=True)
    for number in range(3):
        answered(client.post(f"/first{number}"))
        answered(client.post("/last"))
        time.sleep(0.15)  # the server closes it 0.05 s after the answer
        answered(client.post(f"/next{number}"))
        assert server.seen(f"/next{number}") == 1


def test_many_connections_closed_while_idle(client: Client, server: HttpsServer) -> None:
    server.actions["/last"] = Answer(delay=0.1, then_close=True)
    for result, _ in client.posts(*[("/last", 5.0)] * 8):
        assert isinstance(result, HttpAnswer | HttpFailure)  # HTTP/2: cut by another's close
    time.sleep(0.2)
    for result, _ in client.posts(*[(f"/next{number}", 5.0) for number in range(8)]):
        answered(result)
    assert [server.seen(f"/next{number}") for number in range(8)] == [1] * 8


def test_an_answer_that_is_too_large(connect: Connect, server: HttpsServer) -> None:
    client = connect(server.base_url, max_answer_octets=20_000)
    server.actions["/large"] = Answer(body=b"x" * 20_001)
    server.actions["/largest"] = Answer(body=b"x" * 20_000)
    failed(client.post("/large"), FailureKind.TOO_LARGE, sent=True)
    assert server.seen("/large") == 1
    assert len(answered(client.post("/largest")).body) == 20_000


def test_an_endless_answer_is_given_up_early(connect: Connect, server: HttpsServer) -> None:
    client = connect(server.base_url, max_answer_octets=1000)
    server.actions["/endless"] = Answer(body=b"x" * 50_000_000)
    result, seconds = client.timed("post", "/endless", 5)
    failed(result, FailureKind.TOO_LARGE, sent=True)
    assert seconds < 2


@pytest.mark.parametrize(
    "octets", [b"\x00\x01\x02garbage\r\n" * 50, b"SSH-2.0-OpenSSH_9.2\r\n", b"ERROR 101\r\n\r\n"]
)
def test_an_answer_that_is_not_http(client: Client, server: HttpsServer, octets: bytes) -> None:
    server.actions["/raw"] = Raw(octets)
    result = failed(client.post("/raw"), FailureKind.PROTOCOL, FailureKind.CUT, sent=True)
    assert server.seen("/raw") == 1
    assert "garbage" not in result.detail


# Many at once


def test_hanging_requests_hold_up_nobody(client: Client, server: HttpsServer) -> None:
    server.actions["/hang"] = Hang()
    calls = [("/hang", 2.0) if number % 60 == 0 else (f"/{number}", 9.0) for number in range(300)]
    results = client.posts(*calls)
    for (path, _), (result, seconds) in zip(calls, results, strict=True):
        if path == "/hang":
            failed(result, FailureKind.TIMEOUT, sent=True)
            assert 1.95 < seconds < 2.0 + GRACE
        else:
            answered(result)
            assert seconds < 1.9, path
        assert server.seen(path) == (5 if path == "/hang" else 1)


def test_a_timeout_frees_its_place(connect: Connect, server: HttpsServer, engine: Engine) -> None:
    client = connect(server.base_url, max_connections=1)
    server.actions["/hang"] = Hang()
    if engine.http2:
        server.max_streams = 1
        answered(client.post("/warm"))  # so that the server's limit is known
    (hung, _), (result, seconds) = client.posts(("/hang", 0.4), ("/next", 5))
    failed(hung, FailureKind.TIMEOUT, sent=True)
    answered(result)
    assert seconds < 0.4 + GRACE
    assert server.connections <= 2


def test_what_waited_too_long_is_never_sent(
    connect: Connect, server: HttpsServer, engine: Engine
) -> None:
    client = connect(server.base_url, max_connections=1)
    server.actions["/hang"] = Hang()
    if engine.http2:
        server.max_streams = 1
        answered(client.post("/warm"))  # so that the server's limit is known
    (hung, _), (waited, seconds) = client.posts(("/hang", 0.8), ("/waits", 0.3))
    failed(waited, FailureKind.TIMEOUT, sent=False)
    assert seconds < 0.3 + GRACE
    failed(hung, FailureKind.TIMEOUT, sent=True)
    answered(client.post("/next"))
    assert server.seen("/waits") == 0


def test_waiting_for_a_place_is_not_connecting(
    connect: Connect, server: HttpsServer, engine: Engine
) -> None:
    client = connect(server.base_url, max_connections=1, connect_timeout=0.3)
    server.actions["/slow"] = Answer(delay=0.7)
    if engine.http2:
        server.max_streams = 1
        answered(client.post("/warm"))
    (slow, _), (waited, _) = client.posts(("/slow", 3), ("/waits", 3))
    answered(slow)
    answered(waited)


# The end


def test_close_ends_what_is_in_flight(client: Client, server: HttpsServer) -> None:
    server.actions["/hang"] = Hang()
    pending = [in_reactor(lambda: [client.start("post", "/hang", BODY, 9)])[0] for _ in range(3)]
    deadline = time.monotonic() + 3
    while server.seen("/hang") < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    start = time.monotonic()
    client.close()
    assert time.monotonic() - start < 1.5
    for deferred in pending:
        failed(in_reactor(lambda each=deferred: each), FailureKind.CLOSED, sent=True)
    failed(client.post("/after"), FailureKind.CLOSED, sent=False)
    client.close()
    assert server.seen("/after") == 0


def test_close_before_anything_was_sent(connect: Connect, full_backlog: int) -> None:
    client = connect(f"https://127.0.0.1:{full_backlog}/v1")
    (pending,) = in_reactor(lambda: [client.start("post", "/a", BODY, 9)])
    time.sleep(0.05)
    client.close()
    failed(in_reactor(lambda: pending), FailureKind.CLOSED, sent=False)


def test_close_leaves_nothing_in_the_reactor(client: Client, server: HttpsServer) -> None:
    answered(client.post("/a", timeout=9))
    client.close()
    reactor = running_reactor()

    def ours() -> list[object]:
        calls = [call for call in reactor.getDelayedCalls() if "omnichannel" in repr(call.func)]
        return calls + [each for each in reactor.getReaders() if "omnichannel" in repr(each)]

    assert in_reactor(ours) == []


# Through a proxy


def test_through_a_proxy(connect: Connect, server: HttpsServer) -> None:
    with ConnectProxy() as proxy:
        client = connect(
            server.base_url, proxy=f"http://us%40er:pass%2Fword@127.0.0.1:{proxy.port}"
        )
        answered(client.post("/a"))
        (head,) = proxy.heads
    assert head.startswith(f"CONNECT localhost:{server.port} HTTP/1.")
    assert "proxy-authorization: basic dxnazxi6cgfzcy93b3jk" in head.lower()  # us@er:pass/word
    assert AUTHORIZATION not in head
    assert "proxy-authorization" not in server.requests[0].headers


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "502 Bad Gateway"])
def test_a_proxy_that_refuses(connect: Connect, server: HttpsServer, status: str) -> None:
    with ConnectProxy(status=status) as proxy:
        url = f"http://user:t0psecret@127.0.0.1:{proxy.port}"
        result = failed(
            connect(server.base_url, proxy=url).post("/a"), FailureKind.PROXY, sent=False
        )
    assert "t0psecret" not in result.detail
    assert server.requests == []


@pytest.mark.parametrize(
    "address", ["user:t0psecret@127.0.0.1:{port}", "user:t0psecret@proxy.invalid:{port}"]
)
def test_a_proxy_that_cannot_be_reached(
    connect: Connect, server: HttpsServer, address: str
) -> None:
    url = "http://" + address.format(port=unused_port())
    result = failed(connect(server.base_url, proxy=url).post("/a"), FailureKind.PROXY, sent=False)
    assert "t0psecret" not in result.detail
    assert server.connections == 0


def test_a_bad_certificate_behind_a_proxy(connect: Connect, server: HttpsServer) -> None:
    with ConnectProxy() as proxy:
        client = connect(server.base_url, proxy=f"http://127.0.0.1:{proxy.port}", ca_file="")
        failed(client.post("/a"), FailureKind.TLS, sent=False)
    assert server.requests == []
