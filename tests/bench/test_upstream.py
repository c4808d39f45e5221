"""The upstream stub answers every request once, to clients that are not ours."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import h2.config
import h2.connection
import h2.events
import h2.settings
import pycurl
import pytest
import requests

from bench import answers
from bench.answers import Http1, Http2, ProtocolError


class Running:
    """The stub as a process, spoken to as the bench does."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.upstream", "--folder", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        ready = self._line()
        self.url = f"https://127.0.0.1:{ready['port']}/v1/omnimessage"
        self.ca_file: str = ready["ca_file"]

    def _line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line: dict[str, Any] = json.loads(self.process.stdout.readline())
        return line

    def ask(self, command: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self._line()

    def answered(self) -> int:
        return int(self.ask("count")["answered"])


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("upstream"))
    with running.process as process:
        yield running
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(5) == 0, "the end of its input ends the stub"


def check(status: int, body: bytes) -> str:
    assert status == 201
    answer = json.loads(body)
    assert answer.keys() == {"messages", "omnimessage_id", "to"}
    (message,) = answer["messages"]
    assert message.keys() == {"channel", "message_id", "sender"}
    assert UUID(message["message_id"]) != UUID(answer["omnimessage_id"])
    return str(UUID(answer["omnimessage_id"]))


def test_requests_over_http_1_1(upstream: Running) -> None:
    before = upstream.answered()
    with requests.Session() as session:
        ids = set()
        for _ in range(20):
            answer = session.post(upstream.url, json={"to": "+1"}, verify=upstream.ca_file)
            ids.add(check(answer.status_code, answer.content))
    assert len(ids) == 20
    assert upstream.answered() == before + 20


@pytest.mark.parametrize(
    ("asked", "spoken"),
    [
        (pycurl.CURL_HTTP_VERSION_2TLS, pycurl.CURL_HTTP_VERSION_2_0),
        (pycurl.CURL_HTTP_VERSION_1_1, pycurl.CURL_HTTP_VERSION_1_1),
    ],
)
def test_libcurl(upstream: Running, asked: int, spoken: int) -> None:
    before, count = upstream.answered(), 300
    multi = pycurl.CurlMulti()
    handles, bodies, body = [], [], b"x" * 20_000  # over one TLS record and one frame
    for _ in range(count):
        easy, answer = pycurl.Curl(), BytesIO()
        easy.setopt(pycurl.URL, upstream.url)
        easy.setopt(pycurl.CAINFO, upstream.ca_file)
        easy.setopt(pycurl.HTTP_VERSION, asked)
        easy.setopt(pycurl.PIPEWAIT, 1)
        easy.setopt(pycurl.POST, 1)
        easy.setopt(pycurl.POSTFIELDSIZE, len(body))
        easy.setopt(pycurl.READFUNCTION, BytesIO(body).read)
        easy.setopt(pycurl.WRITEFUNCTION, answer.write)
        easy.setopt(pycurl.HTTPHEADER, ["Expect:"])
        easy.setopt(pycurl.TIMEOUT, 10)
        multi.add_handle(easy)
        handles.append(easy)
        bodies.append(answer)
    active = count
    while active:
        multi.select(0.2)
        active = multi.perform()[1]
    ids = {
        check(easy.getinfo(pycurl.RESPONSE_CODE), answer.getvalue())
        for easy, answer in zip(handles, bodies, strict=True)
    }
    assert {easy.getinfo(pycurl.INFO_HTTP_VERSION) for easy in handles} == {spoken}
    assert len(ids) == count
    assert upstream.answered() == before + count
    for easy in handles:
        multi.remove_handle(easy)
        easy.close()
    multi.close()


def test_a_client_that_reads_late_gets_everything(upstream: Running) -> None:
    before, count = upstream.answered(), 60_000  # more octets than the sockets' buffers hold
    context = ssl.create_default_context(cafile=upstream.ca_file)
    address = urlsplit(upstream.url)
    with (
        socket.create_connection((address.hostname, address.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as client,
    ):
        client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}" * count)
        while upstream.answered() < before + count:  # all read and, as far as it goes, written
            time.sleep(0.01)
        stream = client.makefile("rb")
        ids = set()
        for _ in range(count):
            while line := stream.readline().strip():
                if line.startswith(b"Content-Length"):
                    length = int(line.split()[1])
            ids.add(stream.read(length))
    assert len(ids) == count
    assert upstream.answered() == before + count


def test_latency_holds_answers(upstream: Running) -> None:
    assert upstream.ask("latency 100") == {"latency": 0.1}
    answer = requests.post(upstream.url, data=b"{}", verify=upstream.ca_file, timeout=5)
    assert upstream.ask("latency 0") == {"latency": 0.0}
    check(answer.status_code, answer.content)
    assert answer.elapsed.total_seconds() >= 0.1


def test_an_unknown_command_is_told(upstream: Running) -> None:
    assert "error" in upstream.ask("stop")


class H2Client:
    """The h2 library as the other side; it checks every frame and header it gets."""

    def __init__(self, *, octets: int | None = None) -> None:
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(True))
        self.server = Http2()
        self.octets = octets
        self.events: list[h2.events.Event] = []
        self.connection.initiate_connection()

    def flush(self) -> list[int]:
        """Bring everything to the server, back its control frames; give ready streams."""
        ready = []
        while data := self.connection.data_to_send():
            step = self.octets or len(data)
            for start in range(0, len(data), step):
                control, streams = self.server.feed(data[start : start + step])
                ready += streams
                self.receive(control)
        return ready

    def receive(self, data: bytes) -> None:
        self.events += self.connection.receive_data(data)

    def post(self, stream: int) -> None:
        headers = [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", "localhost"),
            (":path", "/"),
        ]
        self.connection.send_headers(stream, headers)
        self.connection.send_data(stream, b"{}", end_stream=True)

    def bodies(self) -> list[bytes]:
        return [bytes(e.data) for e in self.events if isinstance(e, h2.events.DataReceived)]


@pytest.mark.parametrize("octets", [None, 1, 7])
def test_http2_frames_however_they_arrive(octets: int | None) -> None:
    client = H2Client(octets=octets)
    for stream in (1, 3, 5):
        client.post(stream)
    client.connection.ping(b"12345678")
    ready = client.flush()
    assert ready == [1, 3, 5]
    client.receive(client.server.answer(ready))
    for body in client.bodies():
        check(201, body)
    assert len(client.bodies()) == 3
    kinds = [type(event) for event in client.events]
    assert kinds.count(h2.events.StreamEnded) == 3
    assert h2.events.PingAckReceived in kinds
    assert h2.events.SettingsAcknowledged in kinds
    responses = [e for e in client.events if isinstance(e, h2.events.ResponseReceived)]
    assert responses[0].headers == [(b":status", b"201"), (b"content-type", b"application/json")]
    assert client.connection.remote_settings.max_concurrent_streams == answers.CONCURRENT_STREAMS


def test_http2_answers_wait_for_the_clients_window() -> None:
    client = H2Client()
    count = answers.DEFAULT_WINDOW // answers.BODY_LENGTH + 20
    ready = []
    for number in range(count):
        client.post(2 * number + 1)
        ready += client.flush()
    client.receive(client.server.answer(ready))
    assert len(client.bodies()) == count - 20
    client.connection.increment_flow_control_window(20 * answers.BODY_LENGTH)
    client.flush()
    assert len(client.bodies()) == count


def test_http2_refills_the_window_of_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "TOP_UP", 2)
    client = H2Client()
    client.flush()
    before = client.connection.outbound_flow_control_window
    client.post(1)
    client.flush()
    assert client.connection.outbound_flow_control_window == before


def test_no_preface_is_an_error() -> None:
    with pytest.raises(ProtocolError):
        Http2().feed(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")


@pytest.mark.parametrize("octets", [1, 5, 1000])
def test_http1_requests_however_they_arrive(octets: int) -> None:
    request = b"POST / HTTP/1.1\r\nHost: x\r\ncontent-length: 6\r\n\r\n\r\n\r\n{}"
    data, side, complete = request * 3 + b"GET / HTTP/1.1\r\n\r\n", Http1(), 0
    for start in range(0, len(data), octets):
        control, tokens = side.feed(data[start : start + octets])
        assert control == b""
        complete += len(tokens)
    assert complete == 4
    assert side.feed(request[:-1]) == (b"", []), "not before its last octet"
    assert side.feed(request[-1:]) == (b"", [0])
    head, _, body = side.answer([0]).partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(body) in head
    check(201, body)
