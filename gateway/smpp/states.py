"""Which PDU an ESME may send in which session state, and what becomes of it: one table.

SMPP 3.4 section 2.3 and 5.0 section 2.4. Two rows are wider than 3.4's own table, as 5.0
is: replace_sm on a transceiver and enquire_link before the bind. PDUs that only an MC sends
are ignored without an answer where the specification gives them none.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from gateway.smpp.constants import CommandId, CommandStatus


class State(Enum):
    """SMPP 3.4 section 2.2, seen from the MC."""

    OPEN = auto()
    BOUND_TX = auto()
    BOUND_RX = auto()
    BOUND_TRX = auto()
    UNBINDING = auto()  # either side sent unbind
    CLOSED = auto()


class Move(Enum):
    """What the session does with a PDU."""

    BIND = auto()
    ALREADY_BOUND = auto()  # its response with ESME_RALYBND
    SUBMIT = auto()
    INQUIRE = auto()
    UNSERVED = auto()  # its response with the truthful failure of `UNSERVED`
    WRONG_STATE = auto()  # its response with ESME_RINVBNDSTS
    CROSSING = auto()  # the same, but with ESME_RMSGQFUL if it is the MC that unbinds
    ENQUIRE_LINK = auto()
    UNBIND = auto()
    RESPONSE = auto()  # settles a request of ours
    IGNORE = auto()


BOUND_AS: Final = {
    CommandId.bind_receiver: State.BOUND_RX,
    CommandId.bind_transmitter: State.BOUND_TX,
    CommandId.bind_transceiver: State.BOUND_TRX,
}
BOUND: Final = frozenset(BOUND_AS.values())
RECEIVING: Final = frozenset({State.BOUND_RX, State.BOUND_TRX})  # those who take a deliver_sm

_C = CommandId
_BINDS = (_C.bind_receiver, _C.bind_transmitter, _C.bind_transceiver)
SUBMISSIONS: Final = (_C.submit_sm, _C.submit_multi, _C.data_sm)
INQUIRIES: Final = (_C.query_sm, _C.cancel_sm)
_LINK_RESPONSES = (_C.generic_nack, _C.enquire_link_resp, _C.unbind_resp)
_COLUMNS = (State.OPEN, State.BOUND_TX, State.BOUND_RX, State.BOUND_TRX, State.UNBINDING)

# One letter a cell, to keep the table a table.
_CELLS: Final = {
    "B": Move.BIND,
    "A": Move.ALREADY_BOUND,
    "S": Move.SUBMIT,
    "I": Move.INQUIRE,
    "U": Move.UNSERVED,
    "x": Move.WRONG_STATE,
    "C": Move.CROSSING,
    "E": Move.ENQUIRE_LINK,
    "Q": Move.UNBIND,
    "R": Move.RESPONSE,
    "-": Move.IGNORE,
}
_ROWS: Final = (
    # columns: OPEN TX RX TRX UNBINDING
    (_BINDS, "B A A A x"),
    (SUBMISSIONS, "x S x S C"),
    (INQUIRIES, "x I x I C"),
    ((_C.replace_sm,), "x U x U x"),
    ((_C.deliver_sm,), "x x x x x"),
    ((_C.deliver_sm_resp, _C.data_sm_resp), "- - R R R"),
    ((_C.enquire_link,), "E E E E E"),
    ((_C.unbind,), "Q Q Q Q Q"),
    (_LINK_RESPONSES, "R R R R R"),
    ((_C.outbind, _C.alert_notification), "- - - - -"),
)

# A response that answers nothing of ours (submit_sm_resp, bind_resp from an ESME) is ignored.
MOVES: Final[dict[State, dict[CommandId, Move]]] = {
    state: {
        command_id: _CELLS[cells.split()[column]]
        for command_ids, cells in _ROWS
        for command_id in command_ids
    }
    for column, state in enumerate(_COLUMNS)
}

# What a request that is not served is told, in the words its response has for failure, and
# why. The API has no call that changes a message.
UNSERVED: Final[dict[CommandId, tuple[CommandStatus, str]]] = {
    _C.replace_sm: (
        CommandStatus.ESME_RREPLACEFAIL,
        "a message that was accepted cannot be changed; cancel_sm works while it is scheduled",
    ),
}
