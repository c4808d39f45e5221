"""The sandbox's callbacks as whoever gave the dlr_url gets them."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from twisted.logger import formatEvent, globalLogPublisher

from tests.omnichannel.https_server import Answer, Hang, Request
from tests.sandbox.receiver import Receiver
from tests.sandbox.test_server import USER, Events, Trial, message, start

__all__ = ["start"]  # a fixture


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(None) as running:
        yield running


def told(request: Request) -> Any:
    """The body of a callback whose signature is right."""
    right = hmac.new(USER[1].encode(), request.body, hashlib.sha256).hexdigest()
    assert request.headers["x-messente-signature"] == right
    return json.loads(request.body)


def test_the_whole_story(start: Callable[..., Trial], receiver: Receiver) -> None:
    trial = start(delivery_delay=0.1)
    accepted = trial.send("+37255507200", dlr_url=receiver.url).json()
    path = f"/v1/omnimessage/{accepted['omnimessage_id']}/status"
    bodies = [told(request) for request in receiver.got(3)]
    assert [body["status"] for body in bodies] == ["ACK", "ACCEPTD", "DELIVRD"]
    [status] = trial("GET", path).json()["statuses"]
    assert bodies[-1] == {
        **status,
        "to": "+37255507200",
        "omnimessage_id": accepted["omnimessage_id"],
    }
    assert bodies[-1]["message_id"] == accepted["messages"][0]["message_id"]
    [shown] = trial("GET", "/sandbox/messages").json()["messages"]
    assert shown["status"] == "DELIVRD"


def test_every_item_of_a_bulk_request(start: Callable[..., Trial], receiver: Receiver) -> None:
    trial = start(delivery_delay=0.0)
    items = [message(f"+3725550710{n}", dlr_url=f"{receiver.url}/{n}") for n in range(1, 5)]
    trial("POST", "/v1/omnimessages", json={"messages": items})
    found = {request.path[-1]: told(request)["err"] for request in receiver.got(4)}
    assert found == {"1": 1, "2": 2, "3": 3, "4": 4}


def test_before_the_answer(start: Callable[..., Trial], receiver: Receiver) -> None:
    receiver.script = iter([Answer(500, delay=0.05), Answer(200)])
    trial = start(latency=0.01, retry_pause=0.001)
    answer = trial.send("+37255507303", dlr_url=receiver.url)
    assert answer.status_code == 201
    first = receiver.requests[0]
    assert told(first)["omnimessage_id"] == answer.json()["omnimessage_id"]
    receiver.got(2)  # one attempt is all that the answer waits for
    assert trial.sandbox.counts["dlr_retried"] == 1


def test_a_client_that_leaves_meanwhile(start: Callable[..., Trial], receiver: Receiver) -> None:
    receiver.script = iter([Hang()])
    trial = start(callback_timeout=0.1, retry_pause=0.001)
    with pytest.raises(requests.ReadTimeout):
        trial.send("+37255507303", dlr_url=receiver.url, timeout=0.05)
    trial.counted("gone")
    trial.counted("dlr_retried")
    assert trial.sandbox.counts["201"] == 0
    assert not trial.sandbox._held


def test_refused_addresses_are_told_once(start: Callable[..., Trial]) -> None:
    trial = start(delivery_delay=0.0)
    url = "https://gateway.example.com/dlr/secret"
    events = Events()
    globalLogPublisher.addObserver(events)
    try:
        assert [trial.send(dlr_url=url).status_code for _ in range(3)] == [201] * 3
    finally:
        globalLogPublisher.removeObserver(events)
    assert trial.sandbox.counts == {"requests": 3, "accepted": 3, "201": 3, "dlr_refused": 3}
    [line] = map(formatEvent, events)
    assert "--callbacks-anywhere" in line
    assert "secret" not in line
    assert "example" not in line


def test_close_stops_everything(
    start: Callable[..., Trial], receiver: Receiver, in_reactor: Callable[..., Any]
) -> None:
    receiver.script = iter([Hang()])
    trial = start(delivery_delay=0.0)
    trial.send(dlr_url=receiver.url)
    trial.send("+37255507300", dlr_url=receiver.url)
    receiver.got(1)
    in_reactor(trial.sandbox.close)
    assert not trial.sandbox._callbacks._due
    assert trial.sandbox._client.outstanding == 0
    assert "dlr_retried" not in trial.sandbox.counts
