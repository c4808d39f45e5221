"""An API that answers garbage or is not there: the message fails, the session lives."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator

import pytest

from tests.e2e import raw_esme as wire
from tests.e2e.daemon import ACCOUNT, Daemon, free_port, until
from tests.e2e.raw_esme import RawEsme
from tests.omnichannel.https_server import Action, Answer, Cut, HttpsServer, Raw, Stage

PATH = "/omnimessage"
GOOD = Answer(201, b'{"omnimessage_id": "6a4b4b6c-6f5a-4d3e-9c2b-1f0e8d7c6b5a"}')
HTML = (("content-type", "text/html"),)

# Each with the verdict that the log and the metric must give.
GARBAGE: dict[str, tuple[Action, str]] = {
    "no JSON": (Answer(201, b"\x00\xff garbage"), "unknown"),
    "no body": (Answer(201, b""), "unknown"),
    "204": (Answer(204, b""), "unknown"),
    "another shape": (Answer(201, b"[1, 2, 3]"), "unknown"),
    "no id": (Answer(201, b"{}"), "unknown"),
    "an id that is a number": (Answer(201, b'{"omnimessage_id": 5}'), "unknown"),
    "an id that is null": (Answer(201, b'{"omnimessage_id": null}'), "unknown"),
    "an id too long for SMPP": (
        Answer(201, json.dumps({"omnimessage_id": "x" * 65}).encode()),
        "unknown",
    ),
    "an id with a NUL": (Answer(201, b'{"omnimessage_id": "a\\u0000b"}'), "unknown"),
    "an id outside ASCII": (Answer(201, '{"omnimessage_id": "õ"}'.encode()), "unknown"),
    "JSON a thousand brackets deep": (Answer(201, b"[" * 100_000), "unknown"),
    "a page of a proxy": (Answer(200, b"<html>Welcome</html>", HTML), "unknown"),
    "an error page": (Answer(503, b"<html>Busy</html>", HTML), "server_error"),
    "a redirect": (Answer(302, b"", (("location", "http://192.0.2.1/"),)), "misconfigured"),
    "errors of another shape": (Answer(500, b'{"errors": {"0": null}}'), "server_error"),
    "errors with numbers": (Answer(500, b'{"errors": [5, null, {"code": 104}]}'), "server_error"),
    "an unheard-of status": (Answer(599, b""), "server_error"),
    "not HTTP": (Raw(b"SSH-2.0-nothing\r\n\r\n"), "unknown"),
    "an endless header": (Raw(b"HTTP/1.1 201 Created\r\nX: " + b"x" * 1_000_000), "unknown"),
    "a huge body": (Answer(201, b" " * 30_000_000 + b"{}"), "unknown"),
    "cut before the answer": (Cut(Stage.REQUEST_READ), "unknown"),
    "reset inside the answer": (Cut(Stage.ANSWER_BODY, reset=True), "unknown"),
}


@pytest.fixture(scope="module")
def api() -> Iterator[HttpsServer]:
    with HttpsServer(None) as server:
        yield server


@pytest.fixture(scope="module", params=["libcurl", "requests"])
def daemon(request: pytest.FixtureRequest, api: HttpsServer) -> Iterator[Daemon]:
    omnichannel = f'engine = "{request.param}"'
    accounts = ACCOUNT + "response_deadline = 4"
    with Daemon(base_url=api.base_url, omnichannel=omnichannel, accounts=accounts) as running:
        yield running
        assert running.stop() == 0
        running.assert_healthy_log()


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_temporary_and_never_asked_for_twice(
    daemon: Daemon, api: HttpsServer, name: str
) -> None:
    action, verdict = GARBAGE[name]
    asked = api.seen(PATH)
    told = len(daemon.events("message_refused"))
    with RawEsme(daemon.port) as client:
        client.bind()
        api.actions[PATH] = action
        answer = client.ask(wire.submit(7))
        assert (answer.status, answer.body, answer.sequence) == (wire.RSYSERR, b"", 7)
        assert client.alive()
        api.actions[PATH] = GOOD
        assert client.ask(wire.submit(8)).status == wire.ROK
    assert api.seen(PATH) == asked + 2
    until(lambda: len(daemon.events("message_refused")) > told, "the line of the refusal")
    assert daemon.events("message_refused")[-1]["outcome"] == verdict


def test_an_api_that_is_not_there_yet() -> None:
    """Not sent for certain, so tried again within the deadline; readiness is not its business."""
    posted = []

    class Api(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            posted.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(201)
            self.send_header("Content-Length", str(len(GOOD.body)))
            self.end_headers()
            self.wfile.write(GOOD.body)

        def log_message(self, *_: object) -> None:
            pass

    port = free_port()
    with Daemon(base_url=f"http://127.0.0.1:{port}/v1", accounts=ACCOUNT) as daemon:
        with RawEsme(daemon.port) as client:
            client.bind()
            started = time.monotonic()
            client.send(wire.submit(7))
            time.sleep(0.3)
            assert daemon.admin("/readyz")[0] == 200
            assert daemon.metric('smppgw_api_requests_total{outcome="unreachable"}') >= 1
            assert client.alive()
            with http.server.ThreadingHTTPServer(("127.0.0.1", port), Api) as server:
                server.daemon_threads = True
                thread = threading.Thread(target=server.serve_forever, args=(0.05,))
                thread.start()
                answer = client.expect()
                assert (answer.sequence, answer.status) == (7, wire.ROK)
                assert time.monotonic() - started < 5
                server.shutdown()
                thread.join()
        assert len(posted) == 1
        assert daemon.stop() == 0
        daemon.assert_healthy_log()


def test_an_api_that_never_comes() -> None:
    accounts = ACCOUNT + "response_deadline = 0.8"
    base_url = f"http://127.0.0.1:{free_port()}/v1"
    with Daemon(base_url=base_url, accounts=accounts) as daemon, RawEsme(daemon.port) as client:
        client.bind()
        started = time.monotonic()
        answer = client.ask(wire.submit(7))
        assert (answer.status, answer.body) == (wire.RSYSERR, b"")
        assert time.monotonic() - started < 1
        assert daemon.event("message_refused")["outcome"] == "unreachable"
        assert daemon.admin("/readyz")[0] == 200
