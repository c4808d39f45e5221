"""Anything in any order: any PDU, any timing, any order of answers, beside the model.

Its callers keep only their part: one `respond` for every Submit and Inquire, one verdict for
every Authenticate. What must be true of the session stands in `session_pair`.

    HYPOTHESIS_PROFILE=long .venv/bin/pytest tests/smpp/test_session_machine.py

looks at a hundred times as many conversations.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.smpp import pdu as p
from gateway.smpp.codec import encode
from gateway.smpp.constants import CommandStatus as S
from gateway.smpp.session import SessionLimits
from tests.smpp.any_pdu import ANY_32_BITS, CLASSES, damaged, pdus
from tests.smpp.session_pair import LIMITS, OTHER_LIMITS, Pair

LONG: Final = os.environ.get("HYPOTHESIS_PROFILE") == "long"
EXAMPLES: Final = 25_000 if LONG else 250

BINDS: Final[list[type[p.Pdu]]] = [p.BindReceiver, p.BindTransmitter, p.BindTransceiver]
FIRST: Final = [p.BindTransceiver, p.BindTransmitter, p.BindTransceiver, p.BindReceiver, None, None]
SELDOM: Final = st.sampled_from([False, False, False, False, False, True])
OTHERS: Final = [cls for cls in CLASSES if cls is not p.Unbind]  # which ends it too soon
REQUESTS: Final = [p.SubmitSm, p.SubmitMulti, p.DataSm, p.QuerySm, p.CancelSm]
ANSWERS: Final = [p.DeliverSmResp, p.EnquireLinkResp, p.UnbindResp, p.GenericNack]
NUMBERS: Final = st.integers(1, 50)  # few, so that they meet again
STATUSES: Final = st.sampled_from(
    [S.ESME_ROK, S.ESME_RINVDSTADR, S.ESME_RTHROTTLED, S.ESME_RINVDCS]
)


def request(cls: type[p.Pdu], number: int) -> p.Pdu:
    """The least that the class can be."""
    if cls is p.SubmitMulti:
        return p.SubmitMulti(number, destinations=(p.Address(1, 1, "3725"),))
    return cls(number)


class AnyOrder(RuleBasedStateMachine):
    """Both sides of one session, without a will."""

    @initialize(
        window=st.sampled_from([1, 2, 3, 5, 9]),
        throttle=st.booleans(),
        keep_broken_tlv=st.booleans(),
        bind=st.sampled_from(FIRST),
        too_late=SELDOM,
    )
    def connects(
        self,
        window: int,
        throttle: bool,
        keep_broken_tlv: bool,
        bind: type[p.Pdu] | None,
        too_late: bool,
    ) -> None:
        self.pair = Pair(replace(LIMITS, keep_broken_tlv=keep_broken_tlv))
        self.window, self.throttle = window, throttle
        self.half = b""
        if bind is not None:  # most sessions should get somewhere
            self.writes(bind(1))
            if too_late:
                self.pair.shuts_down()
            self.pair.accepts(window, throttle)

    def writes(self, *pdus: p.Pdu | bytes) -> None:
        """Whole PDUs in one chunk, behind whatever half of one was written before."""
        octets = b"".join(pdu if isinstance(pdu, bytes) else encode(pdu) for pdu in pdus)
        rest, self.half = self.half, b""
        self.pair.writes(rest + octets)

    # The ESME's moves.

    @rule(first=st.sampled_from(REQUESTS), numbers=st.lists(NUMBERS, min_size=1, max_size=12))
    def asks_for_something(self, first: type[p.Pdu], numbers: Sequence[int]) -> None:
        self.writes(request(first, 0), *(p.SubmitSm(number) for number in numbers))

    @precondition(lambda self: self.pair.model.state == "OPEN")
    @rule(bind=pdus(BINDS), behind=st.lists(NUMBERS, max_size=8))
    def binds(self, bind: p.Bind, behind: Sequence[int]) -> None:
        self.writes(bind, *(p.SubmitSm(number) for number in behind))

    @rule(pdu=pdus(OTHERS))
    def writes_anything_but_unbind(self, pdu: p.Pdu) -> None:
        self.writes(pdu)

    @rule(octets=damaged())
    def writes_something_damaged(self, octets: bytes) -> None:
        self.writes(octets)

    @rule(octets=st.sampled_from([bytes(16), b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\x0f" * 9]))
    def loses_framing(self, octets: bytes) -> None:
        self.writes(octets)

    @rule(octets=st.sampled_from([500, 2000, 5000]))
    def writes_much(self, octets: int) -> None:
        self.writes(p.DataSm(3, tlvs=(p.Tlv(0x0424, bytes(octets)),)))

    @rule(number=ANY_32_BITS, times=st.integers(1, 2), at_work=st.booleans())
    def unbinds_once_or_twice(self, number: int, times: int, at_work: bool) -> None:
        self.writes(*[p.SubmitSm(4)] * at_work, *[p.Unbind(number)] * times)

    @precondition(lambda self: self.pair.model.last_number)
    @rule(cls=st.sampled_from(ANSWERS), status=STATUSES, data=st.data())
    def answers_us(self, cls: type[p.Pdu], status: S, data: st.DataObject) -> None:
        number = data.draw(st.integers(1, self.pair.model.last_number))
        self.writes(cls(number, status))

    @rule(cut=st.integers(1, 15))
    def stops_in_the_middle(self, cut: int) -> None:
        octets = encode(p.EnquireLink(9))
        rest, self.half = self.half, octets[cut:]
        self.pair.writes(rest + octets[:cut])

    @rule()
    def hangs_up(self) -> None:
        self.pair.hangs_up()

    # The gateway's moves.

    @precondition(lambda self: self.pair.to_check is not None)
    @rule()
    def accepts(self) -> None:
        self.pair.accepts(self.window, self.throttle)

    @precondition(lambda self: self.pair.to_check is not None)
    @rule(status=st.sampled_from([S.ESME_RINVPASWD, S.ESME_RBINDFAIL]))
    def refuses(self, status: S) -> None:
        self.pair.refuses(status)

    @precondition(lambda self: self.pair.handed_on)
    @rule(data=st.data(), status=STATUSES)
    def responds(self, data: st.DataObject, status: S) -> None:
        last = len(self.pair.handed_on) - 1
        self.pair.responds(data.draw(st.integers(0, last)), status)

    @precondition(lambda self: self.pair.model.state not in {"OPEN", "CLOSED"})
    @rule(window=st.sampled_from([1, 2, 9]), throttle=st.booleans())
    def has_another_window(self, window: int, throttle: bool) -> None:
        self.pair.applies(window, throttle)

    @rule(limits=st.sampled_from([LIMITS, OTHER_LIMITS]))
    def has_other_limits(self, limits: SessionLimits) -> None:
        self.pair.relimits(limits)

    @rule(times=st.integers(1, 3))
    def delivers(self, times: int) -> None:
        for _ in range(times):
            self.pair.delivers()

    @rule(at_work=st.booleans())
    def shuts_down(self, at_work: bool) -> None:
        if at_work:
            self.writes(p.SubmitSm(5))
        self.pair.shuts_down()
        self.pair.delivers()

    @rule(seconds=st.sampled_from([0.5, 1.0, 5.0, 11.0, 45.0]), times=st.integers(1, 5))
    def time_passes(self, seconds: float, times: int) -> None:
        for _ in range(times):
            self.pair.waits(seconds)

    # What takes several moves to get to.

    @rule(times=st.integers(1, 3))
    def lives_and_answers_nothing(self, times: int) -> None:
        for _ in range(times):
            self.pair.waits(12)
            self.writes(p.EnquireLink(7))

    @rule(times=st.integers(1, 4))
    def takes_its_receipts(self, times: int) -> None:
        for _ in range(times):
            self.pair.delivers()
            self.writes(p.DeliverSmResp(self.pair.model.last_number))
            self.pair.waits(11)

    @rule(seconds=st.sampled_from([11.0, 12.0]))
    def waits_for_a_slow_api(self, seconds: float) -> None:
        self.writes(*[p.SubmitSm(8)] * (self.pair.window + 1))
        self.pair.waits(seconds)
        while self.pair.handed_on:
            self.pair.responds(0, S.ESME_ROK)
        self.pair.waits(1)

    def teardown(self) -> None:
        if hasattr(self, "pair"):
            self.pair.finishes()


def test_anything_in_any_order() -> None:
    run_state_machine_as_test(
        AnyOrder, settings=settings(deadline=None, max_examples=EXAMPLES, stateful_step_count=30)
    )
