"""Bodies in, answers out, without a network."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from twisted.internet.task import Clock

from gateway.sandbox.answers import Answer, Wire
from gateway.sandbox.api import Api
from gateway.sandbox.callback_client import Callback
from gateway.sandbox.callbacks import Callbacks

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


class Posted(list[Callback]):
    """A client that only writes down what it is to post."""

    outstanding = 0
    post = list.append


class Trial(Api):
    """The API on a clock of its own, where a message is delivered after two seconds."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.posted = Posted()
        counts: Counter[str] = Counter()
        callbacks = Callbacks(self.clock, self.posted, counts, password="pw")
        super().__init__(counts, callbacks, 2.0)


@pytest.fixture
def api() -> Trial:
    return Trial()


def message(to: str = "+37255500001", **fields: Any) -> dict[str, Any]:
    return {"to": to, "messages": [{"channel": "sms", "text": "Hi", "sender": "Me"}], **fields}


def body_of(answer: Answer) -> Any:
    return json.loads(answer.body)


def send_many(api: Api, *items: object) -> Answer:
    return api.send_many(json.dumps({"messages": items}).encode(), NOW)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{} {}",
        b"\xff\xfe{\x00}\x00",
        b'"\xff"',
        b"\xef\xbb\xbf{}",
        b'{"to": NaN}',
        b"to=%2B372&text=Hi",
        b"[" * 100_000,
        b"1" * 5000,
    ],
)
@pytest.mark.parametrize("operation", ["send_one", "send_many"])
def test_what_is_not_json(api: Api, operation: str, body: bytes) -> None:
    answer = getattr(api, operation)(body, NOW)
    assert answer.status == 400
    (error,) = body_of(answer)["errors"]
    assert error == {
        "code": "105",
        "title": "Invalid data",
        "detail": "The body is not JSON",
        "source": "payload",
    }


def test_items_of_a_bulk_request_are_answered_by_position(api: Api) -> None:
    answer = send_many(
        api, message(), {"to": "+37255500002"}, message("+37255500400"), 7, message("+37255500003")
    )
    assert (answer.status, answer.wire) == (201, Wire.SEND)
    items = body_of(answer)["messages"]
    assert [
        item.get("to") or [(e["code"], e["source"]) for e in item["errors"]] for item in items
    ] == [
        "+37255500001",
        [("106", "payload[messages]")],
        [("105", "payload[sms][sender]")],
        [("105", "payload")],
        "+37255500003",
    ]
    assert api.counts == {"accepted": 2, "refused": 3}
    assert len(api.messages.accepted) == 2


@pytest.mark.parametrize(
    ("suffix", "status"),
    [("0401", 401), ("0403", 403), ("0404", 404), ("0429", 429), ("0500", 500), ("0502", 502)],
)
def test_a_status_script_refuses_a_bulk_request_whole(api: Api, suffix: str, status: int) -> None:
    answer = send_many(api, message(), message(f"+3725550{suffix}"))
    assert answer.status == status
    assert not api.messages.accepted


@pytest.mark.parametrize(
    ("suffix", "wire", "status", "delay"),
    [
        ("0200", Wire.SEND, 200, 0),
        ("0201", Wire.SEND, 201, 0),
        ("9000", Wire.HANG, 201, 0),
        ("9001", Wire.CUT_BEFORE, 201, 0),
        ("9002", Wire.CUT_WITHIN, 201, 0),
        ("9003", Wire.SEND, 201, 3),
    ],
)
def test_trouble_on_the_wire_comes_after_acceptance(
    api: Api, suffix: str, wire: Wire, status: int, delay: float
) -> None:
    scripted = message(f"+3725550{suffix}")
    for answer in (
        api.send_one(json.dumps(scripted).encode(), NOW),
        send_many(api, message(), scripted),
    ):
        assert (answer.wire, answer.status, answer.delay) == (wire, status, delay)
    assert len(api.messages.accepted) == 3


def test_the_schema_is_judged_before_the_script(api: Api) -> None:
    answer = api.send_one(json.dumps(message("+37255500500", priority="urgent")).encode(), NOW)
    assert answer.status == 400
    assert body_of(answer)["errors"][0]["source"] == "payload[priority]"


def test_a_scheduled_message_until_its_time_comes(api: Api) -> None:
    scheduled = message(time_to_send="2026-01-01T14:00:30+02:00")
    accepted = body_of(api.send_one(json.dumps(scheduled).encode(), NOW))
    omnimessage_id = accepted["omnimessage_id"]
    part = accepted["messages"][0]
    expected = {
        "status": None,
        "channel": "sms",
        "message_id": part["message_id"],
        "error": None,
        "err": None,
        "timestamp": "2026-01-01T12:00:00.000000",
        "price_info": None,
        "sender": "Me",
    }
    assert body_of(api.status(omnimessage_id, NOW)) == {
        "omnimessage_id": omnimessage_id,
        "to": "+37255500001",
        "statuses": [expected],
    }
    assert api.cancel(omnimessage_id, NOW + timedelta(seconds=30)).status == 404
    cancelled = api.cancel(omnimessage_id, NOW + timedelta(seconds=29))
    assert (cancelled.status, cancelled.body) == (202, b"{}")
    [found] = body_of(api.status(omnimessage_id, NOW + timedelta(days=1)))["statuses"]
    assert found == {
        **expected,
        "status": "DELETED",
        "err": 0,
        "timestamp": "2026-01-01T12:00:29.000000",
        "price_info": found["price_info"],
    }
    assert api.cancel(omnimessage_id, NOW).status == 404


def accepted_id(answer: Answer) -> str:
    found: str = body_of(answer)["omnimessage_id"]
    return found


def test_status_and_callbacks_tell_the_same(api: Trial) -> None:
    scripted = message("+37255507200", dlr_url="http://127.0.0.1:1/dlr")
    omnimessage_id = accepted_id(api.send_one(json.dumps(scripted).encode(), NOW))
    seen = []
    for quarters in range(10):
        [status] = body_of(api.status(omnimessage_id, NOW + timedelta(seconds=quarters / 4)))[
            "statuses"
        ]
        if api.posted:
            told = json.loads(api.posted[-1].body)
            assert {**status, "to": told["to"], "omnimessage_id": omnimessage_id} == told
        seen.append((status["status"], len(api.posted)))
        api.clock.advance(0.25)
    assert seen == [
        *[(None, 0)] * 2, *[("ACK", 1)] * 2, *[("ACCEPTD", 2)] * 4, *[("DELIVRD", 3)] * 2,
    ]  # fmt: skip


def test_the_first_channel_is_tried_and_no_other(api: Trial) -> None:
    channels = [{"channel": "viber", "text": "Hi"}, {"channel": "sms", "text": "Hi"}]
    body = json.dumps(message("+37255507101", messages=channels)).encode()
    answer = body_of(api.send_one(body, NOW))
    later = NOW + timedelta(seconds=2)
    statuses = body_of(api.status(answer["omnimessage_id"], later))["statuses"]
    assert [(each["channel"], each["status"], each["err"]) for each in statuses] == [
        ("viber", "UNDELIV", 1),
        ("sms", None, None),
    ]


def test_a_cancelled_message_is_told_of(api: Trial) -> None:
    scheduled = message(time_to_send="2026-01-01T13:00", dlr_url="http://127.0.0.1:1/dlr")
    omnimessage_id = accepted_id(api.send_one(json.dumps(scheduled).encode(), NOW))
    assert api.cancel(omnimessage_id, NOW).status == 202
    api.clock.advance(10_000)
    assert [json.loads(each.body)["status"] for each in api.posted] == ["DELETED"]


def test_a_time_in_the_past_is_now(api: Trial) -> None:
    past = message(time_to_send="2020-01-01T13:00")
    omnimessage_id = accepted_id(api.send_one(json.dumps(past).encode(), NOW))
    [status] = body_of(api.status(omnimessage_id, NOW))["statuses"]
    assert status["status"] is None


def test_a_bulk_answer_waits_for_all_its_callbacks(api: Trial) -> None:
    early = message("+37255507303", dlr_url="http://127.0.0.1:1/dlr")
    answer = send_many(api, early, message(), early)
    assert answer.after is not None
    assert len(api.posted) == 2
    for callback in api.posted:
        assert not answer.after.called
        callback.first.callback(None)
    assert answer.after.called


def test_what_is_shown(api: Trial) -> None:
    api.send_one(json.dumps(message("+37255507101")).encode(), NOW)
    assert [each["status"] for each in api.shown(5, NOW)] == [None]
    assert [each["status"] for each in api.shown(5, NOW + timedelta(seconds=2))] == ["UNDELIV"]
