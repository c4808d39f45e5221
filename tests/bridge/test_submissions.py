"""submit_sm, data_sm and submit_multi on their way to the relay, and the answers back.

The relay and the client of the API are the real ones; below them stand a scripted transport
and the real store in memory. Where only the fan-out is on trial, the relay is scripted too.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple
from uuid import UUID

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import logs
from gateway.bridge.accounts import Account
from gateway.bridge.journey import Answer, Origin, Share
from gateway.bridge.load import Load
from gateway.bridge.message_ids import MessageIds
from gateway.bridge.submissions import Respond, Submissions, as_submit_sm
from gateway.bridge.unanswered import Unanswered
from gateway.config import AccountSettings, LogSettings
from gateway.metrics import Metrics
from gateway.omnichannel.client import Credentials
from gateway.omnichannel.route import Target
from gateway.omnichannel.transport import FailureKind
from gateway.smpp.codec import decode, encode
from gateway.smpp.constants import CommandStatus, InterfaceVersion, Tag, name_of
from gateway.smpp.effects import Submission
from gateway.smpp.message_id import is_own
from gateway.smpp.pdu import (
    Address,
    DataSm,
    DataSmResp,
    DistributionList,
    SubmitMulti,
    SubmitMultiResp,
    SubmitSm,
    SubmitSmResp,
    Tlv,
    Unsuccess,
)
from gateway.smpp.versions import Response, adapted
from tests.bridge import trial
from tests.bridge.direct_store import DirectStore
from tests.bridge.receiving import Esme, call_back, esme, route_of
from tests.omnichannel.scripted_transport import (
    Post,
    Step,
    accepted,
    failure,
    in_turn,
    refused,
    run,
)

FROM = Address(1, 1, "37255567890")
TEXT = "Your one-time code is Zebra"
ID = "5bca2f3e-9a31-4e2b-8d8f-0c7f0c1f8f11"
DECIMAL = str(int(ID.replace("-", ""), 16))
V33, V34, V50 = InterfaceVersion.V33, InterfaceVersion.V34, InterfaceVersion.V50
# What sixteen octets 00 01 02 ... make of the common id: version 8, and part 0.
COMMON = "00010203-0405-8607-8809-0a0b0c0d0e00"
_S = CommandStatus
OK = _S.ESME_ROK


def number(index: int) -> Address:
    return Address(1, 1, f"372555{index:05}")


def multi(*destinations: Address | DistributionList, **fields: Any) -> SubmitMulti:
    return SubmitMulti(
        7,
        **{
            "source": FROM,
            "destinations": destinations,
            "short_message": TEXT.encode(),
            **fields,
        },
    )


def data(**fields: Any) -> DataSm:
    payload = (Tlv(Tag.message_payload, TEXT.encode()),)
    return DataSm(9, **{"source": FROM, "destination": number(1), "tlvs": payload, **fields})


STORES: list[DirectStore] = []  # of this test


def new_store() -> DirectStore:
    STORES.append(DirectStore())
    return STORES[-1]


class Trial:
    """Submissions with everything behind them; what leaves must be a PDU that can be sent."""

    def __init__(
        self,
        script: Callable[[Post], Step],
        *,
        version: InterfaceVersion = V34,
        log: LogSettings | None = None,
        log_messages: bool = True,
        **account: Any,
    ) -> None:
        whole = trial.Trial(script, log=log, log_messages=log_messages, **account)
        self.stream, self.clock, self.transport = whole.stream, whole.clock, whole.transport
        self.metrics, self.relay, self.account = whole.metrics, whole.relay, whole.account
        self.whole, self.store = whole, whole.store
        self.origin = Origin("s7", self.account, version)
        self.submissions = Submissions(
            self.relay,
            whole.ids,
            whole.unanswered,
            lambda count: bytes(range(count)),
            self.metrics,
            logs.get(),
            log_messages=log_messages,
        )
        self.reachable = True
        self.answers: list[Response] = []

    def respond(self, response: Response) -> bool:
        seen = adapted(response, self.origin.interface_version)
        assert decode(encode(seen)) == seen
        self.answers.append(response)
        return self.reachable

    def submit(self, pdu: Submission, *, waited: float | None = None) -> Trial:
        received_at = None if waited is None else self.clock.seconds() - waited
        self.submissions.submit(pdu, self.origin, self.respond, received_at)
        return self

    def run(self, seconds: float = 60.0) -> None:
        run(self.clock, seconds)

    @property
    def response(self) -> Any:
        [response] = self.answers
        return response

    @property
    def status(self) -> str:
        return name_of(CommandStatus, self.response.command_status)

    @property
    def posted(self) -> list[str]:
        """The destinations that the API was asked for."""
        return [post.sms["to"] for post in self.transport.posts]

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [line for line in found if event in {"", line["event"]}]

    @property
    def line(self) -> dict[str, Any]:
        [line] = self.lines("submit_multi_answered")
        return line


@pytest.fixture(autouse=True)
def own_log_and_stores() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    trial.Trial.close_all()
    while STORES:
        STORES.pop().close()


def by_number(steps: dict[int, Step], otherwise: Step | None = None) -> Callable[[Post], Step]:
    """The step for each index of `number`; the id of an accepted one tells it."""

    def script(post: Post) -> Step:
        index = int(post.sms["to"][-5:])
        return steps.get(index) or otherwise or accepted(f"id-{index}")

    return script


class Call(NamedTuple):
    submit: SubmitSm
    origin: Origin
    answer: Answer
    received_at: float | None
    common_id: str


class ScriptedRelay:
    """A relay that keeps what it is handed; the test answers."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.load = Load(Metrics())

    def submit(
        self,
        submit: SubmitSm,
        origin: Origin,
        answer: Answer,
        received_at: float | None = None,
        share: Share | None = None,
    ) -> None:
        common_id = share.common_id if share else ""
        self.calls.append(Call(submit, origin, answer, received_at, common_id))

    def answer(self, call: int, status: int, message_id: str | None = None) -> bool:
        submit, _, answer, _, common_id = self.calls[call]
        found = None if status else common_id or message_id or f"id-{call}"
        return answer(SubmitSmResp(submit.sequence_number, status, found))


class FanOut:
    """Submissions before a scripted relay."""

    def __init__(self, version: InterfaceVersion = V34, **account: Any) -> None:
        settings = AccountSettings(system_id="bank", password_hash="x", **account)
        account_ = Account(settings, "x", Credentials.basic("shared", "key"))
        self.origin = Origin("s7", account_, version)
        self.relay = ScriptedRelay()
        self.answers: list[Any] = []
        logs.configure(LogSettings(format="json"), io.StringIO())
        ids = MessageIds(new_store(), lambda: 0.0, logs.get())
        self.submissions = Submissions(
            self.relay, ids, Unanswered(), lambda count: bytes(range(count)), Metrics(), logs.get()
        )

    def respond(self, response: Response) -> bool:
        seen = adapted(response, self.origin.interface_version)
        assert decode(encode(seen)) == seen
        self.answers.append(response)
        return True

    def submit(self, pdu: Submission, received_at: float | None = None) -> FanOut:
        self.submissions.submit(pdu, self.origin, self.respond, received_at)
        return self

    @property
    def submits(self) -> list[SubmitSm]:
        return [call.submit for call in self.relay.calls]


# submit_sm


def test_a_submit_sm_passes_untouched() -> None:
    fan_out = FanOut()
    respond: Respond = fan_out.respond
    pdu = SubmitSm(5, 0, source=FROM, destination=number(1), short_message=b"Hi")
    fan_out.submissions.submit(pdu, fan_out.origin, respond, 990.0)
    [call] = fan_out.relay.calls
    assert call == Call(pdu, fan_out.origin, respond, 990.0, "")
    assert call.submit is pdu
    assert fan_out.answers == []


def test_a_submit_sm_gets_the_apis_id_and_no_line_beside_its_own() -> None:
    trial = Trial(in_turn(accepted(ID)))
    trial.submit(SubmitSm(5, 0, source=FROM, destination=number(1), short_message=b"Hi"))
    assert trial.response == SubmitSmResp(5, OK, ID)
    assert [line["event"] for line in trial.lines()] == ["message_relayed"]


# data_sm

TLVS = (
    Tlv(Tag.message_payload, b"Hi"),
    Tlv(Tag.user_message_reference, b"\0\1"),
    Tlv(0x1400, b"vendor"),
)


def test_a_data_sm_as_the_submit_sm_that_says_the_same() -> None:
    pdu = DataSm(
        9,
        service_type="CMT",
        source=Address(5, 0, "Bank"),
        destination=Address(1, 1, "37255500001"),
        esm_class=0x40,
        registered_delivery=0x11,
        data_coding=8,
        tlvs=TLVS,
    )
    assert as_submit_sm(pdu) == SubmitSm(
        9,
        service_type="CMT",
        source=Address(5, 0, "Bank"),
        destination=Address(1, 1, "37255500001"),
        esm_class=0x40,
        registered_delivery=0x11,
        data_coding=8,
        tlvs=TLVS,
    )


@pytest.mark.parametrize(
    ("value", "validity_period"),
    [
        (b"\0\0\0\0", ""),
        (b"\0\0\0\1", "000000000001000R"),
        (b"\0\0\x0e\x10", "000000010000000R"),
        (b"\0\1\x51\x80", "000001000000000R"),
        (b"\xff\xff\xff\xff", "000099000000000R"),
    ],
)
def test_qos_time_to_live_is_the_validity_period(value: bytes, validity_period: str) -> None:
    tlvs = (*TLVS, Tlv(Tag.qos_time_to_live, value))
    assert as_submit_sm(data(tlvs=tlvs)).validity_period == validity_period


def test_a_data_sm_that_is_accepted() -> None:
    trial = Trial(in_turn(accepted(ID)))
    ttl = Tlv(Tag.qos_time_to_live, (3_600).to_bytes(4))
    trial.submit(data(tlvs=(*data().tlvs, ttl)))
    assert trial.response == DataSmResp(9, OK, ID)
    [post] = trial.transport.posts
    assert post.sms["to"] == "+37255500001"
    [message] = post.sms["messages"]
    assert (message["text"], message["sender"]) == (TEXT, "+37255567890")
    assert message["ttl"] == pytest.approx(3_600, abs=1)


@pytest.mark.parametrize(("form", "shown"), [("hex", ID.replace("-", "")), ("decimal", DECIMAL)])
def test_a_data_sm_gets_its_id_in_the_accounts_form(form: str, shown: str) -> None:
    trial = Trial(in_turn(accepted(ID)), message_id_format=form).submit(data())
    assert trial.response == DataSmResp(9, OK, shown)


def test_a_data_sm_that_is_refused_keeps_the_reason() -> None:
    step = refused(400, source="payload[to]", detail="no such number")
    trial = Trial(in_turn(step), version=V50, error_detail_tlv=True).submit(data())
    tlvs = (Tlv(Tag.additional_status_info_text, b"no such number\0"),)
    assert trial.response == DataSmResp(9, _S.ESME_RINVDSTADR, None, tlvs)


def test_a_data_sm_without_text_is_an_empty_message() -> None:
    trial = Trial(in_turn(accepted())).submit(data(tlvs=()))
    assert trial.response == DataSmResp(9, _S.ESME_RINVMSGLEN)
    assert trial.transport.posts == []


def test_the_wait_of_a_data_sm_counts() -> None:
    trial = Trial(in_turn(accepted()), response_deadline=10).submit(data(), waited=10)
    assert trial.response == DataSmResp(9, _S.ESME_RMSGQFUL)


# submit_multi: what is relayed


def test_each_destination_gets_a_submit_sm_with_all_that_the_pdu_says() -> None:
    pdu = SubmitMulti(
        7,
        service_type="CMT",
        source=Address(5, 0, "Bank"),
        destinations=(number(1), DistributionList("staff"), Address(2, 8, "55512345")),
        esm_class=3,
        protocol_id=64,
        priority_flag=2,
        schedule_delivery_time="000000010000000R",
        validity_period="000001000000000R",
        registered_delivery=1,
        replace_if_present_flag=1,
        data_coding=8,
        sm_default_msg_id=4,
        short_message=b"\0H\0i",
        tlvs=TLVS[1:],
    )
    fan_out = FanOut().submit(pdu, 990.0)
    assert fan_out.submits == [
        SubmitSm(
            7,
            service_type="CMT",
            source=Address(5, 0, "Bank"),
            destination=destination,
            esm_class=3,
            protocol_id=64,
            priority_flag=2,
            schedule_delivery_time="000000010000000R",
            validity_period="000001000000000R",
            registered_delivery=1,
            replace_if_present_flag=1,
            data_coding=8,
            sm_default_msg_id=4,
            short_message=b"\0H\0i",
            tlvs=TLVS[1:],
        )
        for destination in (number(1), Address(2, 8, "55512345"))
    ]
    assert {call.received_at for call in fan_out.relay.calls} == {990.0}
    assert {call.common_id for call in fan_out.relay.calls} == {COMMON}
    assert {call.origin for call in fan_out.relay.calls} == {fan_out.origin}


@pytest.mark.parametrize(
    ("form", "shown"), [("uuid", ID), ("hex", ID.replace("-", "")), ("decimal", DECIMAL)]
)
def test_a_single_destination_gets_the_apis_id(form: str, shown: str) -> None:
    trial = Trial(in_turn(accepted(ID)), message_id_format=form).submit(multi(number(1)))
    assert trial.response == SubmitMultiResp(7, OK, shown, ())
    assert trial.posted == ["+37255500001"]


@pytest.mark.parametrize("count", [2, 3, 254])
def test_several_destinations_share_an_id_of_the_gateways(count: int) -> None:
    trial = Trial(by_number({})).submit(multi(*map(number, range(count))))
    assert trial.response == SubmitMultiResp(7, OK, COMMON, ())
    assert trial.posted == [f"+{number(index).addr}" for index in range(count)]
    assert {post.sms["messages"][0]["text"] for post in trial.transport.posts} == {TEXT}


def test_the_common_id_cannot_be_taken_for_the_apis() -> None:
    uuid = UUID(COMMON)
    assert (uuid.version, uuid.variant, uuid.bytes[15]) == (8, "specified in RFC 4122", 0)
    assert is_own(COMMON)


@pytest.mark.parametrize(
    ("form", "shown"),
    [("hex", COMMON.replace("-", "")), ("decimal", str(int(COMMON.replace("-", ""), 16)))],
)
def test_the_common_id_in_the_accounts_form(form: str, shown: str) -> None:
    trial = Trial(by_number({}), message_id_format=form).submit(multi(number(1), number(2)))
    assert trial.response == SubmitMultiResp(7, OK, shown, ())


def test_each_destination_is_logged_and_counted_with_the_apis_id() -> None:
    trial = Trial(by_number({2: refused(400, source="payload[to]")}))
    trial.submit(multi(number(1), number(2), number(3)))
    assert [line["message_id"] for line in trial.lines("message_relayed")] == ["id-1", "id-3"]
    assert len(trial.lines("message_refused")) == 1
    count = trial.metrics.registry.get_sample_value
    for status, times in (("ESME_ROK", 2), ("ESME_RINVDSTADR", 1)):
        labels = {"system_id": "bank", "command_status": status}
        assert count("smppgw_submits_total", labels) == times


def test_the_parts_of_a_long_message_share_the_common_id_too() -> None:
    header = {"esm_class": 0x40}
    trial = Trial(by_number({}))
    for part in (1, 2):
        udh = bytes((5, 0, 3, 7, 2, part))
        trial.submit(multi(number(1), number(2), short_message=udh + b"Hello ", **header))
    assert trial.answers == [SubmitMultiResp(7, OK, COMMON, ())] * 2
    assert [post.sms["messages"][0]["text"] for post in trial.transport.posts] == [
        "Hello Hello "
    ] * 2


# submit_multi: what fails

BUSY = refused(429)
DOWN = refused(500, "104")
BAD = refused(400, source="payload[sms][sender]")
GONE = failure(FailureKind.CUT, sent=True)


def test_a_destination_that_fails_stands_in_the_answer() -> None:
    trial = Trial(by_number({2: BAD, 4: BUSY}))
    trial.submit(multi(number(1), number(2), number(3), Address(2, 8, "0004"), number(4)))
    assert trial.response.command_status == OK
    assert trial.response.message_id == COMMON
    assert Counter(trial.response.unsuccess) == Counter(
        [
            Unsuccess(number(2), _S.ESME_RINVSRCADR),
            Unsuccess(Address(2, 8, "0004"), _S.ESME_RINVDSTADR),  # refused by the gateway itself
            Unsuccess(number(4), _S.ESME_RTHROTTLED),
        ]
    )


def test_a_status_of_5_0_in_the_list_is_one_that_a_3_4_esme_knows() -> None:
    seen = []
    for version in (V34, V50):
        fan_out = FanOut(version).submit(multi(number(1), number(2)))
        fan_out.relay.answer(0, _S.ESME_RINVDCS)
        fan_out.relay.answer(1, OK)
        [response] = fan_out.answers
        [one] = adapted(response, version).unsuccess  # type: ignore[union-attr,misc]
        seen.append(one.error_status)
    assert seen == [_S.ESME_RSUBMITFAIL, _S.ESME_RINVDCS]


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        ([BUSY, BUSY, BUSY], "ESME_RTHROTTLED"),
        ([DOWN, DOWN, DOWN], "ESME_RSYSERR"),
        ([GONE, DOWN, GONE], "ESME_RSYSERR"),
        # A client that is told to come back would send to the others again in vain, or twice.
        ([BUSY, DOWN, BUSY], "ESME_RSUBMITFAIL"),
        ([BUSY, BAD, BUSY], "ESME_RSUBMITFAIL"),
        ([BAD, BAD, BAD], "ESME_RSUBMITFAIL"),
    ],
)
def test_all_destinations_fail(steps: list[Step], status: str) -> None:
    trial = Trial(in_turn(*steps)).submit(multi(number(1), number(2), number(3)))
    assert trial.response == SubmitMultiResp(7, CommandStatus[status])
    line = trial.line
    assert (line["level"], line["command_status"], line["failed"]) == ("warning", status, 3)
    assert "message_id" not in line


@pytest.mark.parametrize(
    ("steps", "statuses"),
    [
        ([BUSY, BUSY], ["ESME_RTHROTTLED", "ESME_RTHROTTLED"]),
        ([BAD, DOWN], ["ESME_RINVSRCADR", "ESME_RSYSERR"]),
    ],
)
def test_all_destinations_fail_and_the_account_wants_the_list(
    steps: list[Step], statuses: list[str]
) -> None:
    trial = Trial(in_turn(*steps), multi_all_failed="list").submit(multi(number(1), number(2)))
    assert trial.response.command_status == OK
    assert trial.response.unsuccess == tuple(
        Unsuccess(number(index), CommandStatus[status]) for index, status in enumerate(statuses, 1)
    )
    assert trial.line["failed"] == 2


@pytest.mark.parametrize(("step", "status"), [(BUSY, "ESME_RTHROTTLED"), (BAD, "ESME_RSUBMITFAIL")])
def test_the_only_destination_fails(step: Step, status: str) -> None:
    trial = Trial(in_turn(step)).submit(multi(number(1)))
    assert trial.response == SubmitMultiResp(7, CommandStatus[status])


def test_the_only_destination_fails_and_the_account_wants_the_list() -> None:
    trial = Trial(in_turn(BAD), multi_all_failed="list").submit(multi(number(1)))
    assert trial.response.command_status == OK
    assert trial.response.unsuccess == (Unsuccess(number(1), _S.ESME_RINVSRCADR),)


def test_the_accounts_throttle_counts_each_destination() -> None:
    trial = Trial(by_number({}), throttle=1).submit(multi(number(1), number(2), number(3)))
    assert trial.posted == ["+37255500001"]
    assert trial.response == SubmitMultiResp(
        7,
        OK,
        COMMON,
        (
            Unsuccess(number(2), _S.ESME_RTHROTTLED),
            Unsuccess(number(3), _S.ESME_RTHROTTLED),
        ),
    )


def test_the_wait_of_a_submit_multi_counts() -> None:
    trial = Trial(by_number({}), response_deadline=10)
    trial.submit(multi(number(1), number(2)), waited=10)
    assert trial.response == SubmitMultiResp(7, _S.ESME_RMSGQFUL)
    assert trial.posted == []


# Distribution lists: there are none

STAFF, BOARD = DistributionList("staff"), DistributionList("board")


@pytest.mark.parametrize("version", [V33, V34, V50])
def test_a_distribution_list_fails_by_itself(version: InterfaceVersion) -> None:
    trial = Trial(by_number({2: BAD}), version=version)
    trial.submit(multi(STAFF, number(1), number(2), BOARD))
    assert trial.posted == ["+37255500001", "+37255500002"]
    assert trial.response.command_status == OK
    assert trial.response.message_id == (COMMON if version is not V33 else "00010203")
    assert Counter(trial.response.unsuccess) == Counter(
        [
            Unsuccess(Address(addr="staff"), _S.ESME_RCNTSUBDL),
            Unsuccess(Address(addr="board"), _S.ESME_RCNTSUBDL),
            Unsuccess(number(2), _S.ESME_RINVSRCADR),
        ]
    )


@pytest.mark.parametrize("lists", [(STAFF,), (STAFF, BOARD)])
@pytest.mark.parametrize("multi_all_failed", ["status", "list"])
def test_nothing_but_distribution_lists(
    lists: tuple[DistributionList, ...], multi_all_failed: str
) -> None:
    trial = Trial(by_number({}), multi_all_failed=multi_all_failed).submit(multi(*lists))
    assert trial.response == SubmitMultiResp(7, _S.ESME_RCNTSUBDL)
    assert trial.posted == []
    line = trial.line
    assert (line["level"], line["command_status"]) == ("warning", "ESME_RCNTSUBDL")
    assert (line["destinations"], line["failed"]) == (len(lists), len(lists))


def test_a_list_and_an_address_that_fails_for_a_while_are_of_two_kinds() -> None:
    trial = Trial(in_turn(BUSY)).submit(multi(STAFF, number(1)))
    assert trial.response == SubmitMultiResp(7, _S.ESME_RSUBMITFAIL)


# Answers in any order

ROK_OR_NOT = st.sampled_from([OK, OK, *CommandStatus])


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_order_and_any_statuses_make_one_true_answer(draw: st.DataObject) -> None:
    statuses = draw.draw(st.lists(ROK_OR_NOT, min_size=1, max_size=12))
    lists = draw.draw(st.integers(0, 3))
    order = draw.draw(st.permutations(range(len(statuses))))
    tell_all = draw.draw(st.sampled_from(["status", "list"]))
    version = draw.draw(st.sampled_from([V33, V34, V50]))
    # The same address may stand in it twice.
    addresses = [number(draw.draw(st.integers(0, 4))) for _ in statuses]
    named: list[Address | DistributionList] = [
        *addresses,
        *[DistributionList(f"list-{one}") for one in range(lists)],
    ]
    destinations = draw.draw(st.permutations(named))
    fan_out = FanOut(version, multi_all_failed=tell_all).submit(multi(*destinations))
    submits = fan_out.submits
    assert Counter(submit.destination for submit in submits) == Counter(addresses)

    for call in order[:-1]:
        assert fan_out.relay.answer(call, statuses[call])
        assert fan_out.answers == []
    assert fan_out.relay.answer(order[-1], statuses[order[-1]])
    [response] = fan_out.answers

    failed = Counter(
        [
            Unsuccess(submit.destination, status)
            for submit, status in zip(submits, statuses, strict=True)
            if status
        ]
        + [Unsuccess(Address(addr=f"list-{one}"), _S.ESME_RCNTSUBDL) for one in range(lists)]
    )
    if failed.total() < len(destinations) or tell_all == "list":
        assert response.command_status == OK
        assert Counter(response.unsuccess) == failed
        common = "00010203" if version is V33 else COMMON
        alone = "" if statuses[0] else "id-0"
        assert response.message_id == (common if len(destinations) > 1 else alone)
    else:
        assert response.unsuccess is None
        assert response.message_id is None
        told = {one.error_status for one in failed}
        temporary = {_S.ESME_RTHROTTLED, _S.ESME_RMSGQFUL, _S.ESME_RSYSERR}
        same = len(told) == 1 and told <= temporary
        assert response.command_status == (told.pop() if same else _S.ESME_RSUBMITFAIL)


_steps = st.builds(
    Step._replace,
    st.sampled_from([accepted(ID), BUSY, DOWN, BAD, GONE]),
    after=st.just(0.0) | st.floats(0.0, 12.0),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(_steps, min_size=2, max_size=8))
def test_the_answer_is_true_and_in_time_whatever_the_api_does(steps: list[Step]) -> None:
    trial = Trial(by_number(dict(enumerate(steps))), response_deadline=5)
    trial.submit(multi(*map(number, range(len(steps)))))
    trial.run(5 + 1e-6)
    results = {
        post.sms["to"]: result
        for post, result in zip(trial.transport.posts, trial.transport.results, strict=True)
    }
    ok = {to for to, result in results.items() if getattr(result, "status", 0) == 201}
    assert len(results) == len(trial.transport.posts) == len(steps)
    if not ok:
        assert trial.response.command_status != OK
        return
    assert trial.response.command_status == OK
    assert {f"+{one.address.addr}" for one in trial.response.unsuccess} == set(results) - ok


def test_a_late_destination_holds_the_answer_but_not_the_others() -> None:
    trial = Trial(by_number({1: accepted("late")._replace(after=3.0)}))
    trial.submit(multi(number(1), number(2)))
    assert len(trial.lines("message_relayed")) == 1
    assert trial.answers == []
    trial.run(4)
    assert trial.response == SubmitMultiResp(7, OK, COMMON, ())


# The line of the PDU


def test_the_line_of_a_submit_multi() -> None:
    trial = Trial(by_number({2: BAD})).submit(multi(number(1), number(2), STAFF))
    line = trial.line
    del line["timestamp"]
    assert line == {
        "level": "info",
        "event": "submit_multi_answered",
        "session_id": "s7",
        "system_id": "bank",
        "sequence_number": 7,
        "command_status": "ESME_ROK",
        "destinations": 3,
        "failed": 2,
        "message_id": COMMON,
    }


def test_the_line_when_nothing_failed() -> None:
    line = Trial(by_number({})).submit(multi(number(1), number(2))).line
    assert (line["failed"], line["destinations"]) == (0, 2)
    assert "answered" not in line


@pytest.mark.parametrize("pdu", [multi(number(1), number(2)), multi(STAFF)])
@pytest.mark.parametrize("step", [accepted(), BAD])
def test_an_answer_that_nobody_took(pdu: SubmitMulti, step: Step) -> None:
    trial = Trial(in_turn(step))
    trial.reachable = False
    trial.submit(pdu)
    assert len(trial.answers) == 1
    assert trial.line["answered"] is False


def test_answers_can_be_left_out_of_the_log_but_refusals_cannot() -> None:
    trial = Trial(in_turn(accepted(), accepted(), BAD), log_messages=False)
    trial.submit(multi(number(1), number(2)))
    assert trial.lines("submit_multi_answered") == []
    trial.submit(multi(number(3), number(4)))
    trial.submit(multi(STAFF))
    assert [line["command_status"] for line in trial.lines("submit_multi_answered")] == [
        "ESME_RSUBMITFAIL",
        "ESME_RCNTSUBDL",
    ]


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_text_and_no_whole_number_reaches_the_log(form: Any) -> None:
    trial = Trial(by_number({2: BAD}), log=LogSettings(format=form, level="debug"))
    trial.submit(multi(number(1), number(2), Address(1, 1, "37255512345x")))
    trial.submit(multi(DistributionList("37255512345")))
    trial.submit(data(destination=Address(1, 1, "37255512345")))
    log = trial.stream.getvalue()
    assert log.count("submit_multi_answered") == 2
    for secret in (TEXT, "Zebra", FROM.addr, "37255500001", "37255512345"):
        assert secret not in log


# SMPP 3.3


def test_a_3_3_esme_gets_a_short_common_id_that_leads_back() -> None:
    trial = Trial(by_number({}), version=V33).submit(multi(number(1), number(2)))
    assert trial.response == SubmitMultiResp(7, OK, "00010203", ())
    found: list[str | None] = []
    trial.store.find_id("bank", 0x00010203).addCallback(found.append)
    assert found == [COMMON]
    # One row for the PDU, none for its destinations.
    assert len(trial.store.operations) == 2


def test_a_single_destination_of_a_3_3_esme_gets_the_short_form_of_the_apis_id() -> None:
    trial = Trial(in_turn(accepted(ID)), version=V33).submit(multi(number(1)))
    assert trial.response == SubmitMultiResp(7, OK, ID[:8], ())


def test_nothing_leaves_before_the_short_id_is_kept() -> None:
    trial = Trial(by_number({}), version=V33)
    trial.store.holding = True
    trial.submit(multi(number(1), number(2)))
    assert (trial.posted, trial.answers) == ([], [])
    [give] = trial.store.held
    give()
    assert trial.response == SubmitMultiResp(7, OK, "00010203", ())
    assert len(trial.posted) == 2


def test_the_wait_for_the_store_counts() -> None:
    trial = Trial(by_number({}), version=V33, response_deadline=10)
    trial.store.holding = True
    trial.submit(multi(number(1), number(2)), waited=0)
    trial.run(10)
    [give] = trial.store.held
    give()
    assert trial.response == SubmitMultiResp(7, _S.ESME_RMSGQFUL)
    assert trial.posted == []


def test_a_broken_store_stops_no_submit_multi_of_a_3_3_esme() -> None:
    trial = Trial(by_number({}), version=V33)
    trial.store.broken = True
    trial.submit(multi(number(1), number(2)))
    assert trial.response == SubmitMultiResp(7, OK, "00010203", ())
    [line] = trial.lines("store_failed")
    assert (line["operation"], line["detail"]) == ("keep_id", "the disk is full")


def test_parts_to_a_number_that_stands_twice_are_two_messages() -> None:
    trial = Trial(in_turn(accepted()))
    for part in (1, 2):
        header = bytes([5, 0, 3, 7, 2, part])
        pdu = multi(number(1), number(1), number(2))
        trial.submit(replace(pdu, esm_class=0x40, short_message=header + b"half "))
    assert [answer.command_status for answer in trial.answers] == [OK, OK]
    texts = Counter(post.sms["to"] for post in trial.transport.posts)
    assert sorted(texts.values()) == [1, 2]
    assert trial.store.real.counts()[:2] == (0, 0)


# Receipts


def sent(trial: Trial, pdu: Submission) -> Esme:
    """An ESME that is bound when the submission has been answered, a moment later."""
    trial.submit(pdu)
    trial.run(1)
    return esme(trial.whole)


def test_a_data_sm_asks_as_a_submit_sm_does() -> None:
    trial = Trial(in_turn(accepted(ID)))
    tlvs = (*data().tlvs, Tlv(Tag.user_message_reference, b"\1\2"))
    one = sent(trial, data(registered_delivery=0x11, tlvs=tlvs))
    assert route_of(trial.whole).targets == (Target(0, 0x11, 0x0102),)
    call_back(trial.whole, "DELIVRD", to=number(1).addr)
    assert one.ids == [ID] == [trial.response.message_id]
    assert (one.pdus[0].source, one.pdus[0].destination) == (number(1), FROM)
    assert trial.store.real.counts().receipts == 1


@pytest.mark.parametrize("pdu", [data(), multi(number(1)), multi(number(1), number(2))])
def test_nothing_asks_for_what_it_does_not_ask_for(pdu: Submission) -> None:
    trial = Trial(by_number({})).submit(pdu)
    assert not any("dlr_url" in post.sms for post in trial.transport.posts)
    assert (trial.store.operations, trial.whole.unanswered._waiting) == ([], {})


@pytest.mark.parametrize(
    ("account", "shown"),
    [
        ({}, COMMON),
        ({"message_id_format": "hex"}, COMMON.replace("-", "")),
        (
            {"message_id_format": "hex", "receipt_id_format": "decimal"},
            str(int(COMMON.replace("-", ""), 16)),
        ),
        ({"message_id_format": "decimal", "receipt_id_format": "uuid"}, COMMON),
    ],
)
def test_each_destination_of_a_submit_multi_is_told_under_the_common_id(
    account: dict[str, Any], shown: str
) -> None:
    trial = Trial(by_number({}), **account)
    one = sent(trial, multi(number(1), number(2), number(3), registered_delivery=1))
    for place, status in ((2, "DELIVRD"), (0, "UNDELIV"), (0, "DELIVRD"), (2, "DELIVRD")):
        index = place + 1
        report = {"to": number(index).addr, "omnimessage_id": f"id-{index}"}
        assert call_back(trial.whole, status, place, **report) == 200
    assert one.ids == [shown] * 2
    assert [pdu.source for pdu in one.pdus] == [number(3), number(1)]
    assert one.stats == ["DELIVRD", "UNDELIV"]
    routes = [route_of(trial.whole, place) for place in range(3)]
    assert {route.common_id for route in routes} == {trial.response.message_id}
    assert len({route.serial for route in routes}) == 1


def test_the_only_destination_is_told_under_the_apis_id() -> None:
    trial = Trial(in_turn(accepted(ID)))
    one = sent(trial, multi(number(1), registered_delivery=1))
    call_back(trial.whole, "DELIVRD", to=number(1).addr)
    assert one.ids == [ID] == [trial.response.message_id]


@pytest.mark.parametrize("destinations", [1, 2])
def test_a_3_3_esme_reads_the_number_of_the_response(destinations: int) -> None:
    trial = Trial(by_number({}, accepted(ID)), version=V33)
    one = sent(trial, multi(*map(number, range(destinations)), registered_delivery=1))
    call_back(trial.whole, "DELIVRD", to="")
    assert one.ids == [f"{int(trial.response.message_id, 16):010d}"]


@pytest.mark.parametrize("step", [accepted("late"), BAD])
def test_no_receipt_overtakes_the_response_of_a_submit_multi(step: Step) -> None:
    trial = Trial(by_number({2: step._replace(after=5.0)}))
    one = esme(trial.whole)
    trial.submit(multi(number(1), number(2), registered_delivery=0x11))
    trial.run(1)
    report = {"to": number(1).addr, "omnimessage_id": "id-1"}
    call_back(trial.whole, "ACCEPTD", 0, **report)
    call_back(trial.whole, "DELIVRD", 0, **report)
    trial.run(3.9)
    assert (trial.answers, one.pdus) == ([], [])
    trial.run(0.2)
    assert (len(trial.answers), one.pdus) == (1, [])
    trial.run(1)
    one.take_all()
    assert one.stats == ["ACCEPTD", "DELIVRD"]
    assert trial.whole.unanswered._waiting == {}


def test_that_response_is_written_first_even_without_a_moment_between() -> None:
    trial = Trial(by_number({}, accepted(ID)._replace(after=1.0)), receipt_delay=0)
    one = esme(trial.whole)
    before: list[int] = []  # receipts that had left when the response did

    def respond(response: Response) -> bool:
        before.append(len(one.pdus))
        return True

    pdu = multi(number(1), number(2), registered_delivery=1)
    trial.submissions.submit(pdu, trial.origin, respond)
    call_back(trial.whole, "DELIVRD", 0, to="")
    trial.run(2)
    assert (before, one.stats) == ([0], ["DELIVRD"])


def test_a_submit_multi_that_nobody_sends_waits_for_nothing() -> None:
    trial = Trial(by_number({}), response_deadline=10)
    trial.submit(multi(number(1), number(2), registered_delivery=1), waited=10)
    trial.submit(multi(STAFF, registered_delivery=1))
    assert len(trial.answers) == 2
    assert trial.whole.unanswered._waiting == {}


def test_a_submit_multi_that_is_polled_for_has_a_row_for_each_destination() -> None:
    trial = Trial(by_number({}), receipts="poll")
    trial.submit(multi(number(1), number(2), registered_delivery=1))
    assert {row["message_id"] for row in trial.store.awaited()} == {"id-1", "id-2"}
    assert {row["system_id"] for row in trial.store.awaited()} == {"bank"}
