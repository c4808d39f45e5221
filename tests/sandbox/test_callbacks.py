"""When callbacks leave, to whom, and how they are signed; the posting itself is recorded."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from twisted.internet.task import Clock

from gateway.sandbox import callbacks as tested
from gateway.sandbox.callback_client import Callback
from gateway.sandbox.callbacks import Callbacks
from gateway.sandbox.lifecycle import Timeline
from gateway.sandbox.scripts import course_for
from gateway.sandbox.state import MessagePart, MessageState

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
URL = "http://127.0.0.1:8090/dlr/token"
PASSWORD = "pässword"


class Posted:
    """A client that writes down what it is to post, and when."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.outstanding = 0
        self.callbacks: list[tuple[float, Callback]] = []

    def post(self, callback: Callback) -> None:
        self.callbacks.append((self._clock.seconds(), callback))

    @property
    def told(self) -> list[tuple[float, str]]:
        return [(when, json.loads(each.body)["status"]) for when, each in self.callbacks]


class Trial:
    """Callbacks on a clock of their own; `counts` as the sandbox shows them."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.client = Posted(self.clock)
        self.counts: Counter[str] = Counter()
        self.callbacks = Callbacks(
            self.clock, self.client, self.counts, password=PASSWORD, **settings
        )
        self._made = 0

    def follow(
        self, suffix: str = "7100", url: str | None = URL, begins: float = 0.0
    ) -> MessageState:
        state = self.state(suffix, url, begins)
        assert self.callbacks.follow(state, NOW) is None
        return state

    def state(
        self, suffix: str, url: str | None = URL, begins: float = 0.0, delay: float = 2.0
    ) -> MessageState:
        self._made += 1
        to = f"+3725550{suffix}"
        timeline = Timeline(course_for(to), NOW + timedelta(seconds=begins), delay)
        parts = (MessagePart("part", "sms", "Me"),)
        return MessageState(f"id-{self._made}", to, parts, NOW, timeline, url)

    def told(self, until: float) -> list[tuple[float, str]]:
        self.clock.advance(0)
        while self.clock.seconds() < until:
            self.clock.advance(0.25)
        return self.client.told


@pytest.mark.parametrize(
    ("suffix", "told"),
    [
        ("0001", [(2, "DELIVRD")]),
        ("7100", [(2, "DELIVRD")]),
        ("7104", [(2, "REJECTD")]),
        ("7110", [(2, "DELIVRD"), (4, "SEEN")]),
        ("7200", [(0.5, "ACK"), (1, "ACCEPTD"), (2, "DELIVRD")]),
        ("7202", [(2, "UNKNOWN"), (4, "DELIVRD")]),
        ("7204", [(2, "FROBBED")]),
        ("7300", [(10, "DELIVRD")]),
        ("7301", [(2, "DELIVRD")] * 3),
        ("7302", [(2, "DELIVRD"), (3, "ACCEPTD")]),
        ("7304", []),
        ("7305", []),
    ],
)
def test_when_it_is_told(suffix: str, told: list[tuple[float, str]]) -> None:
    trial = Trial()
    trial.follow(suffix)
    assert trial.told(100) == told
    assert not trial.clock.getDelayedCalls()


def test_a_scheduled_message_is_told_of_later() -> None:
    trial = Trial()
    trial.follow("7200", begins=60)
    assert trial.told(200) == [(60.5, "ACK"), (61, "ACCEPTD"), (62, "DELIVRD")]


def test_what_is_posted() -> None:
    trial = Trial()
    trial.follow()
    trial.told(2)
    [(_, callback)] = trial.client.callbacks
    assert callback.url == URL.encode()
    right = hmac.new(PASSWORD.encode(), callback.body, hashlib.sha256).hexdigest()
    assert callback.signature == right.encode()
    assert json.loads(callback.body)["omnimessage_id"] == "id-1"


def test_a_wrong_signature() -> None:
    trial = Trial()
    trial.follow("7306")
    trial.told(2)
    [(_, callback)] = trial.client.callbacks
    right = hmac.new(PASSWORD.encode(), callback.body, hashlib.sha256).hexdigest()
    assert len(callback.signature) == 64
    assert callback.signature != right.encode()
    assert set(callback.signature) <= set(b"0123456789abcdef")


def test_the_answer_waits_for_the_first_callback() -> None:
    trial = Trial()
    first = trial.callbacks.follow(trial.state("7303"), NOW)
    assert first is not None
    assert trial.client.told == [(0, "DELIVRD")]
    assert not first.called
    trial.client.callbacks[0][1].first.callback(None)
    assert first.called
    # A message that is sent later has nothing to tell yet.
    trial.follow("7303", begins=5)
    assert trial.told(10) == [(0, "DELIVRD"), (5, "DELIVRD")]


def test_cancelled() -> None:
    trial = Trial()
    state = trial.follow(begins=60)
    trial.clock.advance(10)
    state.cancelled = NOW + timedelta(seconds=10)
    trial.callbacks.cancelled(state, state.cancelled)
    assert trial.told(200) == [(10, "DELETED")]
    body = json.loads(trial.client.callbacks[0][1].body)
    assert body["timestamp"] == "2026-01-01T12:00:10.000000"


@pytest.mark.parametrize("suffix", ["7304", "7305"])
def test_cancelled_without_a_callback(suffix: str) -> None:
    trial = Trial()
    state = trial.follow(suffix, begins=60)
    state.cancelled = NOW
    trial.callbacks.cancelled(state, NOW)
    assert trial.told(200) == []


def test_status_never_lags_behind_a_callback() -> None:
    """The wall clock may be slower than the timers."""
    trial = Trial()
    state = trial.follow()
    trial.told(2)
    reached = state.reached(NOW + timedelta(seconds=1.999))
    assert reached is not None
    assert reached.step.status == "DELIVRD"


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/a", "https://127.9.9.9:8443/a", "http://[::1]:80/a", "http://localhost:1/"],
)
def test_loopback(url: str) -> None:
    trial = Trial()
    trial.follow(url=url)
    assert trial.told(2) == [(2, "DELIVRD")]


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/a",
        "https://gateway.example.com/127.0.0.1",
        "http://127.0.0.1@example.com/",
        "http://127.0.0.1.example.com/",
        "http://localhost.example.com/",
        "http://0.0.0.0/",
        "http://2130706433/",
    ],
)
def test_anywhere_else(url: str) -> None:
    trial = Trial()
    trial.follow(url=url)
    assert trial.told(5) == []
    assert trial.counts == {"dlr_refused": 1}
    trial = Trial(anywhere=True)
    trial.follow(url=url)
    assert trial.told(5) == [(2, "DELIVRD")]


def test_a_url_that_cannot_be_asked() -> None:
    trial = Trial(anywhere=True)
    trial.follow(url="http://127.0.0.1/õ")
    assert trial.told(5) == []
    assert trial.counts == {"dlr_refused": 1}


def test_nobody_asked() -> None:
    trial = Trial()
    trial.follow(url=None)
    assert not trial.clock.getDelayedCalls()
    assert not trial.counts


def test_no_more_than_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tested, "OUTSTANDING", 5)
    trial = Trial()
    trial.client.outstanding = 2
    for _ in range(5):
        trial.follow()
    assert trial.counts == {"dlr_dropped": 2}
    assert trial.told(2) == [(2, "DELIVRD")] * 3


def test_close() -> None:
    trial = Trial()
    trial.follow()
    trial.callbacks.close()
    assert trial.told(5) == []
    assert not trial.clock.getDelayedCalls()
