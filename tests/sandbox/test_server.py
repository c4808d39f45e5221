"""The sandbox over a real socket, asked by an independent client."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from uuid import UUID

import pytest
import requests
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from gateway.sandbox.server import Sandbox

USER = ("api-user", "pässword")


@implementer(ILogObserver)
class Events(list[LogEvent]):
    """What Twisted logged meanwhile."""

    def __call__(self, event: LogEvent) -> None:
        self.append(event)


class Trial:
    """A running sandbox and a client with one kept connection."""

    def __init__(self, sandbox: Sandbox, port: int) -> None:
        self.sandbox = sandbox
        self.port = port
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = requests.auth._basic_auth_str(
            USER[0].encode(), USER[1].encode()
        )

    def __call__(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        url = f"http://127.0.0.1:{self.port}{path}"
        return self.session.request(method, url, timeout=kwargs.pop("timeout", 10), **kwargs)

    def send(
        self, to: str = "+37255500001", *, timeout: float = 10, **fields: Any
    ) -> requests.Response:
        return self("POST", "/v1/omnimessage", json=message(to, **fields), timeout=timeout)

    def counted(self, name: str) -> None:
        """Wait until something was counted that no answer tells of."""
        deadline = time.monotonic() + 5
        while not self.sandbox.counts[name]:
            assert time.monotonic() < deadline, self.sandbox.counts
            time.sleep(0.005)


def message(to: str = "+37255500001", **fields: Any) -> dict[str, Any]:
    return {"to": to, "messages": [{"channel": "sms", "text": "Hi"}], **fields}


@pytest.fixture
def start(running_reactor: Any, in_reactor: Callable[..., Any]) -> Iterator[Callable[..., Trial]]:
    """Start sandboxes; afterwards stop them and fail on anything Twisted logged as an error."""
    events = Events()
    globalLogPublisher.addObserver(events)
    with ExitStack() as stack:

        def started(**settings: Any) -> Trial:
            settings = {"rate_limit": 0, **settings}
            sandbox = Sandbox(running_reactor, username=USER[0], password=USER[1], **settings)
            port = in_reactor(running_reactor.listenTCP, 0, sandbox.site(), interface="127.0.0.1")
            trial = Trial(sandbox, port.getHost().port)
            stack.callback(in_reactor, port.stopListening)
            stack.callback(in_reactor, sandbox.close)
            stack.callback(trial.session.close)
            return trial

        yield started
    globalLogPublisher.removeObserver(events)
    assert not [event for event in events if "log_failure" in event or event.get("isError")]


@pytest.fixture
def trial(start: Callable[..., Trial]) -> Trial:
    return start()


def errors_of(answer: requests.Response) -> list[tuple[str, str, str | None]]:
    assert answer.headers["Content-Type"] == "application/json"
    errors = answer.json()["errors"]
    assert all(set(error) == {"code", "title", "detail", "source"} for error in errors)
    return [(error["code"], error["title"], error["source"]) for error in errors]


def test_accepted(trial: Trial) -> None:
    answer = trial.send(messages=[
        {"channel": "viber", "text": "Hi", "sender": "Shop"},
        {"channel": "sms", "text": "Hi"},
    ])  # fmt: skip
    assert answer.status_code == 201
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json()
    assert set(body) == {"messages", "omnimessage_id", "to"}
    assert body["to"] == "+37255500001"
    assert [(part["channel"], part["sender"]) for part in body["messages"]] == [
        ("viber", "Shop"),
        ("sms", "Sandbox"),
    ]
    ids = [body["omnimessage_id"], *(part["message_id"] for part in body["messages"])]
    assert [str(UUID(each)) for each in ids] == ids
    assert trial.send().json()["omnimessage_id"] != body["omnimessage_id"]
    assert trial.sandbox.counts == {"requests": 2, "accepted": 2, "201": 2}
    assert [kept.to for kept in trial.sandbox.accepted] == ["+37255500001"] * 2


def test_bulk(trial: Trial) -> None:
    items = [message(), {}, message("+37255500002")]
    answer = trial("POST", "/v1/omnimessages", json={"messages": items})
    assert answer.status_code == 201
    assert [item.get("to") for item in answer.json()["messages"]] == [
        "+37255500001",
        None,
        "+37255500002",
    ]
    too_many = trial("POST", "/v1/omnimessages", json={"messages": [message()] * 1001})
    assert too_many.status_code == 400
    assert errors_of(too_many) == [("105", "Invalid data", "payload[messages]")]


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Basic", "Basic !", "Bearer YXBpOnVzZXI=", "Basic YXBpLXVzZXI6d3Jvbmc="],
)
@pytest.mark.parametrize("path", ["/v1/omnimessage", "/v1/nothing", "/sandbox/messages"])
def test_unauthorized(trial: Trial, path: str, authorization: str | None) -> None:
    answer = trial("POST", path, json=message(), headers={"Authorization": authorization})
    assert answer.status_code == 401
    assert errors_of(answer) == [("103", "Unauthorized", None)]
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert not trial.sandbox.accepted


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/omnimessage", "POST"),
        ("PUT", "/v1/omnimessages", "POST"),
        ("OPTIONS", "/v1/omnimessages", "POST"),
        ("BREW", "/v1/omnimessages", "POST"),
        ("GET", "/v1/omnimessage/52d3a7a5-3d0f-4b6b-a2a4-5c8ac0d0f7ac", "DELETE"),
        ("POST", "/v1/omnimessage/52d3a7a5-3d0f-4b6b-a2a4-5c8ac0d0f7ac/status", "GET"),
        ("POST", "/sandbox/counts", "GET"),
    ],
)
def test_wrong_method(trial: Trial, method: str, path: str, allowed: str) -> None:
    answer = trial(method, path, json=message())
    assert answer.status_code == 405
    assert errors_of(answer) == [("107", "Method not allowed", None)]
    assert answer.headers["Allow"] == allowed


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("POST", "/v1"),
        ("POST", "/v1/"),
        ("POST", "/v1/omnimessage/"),
        ("POST", "/v2/omnimessage"),
        ("POST", "/v1/sms"),
        ("POST", "/v1omnimessage"),
        ("GET", "/v1/omnimessage/52d3a7a5-3d0f-4b6b-a2a4-5c8ac0d0f7ac/status"),
        ("DELETE", "/v1/omnimessage/52d3a7a5-3d0f-4b6b-a2a4-5c8ac0d0f7ac"),
        ("GET", "/v1/omnimessage/%ff/status"),
        ("GET", "/sandbox/nothing"),
    ],
)
def test_not_found(trial: Trial, method: str, path: str) -> None:
    answer = trial(method, path)
    assert answer.status_code == 404
    assert errors_of(answer) == [("101", "Not found", None)]


def test_status_and_cancel(trial: Trial) -> None:
    scheduled = trial.send(time_to_send="2099-01-01T00:00").json()
    path = f"/v1/omnimessage/{scheduled['omnimessage_id']}"
    statuses = trial("GET", f"{path.upper().replace('/V1/OMNIMESSAGE', '/v1/omnimessage')}/status")
    assert statuses.status_code == 200
    assert statuses.json()["statuses"][0]["message_id"] == scheduled["messages"][0]["message_id"]
    cancelled = trial("DELETE", path)
    assert (cancelled.status_code, cancelled.text) == (202, "{}")
    assert trial("DELETE", path).status_code == 404
    sent = trial.send().json()
    assert trial("DELETE", f"/v1/omnimessage/{sent['omnimessage_id']}").status_code == 404


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", None]
)
def test_the_content_type_is_ignored(trial: Trial, content_type: str | None) -> None:
    body = b'{"to": "+37255500001", "messages": [{"channel": "sms", "text": "1=2&x=%"}]}'
    headers = {"Content-Type": content_type}
    assert trial("POST", "/v1/omnimessage", data=body, headers=headers).status_code == 201


@pytest.mark.parametrize(
    ("suffix", "status", "error"),
    [
        ("0400", 400, ("105", "Invalid data", "payload[sms][sender]")),
        ("1400", 400, ("105", "Invalid data", "payload[to]")),
        ("2400", 400, ("105", "Invalid data", "payload[sms][text]")),
        ("3400", 400, ("105", "Invalid data", "payload[time_to_send]")),
        ("4400", 400, ("105", "Invalid data", "payload[sms][ttl]")),
        ("5400", 400, ("106", "Missing data", "payload[messages]")),
        ("0401", 401, ("103", "Unauthorized", None)),
        ("0403", 403, ("102", "Forbidden", None)),
        ("0404", 404, ("101", "Not found", None)),
        ("0500", 500, ("104", "Internal Server Error", None)),
    ],
)
def test_scripted_refusals(
    trial: Trial, suffix: str, status: int, error: tuple[str, str, str | None]
) -> None:
    answer = trial.send(f"+3725550{suffix}")
    assert answer.status_code == status
    assert errors_of(answer) == [error]
    assert not trial.sandbox.accepted


def test_scripted_answers_that_are_not_the_api_s(trial: Trial) -> None:
    throttled = trial.send("+37255500429")
    assert (throttled.status_code, throttled.headers["Content-Type"][:10]) == (429, "text/plain")
    assert "Retry-After" not in throttled.headers
    gateway = trial.send("+37255500502")
    assert (gateway.status_code, gateway.headers["Content-Type"][:9]) == (502, "text/html")
    assert not trial.sandbox.accepted
    garbage = trial.send("+37255500201")
    assert garbage.status_code == 201
    with pytest.raises(requests.JSONDecodeError):
        garbage.json()
    plain = trial.send("+37255500200")
    assert (plain.status_code, plain.json()["to"]) == (200, "+37255500200")
    assert len(trial.sandbox.accepted) == 2


def test_cut_before_the_answer(trial: Trial) -> None:
    assert trial.send().status_code == 201  # the cut hits a connection already in use
    with pytest.raises(requests.ConnectionError):
        trial.send("+37255509001")
    assert trial.sandbox.counts["cut"] == 1
    assert [kept.to for kept in trial.sandbox.accepted] == ["+37255500001", "+37255509001"]


def test_cut_within_the_body(trial: Trial) -> None:
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        trial.send("+37255509002")
    assert trial.sandbox.counts["cut"] == 1
    assert len(trial.sandbox.accepted) == 1


def test_hang_and_the_client_leaves(trial: Trial) -> None:
    with pytest.raises(requests.ReadTimeout):
        trial.send("+37255509000", timeout=0.2)
    trial.counted("gone")
    assert trial.sandbox.counts["hang"] == 1
    assert not trial.sandbox._held
    assert trial.send().status_code == 201


def test_close_ends_a_hanging_connection(trial: Trial, in_reactor: Callable[..., Any]) -> None:
    body = b'{"to": "+37255509000", "messages": [{"channel": "sms", "text": "Hi"}]}'
    authorization = str(trial.session.headers["Authorization"]).encode()
    with socket.create_connection(("127.0.0.1", trial.port), timeout=5) as client:
        client.sendall(
            b"POST /v1/omnimessage HTTP/1.1\r\nHost: sandbox\r\nAuthorization: %b\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (authorization, len(body), body)
        )
        trial.counted("hang")
        in_reactor(trial.sandbox.close)
        assert client.recv(1) == b""


def test_latency_precedes_every_answer_and_a_client_may_leave_meanwhile(
    start: Callable[..., Trial],
) -> None:
    trial = start(latency=0.15)
    before = time.monotonic()
    assert trial.send().status_code == 201
    assert trial("GET", "/nowhere").status_code == 404
    assert time.monotonic() - before >= 0.3
    with pytest.raises(requests.ReadTimeout):
        trial.send(timeout=0.05)
    trial.counted("gone")
    assert not trial.sandbox._held
    assert trial.send().status_code == 201
    assert trial.sandbox.counts["201"] == 2, "an answer was sent to a client that had left"


def test_a_cut_after_a_delay_is_no_client_gone(start: Callable[..., Trial]) -> None:
    trial = start(latency=0.02)
    with pytest.raises(requests.ConnectionError):
        trial.send("+37255509001")
    assert trial.sandbox.counts == {"requests": 1, "accepted": 1, "cut": 1}


def test_slow_is_three_seconds(start: Callable[..., Trial]) -> None:
    trial = start()
    with pytest.raises(requests.ReadTimeout):
        trial.send("+37255509003", timeout=0.3)
    before = time.monotonic()
    assert trial.send("+37255509003").status_code == 201
    assert 2.9 < time.monotonic() - before < 5


def test_rate_limit(start: Callable[..., Trial]) -> None:
    trial = start(rate_limit=2, retry_after=True)
    answers = [trial("GET", "/v1/nothing") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [404, 404, 429, 429]
    assert answers[-1].headers["Retry-After"] == "1"
    assert not answers[-1].headers["Content-Type"].startswith("application/json")
    assert trial("GET", "/sandbox/counts").json() == {"requests": 4, "404": 2, "429": 2}
    other = requests.get(f"http://127.0.0.1:{trial.port}/v1/nothing", timeout=10)
    assert other.status_code == 429, "the limit is the address's, not the connection's"


def test_what_trial_users_may_ask(trial: Trial) -> None:
    for number in range(3):
        trial.send(f"+3725550000{number}", reference=number)
    shown = trial("GET", "/sandbox/messages?limit=2").json()["messages"]
    assert [each["to"] for each in shown] == ["+37255500002", "+37255500001"]
    assert shown[0]["request"] == message("+37255500002", reference=2)
    assert set(shown[0]) == {"omnimessage_id", "to", "received", "request", "status"}
    assert len(trial("GET", "/sandbox/messages").json()["messages"]) == 3
    for wrong in ("x", "-1", "1" * 5000):
        assert trial("GET", f"/sandbox/messages?limit={wrong}").status_code == 400
    assert trial("GET", "/sandbox/counts").json() == {"requests": 3, "accepted": 3, "201": 3}


def test_the_connection_is_kept(trial: Trial) -> None:
    with socket.create_connection(("127.0.0.1", trial.port), timeout=5) as client:
        for _ in range(3):
            client.sendall(b"GET /v1/nothing HTTP/1.1\r\nHost: sandbox\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 401 ")


def test_a_request_target_without_a_slash(trial: Trial) -> None:
    with socket.create_connection(("127.0.0.1", trial.port), timeout=5) as client:
        client.sendall(b"GET nothing HTTP/1.1\r\nHost: sandbox\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 404 ")


def test_nothing_is_logged_of_a_request(trial: Trial) -> None:
    events = Events()
    globalLogPublisher.addObserver(events)
    try:
        trial.send()
    finally:
        globalLogPublisher.removeObserver(events)
    assert events == []
