"""The table of what an ESME may send in which state, cell by cell, through a session.

The table is typed from the reference, not taken from the module that is tested.
"""

from typing import Final

import pytest

from gateway.smpp import effects as e
from gateway.smpp import pdu as p
from gateway.smpp.constants import CommandId, CommandStatus
from gateway.smpp.session import SessionLimits
from gateway.smpp.states import BOUND, BOUND_AS, MOVES, State
from tests.smpp.conversation import Conversation, everything_read  # noqa: F401
from tests.smpp.known_pdus import LEAST_BODIES, wire

# SMPP 3.4 section 2.3 with 5.0's additions. For deliver_sm while unbinding the specification
# has no word; it is answered as in every other state, since every request is answered once.
TABLE: Final = """
                    | OPEN       | TX         | RX         | TRX        | unbinding
bind_receiver       | yes        | RALYBND    | RALYBND    | RALYBND    | RINVBNDSTS
bind_transmitter    | yes        | RALYBND    | RALYBND    | RALYBND    | RINVBNDSTS
bind_transceiver    | yes        | RALYBND    | RALYBND    | RALYBND    | RINVBNDSTS
submit_sm           | RINVBNDSTS | yes        | RINVBNDSTS | yes        | RINVBNDSTS
submit_multi        | RINVBNDSTS | yes        | RINVBNDSTS | yes        | RINVBNDSTS
query_sm            | RINVBNDSTS | yes        | RINVBNDSTS | yes        | RINVBNDSTS
cancel_sm           | RINVBNDSTS | yes        | RINVBNDSTS | yes        | RINVBNDSTS
replace_sm          | RINVBNDSTS | yes        | RINVBNDSTS | yes        | RINVBNDSTS
data_sm             | RINVBNDSTS | yes        | RINVBNDSTS | yes        | RINVBNDSTS
deliver_sm_resp     | ignore     | ignore     | yes        | yes        | yes
data_sm_resp        | ignore     | ignore     | yes        | yes        | yes
deliver_sm          | RINVBNDSTS | RINVBNDSTS | RINVBNDSTS | RINVBNDSTS | RINVBNDSTS
enquire_link        | ROK        | ROK        | ROK        | ROK        | ROK
unbind              | yes        | yes        | yes        | yes        | ROK
generic_nack        | yes        | yes        | yes        | yes        | yes
enquire_link_resp   | yes        | yes        | yes        | yes        | yes
unbind_resp         | yes        | yes        | yes        | yes        | yes
outbind             | ignore     | ignore     | ignore     | ignore     | ignore
alert_notification  | ignore     | ignore     | ignore     | ignore     | ignore
"""
# An ESME has no business sending these; they answer nothing of ours.
NOT_IN_THE_TABLE: Final = (
    "bind_receiver_resp bind_transmitter_resp bind_transceiver_resp submit_sm_resp "
    "submit_multi_resp query_sm_resp cancel_sm_resp replace_sm_resp"
)
# What is handed on, and to whom.
HANDED_ON: Final = {
    "submit_sm": e.Submit,
    "submit_multi": e.Submit,
    "data_sm": e.Submit,
    "query_sm": e.Inquire,
    "cancel_sm": e.Inquire,
}


def rows() -> list[tuple[str, str, str]]:
    head, *lines = (line.split("|") for line in TABLE.strip("\n").splitlines())
    cells = [
        (state.strip(), line[0].strip(), cell.strip())
        for line in lines
        for state, cell in zip(head[1:], line[1:], strict=True)
    ]
    others = [(state.strip(), n, "ignore") for state in head[1:] for n in NOT_IN_THE_TABLE.split()]
    return cells + others


def in_state(state: str) -> Conversation:
    talk = Conversation(SessionLimits())
    if state == "unbinding":
        talk.bound(p.BindTransceiver(1))
        talk >> p.SubmitSm(2) << e.Submit
        talk >> p.Unbind(3)  # its response waits for the submit's
    elif state != "OPEN":
        binds = {"TX": p.BindTransmitter, "RX": p.BindReceiver, "TRX": p.BindTransceiver}
        talk.bound(binds[state](1))
    return talk


@pytest.mark.parametrize(("state", "name", "cell"), rows(), ids=lambda value: str(value))
def test_cell(state: str, name: str, cell: str) -> None:
    talk = in_state(state)
    command_id = CommandId[name]
    before = talk.session.state
    talk >> wire(command_id, 0xABCD, 0, LEAST_BODIES.get(name, ""))

    if cell.startswith("R"):
        status = CommandStatus[f"ESME_{cell}"]
        answer = {cls.command_id: cls for cls in _responses()}[CommandId(command_id | 0x80000000)]
        body = {"system_id": ""} if issubclass(answer, p.BindResp) else {}
        talk << answer(0xABCD, status, **body)
        assert talk.session.state is before
    elif cell == "ignore":
        assert talk.flags == ["ignored"]
        assert talk.session.state is before
    elif name.startswith("bind"):
        talk << e.Authenticate << e.PauseReading
    elif name == "unbind":
        talk << p.UnbindResp(0xABCD) << e.Close("unbound")
    elif name in HANDED_ON:
        talk << HANDED_ON[name]
        assert talk.handed_on[-1].command_id is command_id
        assert talk.handed_on[-1].sequence_number == 0xABCD
    elif name == "replace_sm":
        talk << p.ReplaceSmResp(0xABCD, CommandStatus.ESME_RREPLACEFAIL)
    else:  # a response that could settle a request of ours; none waits here
        assert talk.flags == ["unexpected_response"]
        assert talk.session.state is before


def _responses() -> list[type[p.Pdu]]:
    kinds: list[type[p.Pdu]] = [p.HeaderOnly, p.BindResp, p.MessageResp]
    return [
        *(cls for kind in kinds for cls in kind.__subclasses__()),
        p.SubmitMultiResp,
        p.QuerySmResp,
    ]


def test_the_cells_are_all_the_cells() -> None:
    assert len({(state, name) for state, name, _ in rows()}) == 5 * len(CommandId)
    table = {name for _, name, _ in rows()} - set(NOT_IN_THE_TABLE.split())
    assert {CommandId[name] for name in table} == set(MOVES[State.OPEN])
    assert all(set(moves) == set(MOVES[State.OPEN]) for moves in MOVES.values())
    assert set(MOVES) == set(State) - {State.CLOSED}


def test_the_bind_types() -> None:
    for bind, state in [
        (p.BindTransmitter(1), State.BOUND_TX),
        (p.BindReceiver(1), State.BOUND_RX),
        (p.BindTransceiver(1), State.BOUND_TRX),
    ]:
        assert Conversation().bound(bind).session.state is state
        assert BOUND_AS[bind.command_id] is state
        assert state in BOUND
