"""One submit_sm, or all parts of a long one, and its account's settings -> one request. Pure.

Every refusal is a `GatewayError` that carries the command_status of the field at fault
(API document section 6, SMPP reference sections 3 to 7).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

from gateway.config import AccountSettings
from gateway.errors import GatewayError
from gateway.message import address, charset, segment, udh
from gateway.message.segment import Concatenation, Content
from gateway.omnichannel.payload import SmsRequest
from gateway.smpp import timefmt
from gateway.smpp.constants import CommandStatus, EsmClass, Tag
from gateway.smpp.pdu import SubmitSm, Tlv
from gateway.values import value_class

_S = CommandStatus
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
                packed=settings.packed,
            ),
            address.Numbering(settings.country_prefix, settings.trunk_prefix),
        )


class Envelope(NamedTuple):
    """Everything of a request but its text; fields as in `SmsRequest`."""

    to: str
    sender: str | None
    ttl: int | None
    time_to_send: str
    priority: str


@value_class
class Message:
    """What one submit_sm says: a whole message, or one part of a long one."""

    envelope: Envelope
    content: Content
    default_text: str = ""  # of its sm_default_msg_id, where it has no text of its own

    @property
    def part(self) -> Concatenation | None:
        """Which part of which set it is; None for a message that is whole."""
        concatenation = self.content.concatenation
        return concatenation if concatenation and concatenation.total > 1 else None


class Translated(NamedTuple):
    """The request, and what its text went through on the way."""

    request: SmsRequest
    decoded: charset.Decoded


def read(submit: SubmitSm, writing: Writing, now: datetime) -> Message:
    """What a submit_sm says, as far as it can be told without its siblings.

    `now` is aware. Raises `GatewayError` for what can never be relayed, so that a part is
    refused by itself and not with the last one of its set.
    """
    settings = writing.settings
    if submit.replace_if_present_flag and settings.replace_if_present == "refuse":
        raise Unacceptable(
            "replace_if_present_flag is set, and a message that was accepted cannot be replaced",
            command_status=_S.ESME_RINVSUBREP,
        )
    ttl, time_to_send = _times(submit, settings, now)
    envelope = Envelope(
        address.destination(submit.destination, writing.numbering),
        address.sender(submit.source, writing.numbering, settings.default_sender),
        ttl,
        time_to_send,
        settings.priorities[min(submit.priority_flag, _HIGHEST_PRIORITY)],
    )
    octets = _octets(submit, settings)
    if not octets and submit.sm_default_msg_id:
        text = _default_text(submit.sm_default_msg_id, settings)
        return Message(envelope, Content(b"", submit.data_coding), text)
    udhi = submit.esm_class & _UDHI
    if not udhi and not submit.tlvs:
        return Message(envelope, Content(octets, submit.data_coding))
    content = segment.read(
        octets, udhi=bool(udhi), data_coding=submit.data_coding, tlvs=submit.tlvs
    )
    if content.header and content.header.malformed and settings.malformed_udh == "refuse":
        raise Unacceptable("the user data header is malformed", command_status=_S.ESME_RINVESMCLASS)
    if content.concatenation:
        charset.check_text(submit.data_coding)
    return Message(envelope, content)


def translate(
    message: Message, contents: Sequence[Content], writing: Writing, *, udh: str = ""
) -> Translated:
    """What the API is asked to send: `message` with the text of `contents`, in their order.

    Raises `GatewayError`.
    """
    policy = writing.alphabets
    if message.default_text:
        decoded = charset.Decoded(message.default_text, "default")
    elif len(contents) == 1 and contents[0].header is None and not policy.packed:
        decoded = charset.decode(contents[0].octets, contents[0].data_coding, policy)
    else:
        decoded = segment.text_of(contents, policy)
    if not decoded.text:
        raise Unacceptable("the message has no text", command_status=_S.ESME_RINVMSGLEN)
    to, sender, ttl, time_to_send, priority = message.envelope
    request = SmsRequest(
        to, decoded.text, sender, ttl, time_to_send, priority, writing.settings.autoconvert, udh
    )
    return Translated(request, decoded)


def passed_through(content: Content, *, includes_length: bool) -> str:
    """The user data header of a part, in hexadecimal, for the API's `udh`.

    Language elements are left out: the API chooses the encoding of the text by itself. SAR
    becomes a header with a 16-bit reference.
    """
    header = udh.without_languages(content.header) if content.header else b""
    concatenation = content.concatenation
    if concatenation and concatenation.kind == "sar":
        header = udh.concatenation_header(
            concatenation.reference,
            wide=True,
            total=concatenation.total,
            number=concatenation.number,
        )
    return (header if includes_length else header[1:]).hex()


def _default_text(sm_default_msg_id: int, settings: AccountSettings) -> str:
    text = settings.default_messages.get(str(sm_default_msg_id))
    if text is None:
        raise Unacceptable(
            f"no text is configured for sm_default_msg_id {sm_default_msg_id}; "
            "see default_messages of this account",
            command_status=_S.ESME_RINVDFTMSGID,
        )
    return text


def _octets(submit: SubmitSm, settings: AccountSettings) -> bytes:
    """The octets of the message, from short_message or from message_payload."""
    payload = _payload(submit.tlvs) if submit.tlvs else b""
    if not payload:
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
