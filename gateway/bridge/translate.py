"""One submit_sm and its account's settings -> one request to the API. Pure.

Every refusal is a `GatewayError` that carries the command_status of the field at fault
(API document section 6, SMPP reference sections 3 to 7).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

from gateway.config import AccountSettings
from gateway.errors import GatewayError
from gateway.message import address, charset
from gateway.omnichannel.payload import SmsRequest
from gateway.smpp import timefmt
from gateway.smpp.constants import CommandStatus, EsmClass, Tag
from gateway.smpp.pdu import SubmitSm, Tlv

_S = CommandStatus
_PORT_TAGS: Final = frozenset({Tag.source_port, Tag.destination_port})
_SAR_TAGS: Final = frozenset({Tag.sar_msg_ref_num, Tag.sar_total_segments, Tag.sar_segment_seqnum})
_HIGHEST_PRIORITY: Final = 3
_UDHI: Final = int(EsmClass.UDHI)  # plain: an IntFlag makes a new flag of every `&`


class Unacceptable(GatewayError):
    """The message cannot be relayed as it was submitted."""

    command_status = _S.ESME_RSUBMITFAIL


@dataclass(frozen=True, slots=True)
class Writing:
    """How an account writes: what translation needs of its settings, made once."""

    settings: AccountSettings
    alphabets: charset.AlphabetPolicy
    numbering: address.Numbering

    @classmethod
    def of(cls, settings: AccountSettings) -> Writing:
        """The writing of an account as configured."""
        return cls(
            settings,
            charset.AlphabetPolicy(
                default_alphabet=settings.default_alphabet,
                ascii_alphabet=settings.ascii_alphabet,
                fallback_alphabet=settings.fallback_alphabet,
                refuse_undecodable=settings.undecodable == "refuse",
                ucs2_little_endian=settings.ucs2_little_endian,
                strip_nul=settings.strip_nul,
            ),
            address.Numbering(settings.country_prefix, settings.trunk_prefix),
        )


class Translated(NamedTuple):
    """The request, and what its text went through on the way."""

    request: SmsRequest
    decoded: charset.Decoded


def translate(submit: SubmitSm, writing: Writing, now: datetime) -> Translated:
    """What the API is asked to send. `now` is aware. Raises `GatewayError`."""
    settings = writing.settings
    to = address.destination(submit.destination, writing.numbering)
    sender = address.sender(submit.source, writing.numbering, settings.default_sender)
    decoded = charset.decode(_octets(submit, settings), submit.data_coding, writing.alphabets)
    if not decoded.text:
        raise Unacceptable("the message has no text", command_status=_S.ESME_RINVMSGLEN)
    ttl, time_to_send = _times(submit, settings, now)
    request = SmsRequest(
        to=to,
        text=decoded.text,
        sender=sender,
        ttl=ttl,
        time_to_send=time_to_send,
        priority=settings.priorities[min(submit.priority_flag, _HIGHEST_PRIORITY)],
        autoconvert=settings.autoconvert,
    )
    return Translated(request, decoded)


def _octets(submit: SubmitSm, settings: AccountSettings) -> bytes:
    """The octets of the text, from short_message or from message_payload."""
    if submit.esm_class & _UDHI:
        raise Unacceptable(
            "a user data header (parts of a long message, ports) is not supported yet; "
            "send long texts whole in message_payload",
            command_status=_S.ESME_RINVESMCLASS,
        )
    payload = _payload(submit.tlvs) if submit.tlvs else b""
    if not payload:
        if not submit.short_message and submit.sm_default_msg_id:
            raise Unacceptable(
                "no text is configured for this sm_default_msg_id",
                command_status=_S.ESME_RINVDFTMSGID,
            )
        return submit.short_message
    if submit.short_message and settings.text_twice == "refuse":
        raise Unacceptable(
            "short_message and message_payload are both filled; set text_twice for this account "
            "to choose one",
            command_status=_S.ESME_RINVOPTPARAMVAL,
        )
    if submit.short_message and settings.text_twice == "short_message":
        return submit.short_message
    return payload


def _payload(tlvs: tuple[Tlv, ...]) -> bytes:
    """The value of message_payload, the last one if repeated; b"" for none."""
    payload = b""
    for tag, value in tlvs:
        if tag == Tag.message_payload:
            payload = value
        elif tag in _PORT_TAGS:
            raise Unacceptable(
                "a port addresses an application, which the API cannot; only text for people "
                "is relayed",
                command_status=_S.ESME_ROPTPARNOTALLWD,
            )
        elif tag in _SAR_TAGS:
            raise Unacceptable(
                "segmentation by sar_* parameters is not supported yet; send long texts whole "
                "in message_payload",
                command_status=_S.ESME_ROPTPARNOTALLWD,
            )
    return payload


def _times(submit: SubmitSm, settings: AccountSettings, now: datetime) -> tuple[int | None, str]:
    """ttl in seconds (None: the API's default) and time_to_send ("" for now).

    The validity of SMPP runs from the submit, the API's ttl from the moment of sending.
    """
    if not submit.schedule_delivery_time and not submit.validity_period:
        return settings.default_validity or None, ""
    scheduled = _moment(submit.schedule_delivery_time, now, _S.ESME_RINVSCHED)
    expires = _moment(submit.validity_period, now, _S.ESME_RINVEXPIRY)
    if scheduled is not None and scheduled <= now:
        scheduled = None  # a time that has passed means now
    ttl = settings.default_validity or None
    if expires is not None and expires != now:  # a relative time of zero means the default
        seconds = (expires - (scheduled or now)).total_seconds()
        if seconds <= 0:
            raise Unacceptable(
                "validity_period ends before the message would be sent",
                command_status=_S.ESME_RINVEXPIRY,
            )
        ttl = min(math.ceil(seconds), settings.max_validity)
    return ttl, _iso(scheduled) if scheduled else ""


def _moment(text: str, now: datetime, status: CommandStatus) -> datetime | None:
    try:
        return timefmt.parse(text, now)
    except timefmt.InvalidTime as error:
        raise Unacceptable(str(error), command_status=status) from None


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
