"""Every way to submit, as one submit_sm a destination.

data_sm is a submit_sm with fewer fields and its text in message_payload. submit_multi is as
many submit_sm as it has addresses, each relayed and logged by itself, and one answer when all
are done: the destinations that failed stand in it with their own status (SMPP 3.4 section
4.5). Its message_id is the gateway's own, because the API gives each destination another; only
with a single destination it is the API's. Where there is no room for all of its addresses (see
`load`) it is refused as a whole: many clients never look at the list of those that failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred

from gateway.bridge.journey import Answer, Origin, Share
from gateway.bridge.load import Load
from gateway.bridge.message_ids import MessageIds
from gateway.bridge.refusals import Overloaded
from gateway.bridge.routes import ASKS
from gateway.bridge.unanswered import Unanswered
from gateway.metrics import Metrics
from gateway.smpp.constants import CommandStatus, Tag, name_of
from gateway.smpp.effects import Submission
from gateway.smpp.message_id import base_of, of_part
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
from gateway.smpp.timefmt import format_relative
from gateway.smpp.versions import Response, status_for

Respond = Callable[[Response], bool]  # False when the ESME is gone and will not see it

_S = CommandStatus
# Failures that another try may cure: if all destinations fail so, the whole PDU does.
_TEMPORARY: Final = frozenset({_S.ESME_RTHROTTLED, _S.ESME_RMSGQFUL, _S.ESME_RSYSERR})


class Relays(Protocol):
    """Who relays a message to one destination: `bridge.relay.Relay`."""

    @property
    def load(self) -> Load: ...

    def submit(
        self,
        submit: SubmitSm,
        origin: Origin,
        answer: Answer,
        received_at: float | None = None,
        share: Share | None = None,
    ) -> None: ...


class Submissions:
    """Hands every kind of submission to the relay. `random` gives so many random octets."""

    def __init__(
        self,
        relay: Relays,
        message_ids: MessageIds,
        unanswered: Unanswered,
        random: Callable[[int], bytes],
        metrics: Metrics,
        log: FilteringBoundLogger,
        *,
        log_messages: bool = True,
    ) -> None:
        self._relay = relay
        self._ids = message_ids
        self._unanswered = unanswered
        self._random = random
        self._metrics = metrics
        self._log = log
        self.log_messages = log_messages

    def submit(
        self,
        pdu: Submission,
        origin: Origin,
        respond: Respond,
        received_at: float | None = None,
    ) -> None:
        """Relay `pdu`; `respond` is called once with the response of its kind."""
        if type(pdu) is SubmitSm:
            self._relay.submit(pdu, origin, respond, received_at)
        elif isinstance(pdu, DataSm):
            self._relay.submit(
                as_submit_sm(pdu), origin, lambda found: respond(_data_sm_resp(found)), received_at
            )
        elif isinstance(pdu, SubmitMulti):
            self._submit_multi(pdu, origin, respond, received_at)

    def _submit_multi(
        self, pdu: SubmitMulti, origin: Origin, respond: Respond, received_at: float | None
    ) -> None:
        addresses = [one for one in pdu.destinations if isinstance(one, Address)]
        if not addresses:
            self._refuse(pdu, origin, respond, _S.ESME_RCNTSUBDL)
            return
        load = self._relay.load
        try:
            load.enter(origin.account, len(addresses))
        except Overloaded as refusal:
            load.leave(origin.account, len(addresses))
            self._refuse(pdu, origin, respond, refusal.command_status, refusal.detail)
            return
        if len(pdu.destinations) == 1:
            self._fan_out(pdu, addresses, origin, respond, received_at, "")
            return
        shown = self._ids.shown(of_part(base_of(self._random(16)), 0), origin)
        if isinstance(shown, Deferred):
            shown.addCallback(
                lambda common_id: self._fan_out(
                    pdu, addresses, origin, respond, received_at, common_id
                )
            )
        else:
            self._fan_out(pdu, addresses, origin, respond, received_at, shown)

    def _fan_out(
        self,
        pdu: SubmitMulti,
        addresses: list[Address],
        origin: Origin,
        respond: Respond,
        received_at: float | None,
        common_id: str,
    ) -> None:
        lists = [one for one in pdu.destinations if isinstance(one, DistributionList)]
        self._count(len(lists), origin, _S.ESME_RCNTSUBDL)
        unsuccess = [Unsuccess(Address(addr=one.dl_name), _S.ESME_RCNTSUBDL) for one in lists]
        left = len(addresses)
        message_id = common_id
        serial = self._unanswered.begin() if pdu.registered_delivery & ASKS else 0

        def answered(destination: Address) -> Answer:
            def answer(found: SubmitSmResp) -> bool:
                nonlocal left, message_id
                left -= 1
                if found.command_status:
                    unsuccess.append(Unsuccess(destination, found.command_status))
                else:
                    message_id = found.message_id or ""
                if left:
                    return True
                all_failed = len(unsuccess) == len(pdu.destinations)
                tell_all = origin.account.settings.multi_all_failed == "list"
                response = SubmitMultiResp(
                    pdu.sequence_number, _S.ESME_ROK, message_id, tuple(unsuccess)
                )
                if all_failed and not tell_all:
                    response = SubmitMultiResp(pdu.sequence_number, _common(unsuccess))
                reached = respond(response)
                self._unanswered.answered(serial)
                self._say(pdu, origin, response, reached, len(unsuccess))
                return reached

            return answer

        copies: Counter[Address] = Counter()  # a number may stand in it twice
        for destination in addresses:
            share = Share(common_id, copies[destination], serial)
            copies[destination] += 1
            submit = _to_one(pdu, destination)
            self._relay.submit(submit, origin, answered(destination), received_at, share)

    def _refuse(
        self, pdu: SubmitMulti, origin: Origin, respond: Respond, status: int, detail: str = ""
    ) -> None:
        """None of its destinations was tried."""
        self._count(len(pdu.destinations), origin, status)
        response = SubmitMultiResp(pdu.sequence_number, status)
        self._say(pdu, origin, response, respond(response), detail=detail)

    def _count(self, destinations: int, origin: Origin, status: int) -> None:
        """Each is counted like a submit_sm; the relay counts those that it was handed."""
        if destinations:
            shown = name_of(CommandStatus, status_for(origin.interface_version, status))
            label = self._metrics.account(origin.account.system_id)
            self._metrics.submits(label, shown).inc(destinations)

    def _say(
        self,
        pdu: SubmitMulti,
        origin: Origin,
        response: SubmitMultiResp,
        reached: bool,
        failed: int = 0,
        detail: str = "",
    ) -> None:
        """One line for the PDU; each destination has its own."""
        status = response.command_status
        if status == _S.ESME_ROK and not self.log_messages:
            return
        log = self._log.warning if status else self._log.info
        log(
            "submit_multi_answered",
            session_id=origin.session_id,
            system_id=origin.account.system_id,
            sequence_number=pdu.sequence_number,
            command_status=name_of(CommandStatus, status),
            destinations=len(pdu.destinations),
            failed=failed or len(pdu.destinations) if status else failed,
            **({"message_id": response.message_id} if response.message_id else {}),
            **({"detail": detail} if detail else {}),
            **({} if reached else {"answered": False}),
        )


def _common(unsuccess: list[Unsuccess]) -> int:
    """The status of a PDU all of whose destinations failed.

    ESME_RSUBMITFAIL tells a client to give up, so a failure that another try may cure, if all
    have the same, is told as it is.
    """
    statuses = {one.error_status for one in unsuccess}
    return statuses.pop() if len(statuses) == 1 and statuses <= _TEMPORARY else _S.ESME_RSUBMITFAIL


def _to_one(pdu: SubmitMulti, destination: Address) -> SubmitSm:
    return SubmitSm(
        pdu.sequence_number,
        0,
        pdu.service_type,
        pdu.source,
        destination,
        pdu.esm_class,
        pdu.protocol_id,
        pdu.priority_flag,
        pdu.schedule_delivery_time,
        pdu.validity_period,
        pdu.registered_delivery,
        pdu.replace_if_present_flag,
        pdu.data_coding,
        pdu.sm_default_msg_id,
        pdu.short_message,
        pdu.tlvs,
    )


def as_submit_sm(pdu: DataSm) -> SubmitSm:
    """The submit_sm that says the same; qos_time_to_live (seconds) is its validity_period."""
    return SubmitSm(
        pdu.sequence_number,
        0,
        pdu.service_type,
        pdu.source,
        pdu.destination,
        pdu.esm_class,
        validity_period=_validity(pdu.tlvs),
        registered_delivery=pdu.registered_delivery,
        data_coding=pdu.data_coding,
        tlvs=pdu.tlvs,
    )


def _validity(tlvs: tuple[Tlv, ...]) -> str:
    seconds = 0
    for tag, value in tlvs:
        if tag == Tag.qos_time_to_live:
            seconds = int.from_bytes(value)
    return format_relative(seconds) if seconds else ""


def _data_sm_resp(found: SubmitSmResp) -> DataSmResp:
    return DataSmResp(found.sequence_number, found.command_status, found.message_id, found.tlvs)
