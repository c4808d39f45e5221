"""The half that knows many messages and a limit, spoken to by the h2 library."""

from __future__ import annotations

import json
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest

from bench.bulk_answers import BulkHttp2, Limit
from gateway.omnichannel.bulk import body_of, judge_bulk
from gateway.omnichannel.payload import SmsRequest, encode

HEADERS = [
    (":method", "POST"),
    (":scheme", "https"),
    (":authority", "localhost"),
    (":path", "/"),
]


class Client:
    """Has its requests answered at once."""

    def __init__(self, limit: Limit) -> None:
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(True))
        self.connection.initiate_connection()
        self.connection.increment_flow_control_window(1 << 24)
        self.server = BulkHttp2(limit)
        self.stream = 1

    def post(self, body: bytes) -> tuple[int, Any]:
        stream, self.stream = self.stream, self.stream + 2
        self.connection.send_headers(stream, HEADERS)
        for start in range(0, len(body), 1 << 14):
            self.connection.send_data(stream, body[start : start + (1 << 14)])
        self.connection.end_stream(stream)
        events: list[h2.events.Event] = []
        while octets := self.connection.data_to_send():
            control, ready = self.server.feed(octets)
            events += self.connection.receive_data(control)
            events += self.connection.receive_data(self.server.answer(ready))
        (head,) = [e for e in events if isinstance(e, h2.events.ResponseReceived)]
        data = b"".join(bytes(e.data) for e in events if isinstance(e, h2.events.DataReceived))
        assert any(isinstance(e, h2.events.StreamEnded) for e in events)
        return int(dict(head.headers)[b":status"]), json.loads(data) if data else None


def requests(count: int) -> list[SmsRequest]:
    return [SmsRequest(f"+37255{number:06}", "text", "Bench") for number in range(count)]


def test_one_message_has_its_recipient() -> None:
    limit = Limit(0)
    status, answer = Client(limit).post(encode(requests(1)[0]))
    assert (status, answer["to"], limit.messages) == (201, "+37255000000", 1)


def test_each_of_many_messages_has_an_entry() -> None:
    limit = Limit(0)
    sent = requests(100)
    status, answer = Client(limit).post(body_of([encode(request) for request in sent]))
    outcomes = judge_bulk(status, json.dumps(answer).encode(), sent)
    assert len({outcome.message_id for outcome in outcomes}) == 100
    assert limit.messages == 100


def test_the_limit_holds_over_any_second(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter((10.0, 10.9, 10.95, 11.0, 11.5, 11.9))
    monkeypatch.setattr("bench.bulk_answers.time.monotonic", lambda: next(moments))
    limit = Limit(2)
    client, body = Client(limit), encode(requests(1)[0])
    found = [client.post(body)[0] for _ in range(6)]
    assert found == [201, 201, 429, 201, 429, 201]
    assert (limit.passed, limit.refused, limit.messages) == (4, 2, 4)
