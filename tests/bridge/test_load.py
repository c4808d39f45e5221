"""The bound of what is in flight: of the gateway, and of one account.

The relay, the inquiries and what lies below them are the real ones, over a scripted transport.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import logs
from gateway.bridge.accounts import Account
from gateway.bridge.inquiries import Inquiries
from gateway.bridge.journey import Origin
from gateway.bridge.load import Load
from gateway.bridge.refusals import Overloaded
from gateway.bridge.submissions import Submissions
from gateway.config import AccountSettings
from gateway.metrics import Metrics
from gateway.omnichannel.client import Credentials
from gateway.smpp.constants import CommandStatus, InterfaceVersion, name_of
from gateway.smpp.effects import Submission
from gateway.smpp.pdu import Address, CancelSm, DistributionList, QuerySm, SubmitMulti
from gateway.smpp.versions import Response
from tests.bridge import trial
from tests.bridge.trial import ID, V33, V34, submit
from tests.omnichannel.scripted_transport import Post, Step, accepted, in_turn, refused
from tests.omnichannel.test_client import AskedTransport

SLOW = accepted(ID)._replace(after=5.0)
PART: dict[str, Any] = {"esm_class": 0x40, "short_message": b"\x05\x00\x03\x07\x02\x01Hello "}


class Trial(trial.Trial):
    """All that an account may ask for, before a load that may be full."""

    def __init__(
        self, script: Callable[[Post], Step], *, max_in_flight: int = 3, **options: Any
    ) -> None:
        super().__init__(script, transport=AskedTransport, **options)
        self.load = self.relay.load
        self.load.max_in_flight = max_in_flight
        self.submissions = Submissions(
            self.relay, self.ids, self.unanswered, bytes, self.metrics, logs.get()
        )
        client = self.relay._api
        self.inquiries = Inquiries(
            client, self.ids, self.clock, self.clock.seconds, self.metrics, logs.get(), self.load
        )
        self.responses: list[Response] = []

    def respond(self, response: Response) -> bool:
        self.responses.append(response)
        return True

    def ask(
        self,
        pdu: Submission | QuerySm | CancelSm | None = None,
        account: Account | None = None,
        version: InterfaceVersion = V34,
    ) -> None:
        origin = Origin("s7", account or self.account, version)
        if isinstance(pdu, QuerySm | CancelSm):
            self.inquiries.inquire(pdu, origin, self.respond)
        else:
            self.submissions.submit(pdu or submit(), origin, self.respond)

    @property
    def statuses(self) -> list[str]:
        return [name_of(CommandStatus, response.command_status) for response in self.responses]


def multi(count: int, lists: int = 0, **fields: Any) -> SubmitMulti:
    addresses = [Address(1, 1, f"3725550{index:04}") for index in range(count)]
    some = [DistributionList(f"list{index}") for index in range(lists)]
    return SubmitMulti(7, destinations=(*addresses, *some), short_message=b"Hello", **fields)


@pytest.fixture(autouse=True)
def cleared() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    Trial.close_all()


# The whole gateway


def test_what_comes_beyond_the_bound_is_refused_at_once_and_nothing_is_done_for_it() -> None:
    found = Trial(in_turn(SLOW))
    for _ in range(5):
        found.ask()
    found.ask(submit(data_coding=4))  # which would be refused for what it holds
    assert found.statuses == ["ESME_RTHROTTLED"] * 3
    assert len(found.transport.posts) == 3
    assert (found.load.in_flight, found.account.in_flight) == (3, 3)
    line = found.lines[0]
    assert (line["event"], line["level"]) == ("message_refused", "warning")
    assert line["detail"] == "beyond smpp.max_in_flight of 3"
    assert line["command_status"] == "ESME_RTHROTTLED"
    assert found.value("throttled_total", system_id="bank", limit="daemon") == 3
    labels = {"system_id": "bank", "command_status": "ESME_RTHROTTLED"}
    assert found.value("submits_total", **labels) == 3


def test_what_was_let_in_is_answered_and_then_everything_is_let_in_again() -> None:
    found = Trial(in_turn(SLOW))
    for _ in range(300):
        found.ask()
    assert found.statuses == ["ESME_RTHROTTLED"] * 297
    found.run(5)
    assert found.statuses[297:] == ["ESME_ROK"] * 3
    for _ in range(3):
        found.ask()
    assert len(found.responses) == 300
    found.run(5)
    assert found.statuses[300:] == ["ESME_ROK"] * 3
    assert (found.load.in_flight, found.account.in_flight) == (0, 0)


@pytest.mark.parametrize("status", ["ESME_RTHROTTLED", "ESME_RMSGQFUL", "ESME_RSYSERR"])
def test_the_answer_under_overload_is_a_setting(status: str) -> None:
    found = Trial(in_turn(SLOW), max_in_flight=1)
    found.load.overload_status = CommandStatus[status]
    found.ask()
    found.ask()
    assert found.statuses == [status]
    assert found.value("throttled_total", system_id="bank", limit="daemon") == 1


def test_the_bound_may_change_while_the_gateway_runs() -> None:
    found = Trial(in_turn(SLOW), max_in_flight=1)
    found.ask()
    found.load.max_in_flight = 2
    found.ask()
    assert found.responses == []
    found.load.max_in_flight = 1
    found.ask()
    assert found.statuses == ["ESME_RTHROTTLED"]
    found.run(5)
    found.ask()
    assert len(found.responses) == 3


def test_accounts_share_the_bound_of_the_gateway() -> None:
    found = Trial(in_turn(SLOW), max_in_flight=2)
    other = found.new_account("demo")
    found.ask()
    found.ask(account=other)
    found.ask(account=other)
    assert found.statuses == ["ESME_RTHROTTLED"]
    assert found.value("throttled_total", system_id="demo", limit="daemon") == 1
    assert (found.account.in_flight, other.in_flight) == (1, 1)


def test_a_refusal_takes_nothing_of_the_accounts_rate() -> None:
    found = Trial(in_turn(SLOW), max_in_flight=1, throttle=2, throttle_burst=2)
    for _ in range(4):
        found.ask()
    found.load.max_in_flight = 10
    found.ask()
    assert found.statuses == ["ESME_RTHROTTLED"] * 3
    assert found.value("throttled_total", system_id="bank", limit="account") is None


# One account


def test_an_account_has_a_bound_of_its_own() -> None:
    found = Trial(in_turn(SLOW), max_in_flight=100)
    small = found.new_account("small", max_in_flight=2)
    found.load.overload_status = CommandStatus.ESME_RSYSERR
    for _ in range(3):
        found.ask(account=small)
    assert found.statuses == ["ESME_RTHROTTLED"], "its own bound is no overload of the gateway"
    assert found.lines[0]["detail"] == "beyond the account's max_in_flight of 2"
    assert found.value("throttled_total", system_id="small", limit="in_flight") == 1
    found.ask()
    assert len(found.responses) == 1, "others are not concerned"
    found.run(5)
    found.ask(account=small)
    assert len(found.responses) == 4


def test_without_a_bound_of_its_own_an_account_may_have_all() -> None:
    found = Trial(in_turn(SLOW), max_in_flight=1_000)
    for _ in range(1_000):
        found.ask()
    assert found.responses == []
    assert found.account.in_flight == 1_000


# What counts, and for how long


def test_a_part_that_waits_for_the_store_counts() -> None:
    found = Trial(in_turn(SLOW), max_in_flight=1)
    found.store.holding = True
    found.ask(submit(**PART))
    assert found.load.in_flight == 1
    found.ask()
    assert found.statuses == ["ESME_RTHROTTLED"]
    found.store.held.pop()()
    assert found.statuses == ["ESME_RTHROTTLED", "ESME_ROK"]
    assert found.load.in_flight == 0


def test_inquiries_count_and_are_refused_like_messages() -> None:
    found = Trial(in_turn(SLOW), max_in_flight=2)
    found.account.remember(ID, submit(), "")
    found.ask(QuerySm(3, message_id=ID))
    found.ask()
    found.ask(CancelSm(4, message_id=ID))
    assert found.statuses == ["ESME_RTHROTTLED"]
    line = found.lines[0]
    assert (line["event"], line["command"]) == ("inquiry_refused", "cancel_sm")
    assert line["detail"] == "beyond smpp.max_in_flight of 2"
    assert found.value("throttled_total", system_id="bank", limit="daemon") == 1
    found.run(5)
    assert (found.load.in_flight, found.account.in_flight) == (0, 0)
    found.ask(QuerySm(3))  # refused for what it is
    assert found.load.in_flight == 0


def test_each_destination_of_a_submit_multi_counts() -> None:
    found = Trial(in_turn(SLOW), max_in_flight=10)
    found.ask(multi(9, lists=3))
    assert found.load.in_flight == found.account.in_flight == 9
    found.ask()
    found.ask()
    assert found.statuses == ["ESME_RTHROTTLED"]
    found.run(5)
    assert found.load.in_flight == found.account.in_flight == 0
    answer: Any = found.responses[1]
    assert len(answer.unsuccess) == 3


@pytest.mark.parametrize("version", [V33, V34])
def test_a_submit_multi_without_room_for_all_is_refused_as_a_whole(
    version: InterfaceVersion,
) -> None:
    found = Trial(in_turn(SLOW), max_in_flight=10)
    found.ask()
    found.ask(multi(10, lists=2), version=version)
    assert found.statuses == ["ESME_RTHROTTLED"]
    assert len(found.transport.posts) == 1
    assert found.load.in_flight == found.account.in_flight == 1
    [line] = found.lines
    assert (line["event"], line["level"]) == ("submit_multi_answered", "warning")
    assert (line["destinations"], line["failed"]) == (12, 12)
    assert line["detail"] == "beyond smpp.max_in_flight of 10"
    assert found.value("throttled_total", system_id="bank", limit="daemon") == 10
    labels = {"system_id": "bank", "command_status": "ESME_RTHROTTLED"}
    assert found.value("submits_total", **labels) == 12
    found.ask(multi(9))
    assert len(found.responses) == 1


def test_a_submit_multi_for_which_there_can_never_be_room_is_told_so() -> None:
    """ESME_RTHROTTLED would have it tried for ever."""
    found = Trial(in_turn(SLOW), max_in_flight=100)
    small = found.new_account("small", max_in_flight=10)
    found.ask(multi(11), account=small)
    assert found.statuses == ["ESME_RINVNUMDESTS"]
    assert found.lines[0]["detail"] == (
        "11 destinations are beyond the account's max_in_flight of 10"
    )
    assert found.value("throttled_total", system_id="small", limit="in_flight") is None
    assert found.load.in_flight == small.in_flight == 0


def test_nothing_is_idle_before_the_last_inquiry_is_answered() -> None:
    found = Trial(in_turn(SLOW))
    found.account.remember(ID, submit(), "")
    found.ask(QuerySm(3, message_id=ID))
    idle = found.relay.load.idle()
    assert not idle.called
    found.run(5)
    assert idle.called


@pytest.mark.parametrize("multiple", [False, True])
def test_an_answer_that_brings_the_next_message_at_once_has_left_its_place_free(
    multiple: bool,
) -> None:
    """A session with its whole window unanswered submits from within an answer."""
    found = Trial(in_turn(SLOW), max_in_flight=1)
    asked: list[str] = []

    def next_one(response: Response) -> bool:
        asked.append(name_of(CommandStatus, response.command_status))
        if len(asked) < 3:
            found.submissions.submit(
                multi(1) if multiple else submit(), Origin("s7", found.account, V34), next_one
            )
        return True

    found.submissions.submit(submit(), Origin("s7", found.account, V34), next_one)
    for _ in range(3):
        found.run(5)
    assert asked == ["ESME_ROK"] * 3


def test_an_answer_that_fails_gives_its_place_back() -> None:
    found = Trial(in_turn(accepted(ID)))

    def broken(_: Response) -> bool:
        raise ZeroDivisionError("ours")

    found.submissions.submit(submit(), Origin("s7", found.account, V34), broken)
    found.inquiries.inquire(QuerySm(3), Origin("s7", found.account, V34), broken)
    assert found.load.in_flight == found.account.in_flight == 0
    assert found.relay.load.idle().called


@given(
    st.lists(
        st.sampled_from(["submit", "part", "multi", "big", "query", "cancel", "bad", "time"]),
        max_size=40,
    ),
    st.integers(1, 6),
    st.integers(0, 4),
)
@settings(max_examples=60, deadline=None)
def test_every_request_is_answered_once_and_leaves_nothing_behind(
    kinds: list[str], bound: int, own: int
) -> None:
    def script(post: Post) -> Step:
        step = refused(400) if len(post.body) % 3 == 0 else accepted(ID)
        return step._replace(after=0.7 * (len(post.body) % 2))

    found = Trial(script, max_in_flight=bound)
    account = found.new_account("small", max_in_flight=own)
    requests: dict[str, Any] = {
        "submit": submit(),
        "part": submit(**PART),
        "multi": multi(2, lists=1),
        "big": multi(5),
        "query": QuerySm(3, message_id=ID),
        "cancel": CancelSm(4, message_id=ID),
        "bad": submit(data_coding=4),
    }
    try:
        for kind in kinds:
            if kind == "time":
                found.run(0.5)
            else:
                found.ask(requests[kind], account=account)
            assert found.load.in_flight <= bound
            assert account.in_flight <= (own or bound)
        found.run(60)
        assert len(found.responses) == len(kinds) - kinds.count("time")
        assert found.load.in_flight == account.in_flight == 0
        assert found.load.idle().called
    finally:
        Trial.close_all()


# By itself


def test_places_are_taken_together_or_not_at_all() -> None:
    load = Load(Metrics(), max_in_flight=5)
    account = Account(
        AccountSettings(system_id="bank", password_hash="x"), "x", Credentials.basic("u", "p")
    )
    load.enter(account, 3)
    with pytest.raises(Overloaded) as refusal:
        load.enter(account, 3)
    assert refusal.value.temporary
    load.leave(account, 3)
    load.enter(account, 2)
    assert load.in_flight == 5
    idle = load.idle()
    load.leave(account, 5)
    assert not idle.called, "before its line is written"
    load.settled()
    assert idle.called
