"""replace_if_present_flag: the new message first, then what it replaces."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from gateway.omnichannel.transport import HttpAnswer
from gateway.smpp.pdu import Address, SubmitSm
from tests.bridge.trial import Trial, submit
from tests.omnichannel.scripted_transport import Post, Step, accepted, refused
from tests.omnichannel.test_client import AskedTransport

LATER = "991231120000000+"
CANCELLED = Step(HttpAnswer(202, b"{}"))
GONE = refused(404, "101")


@pytest.fixture(autouse=True)
def cleared() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    Trial.close_all()


class Replacement(Trial):
    """A relay whose API accepts posts as "id-1", "id-2", and answers each DELETE by `deletes`."""

    def __init__(self, deletes: Step = CANCELLED, **account: Any) -> None:
        self.calls: list[str] = []
        self.deletes = deletes
        self.posts = 0
        self.refuse = False
        super().__init__(self._script, transport=AskedTransport, **account)

    def _script(self, call: Post) -> Step:
        if call.body:
            self.calls.append("POST")
            self.posts += 1
            return refused(400) if self.refuse else accepted(f"id-{self.posts}")
        self.calls.append(f"DELETE {call.path.rpartition('/')[2]}")
        return self.deletes

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [line for line in lines if line["event"] == name]


def scheduled(number: int, flag: int = 0, **fields: Any) -> SubmitSm:
    return submit(number, schedule_delivery_time=LATER, replace_if_present_flag=flag, **fields)


def test_what_is_scheduled_is_cancelled_once_the_new_one_is_accepted() -> None:
    trial = Replacement()
    trial.submit(scheduled(1))
    trial.submit(scheduled(2, flag=1))
    assert [answer.message_id for answer in trial.answers] == ["id-1", "id-2"]
    assert trial.calls == ["POST", "POST", "DELETE id-1"]
    [line] = trial.events("message_replaced")
    assert (line["message_id"], line["replaced_message_id"]) == ("id-2", "id-1")
    # The new one is what the next replaces.
    trial.submit(scheduled(3, flag=1))
    assert trial.calls[3:] == ["POST", "DELETE id-2"]


def test_without_the_flag_nothing_is_replaced() -> None:
    trial = Replacement()
    trial.submit(scheduled(1))
    trial.submit(scheduled(2))
    assert trial.calls == ["POST", "POST"]


@pytest.mark.parametrize(
    "other",
    [
        {"destination": Address(1, 1, "37255500099")},
        {"source": Address(5, 0, "Shop")},
        {"service_type": "WAP"},
    ],
)
def test_a_message_of_other_addresses_or_service_stays(other: dict[str, Any]) -> None:
    trial = Replacement()
    trial.submit(scheduled(1, **other))
    trial.submit(scheduled(2, flag=1))
    assert trial.calls == ["POST", "POST"]


def test_a_message_that_was_sent_at_once_cannot_be_replaced() -> None:
    trial = Replacement()
    trial.submit(submit(1))
    trial.submit(scheduled(2, flag=1))
    assert trial.calls == ["POST", "POST"]


def test_the_old_one_stays_if_the_new_one_is_refused() -> None:
    trial = Replacement()
    trial.submit(scheduled(1))
    trial.refuse = True
    trial.submit(scheduled(2, flag=1))
    assert trial.calls == ["POST", "POST"]


def test_one_that_the_api_has_sent_meanwhile_is_told() -> None:
    trial = Replacement(GONE)
    trial.submit(scheduled(1))
    trial.submit(scheduled(2, flag=1))
    assert trial.answers[1].message_id == "id-2"
    [line] = trial.events("message_not_replaced")
    assert (line["replaced_message_id"], line["level"], line["http_status"]) == (
        "id-1",
        "warning",
        404,
    )


def test_an_account_that_refuses_to_try() -> None:
    trial = Replacement(replace_if_present="refuse")
    trial.submit(scheduled(1, flag=1))
    assert trial.status == "ESME_RINVSUBREP"
    assert trial.calls == []
