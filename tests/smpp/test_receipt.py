from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smpplib.smpp import parse_pdu

from gateway.smpp.codec import decode, encode
from gateway.smpp.constants import InterfaceVersion, Tag
from gateway.smpp.constants import MessageState as M
from gateway.smpp.pdu import Address, Tlv
from gateway.smpp.receipt import Receipt, addressed, deliver_sm, text_of, wants
from tests.smpp.known_pdus import wire

UUID = "7293dfc0-fdb2-49c3-9fe7-c8574a1e7a04"
MC = Address(5, 0, "Demo")
HANDSET = Address(1, 1, "37255500001")
DELIVERED = Receipt(
    message_id=UUID,
    message_state=M.DELIVERED,
    err=0,
    submitted_at=datetime(2026, 3, 1, 9, 5, 59, tzinfo=UTC),
    done_at=datetime(2026, 12, 31, 23, 59, 1, tzinfo=UTC),
    source=MC,
    destination=HANDSET,
    text="hello",
)
FAILURES = {M.EXPIRED, M.DELETED, M.UNDELIVERABLE, M.UNKNOWN, M.REJECTED, M.SKIPPED}
ON_THE_WAY = {M.SCHEDULED, M.ENROUTE, M.ACCEPTED}


def receipt(**changes: Any) -> Receipt:
    return DELIVERED._replace(**changes)


@st.composite
def receipts(draw: st.DrawFn) -> Receipt:
    """Any that the gateway can make."""
    # strptime reads years from 69 on as those of the last century
    moments = st.datetimes(datetime(2000, 1, 2), datetime(2068, 12, 30), timezones=st.just(UTC))
    addresses = st.builds(
        Address,
        st.integers(0, 255),
        st.integers(0, 255),
        st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=20),
    )
    return Receipt(
        message_id=draw(st.text("0123456789abcdef-", min_size=1, max_size=64)),
        message_state=draw(st.sampled_from(M)),
        err=draw(st.integers(0, 999)),
        submitted_at=draw(moments),
        done_at=draw(moments),
        source=draw(addresses),
        destination=draw(addresses),
        text=draw(st.text(max_size=40)),
        service_type=draw(st.sampled_from(["", "CMT", "USSD5"])),
        user_message_reference=draw(st.none() | st.integers(0, 0xFFFF)),
        final=draw(st.booleans()),
    )


# The text.


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {},
            f"id:{UUID} sub:001 dlvrd:001 submit date:2603010905 done date:2612312359"
            " stat:DELIVRD err:000 text:hello",
        ),
        (
            {"message_id": "0152299797", "message_state": M.UNDELIVERABLE, "err": 3, "text": ""},
            "id:0152299797 sub:001 dlvrd:000 submit date:2603010905 done date:2612312359"
            " stat:UNDELIV err:003 text:",
        ),
        (
            {
                "message_id": "1",
                "message_state": M.REJECTED,
                "err": 999,
                "text": "Tere õhtust\n\0€~",
            },
            "id:1 sub:001 dlvrd:000 submit date:2603010905 done date:2612312359"
            " stat:REJECTD err:999 text:Tere ?htust???~",
        ),
    ],
)
def test_the_text(changes: dict[str, Any], text: str) -> None:
    assert text_of(receipt(**changes)) == text


@pytest.mark.parametrize(
    ("message_state", "stat"),
    [
        *((M.DELIVERED, "DELIVRD"), (M.EXPIRED, "EXPIRED"), (M.DELETED, "DELETED")),
        *((M.UNDELIVERABLE, "UNDELIV"), (M.ACCEPTED, "ACCEPTD"), (M.UNKNOWN, "UNKNOWN")),
        *((M.REJECTED, "REJECTD"), (M.ENROUTE, "ENROUTE")),
        # of 5.0, without a word of their own in appendix B
        *((M.SCHEDULED, "ENROUTE"), (M.SKIPPED, "UNKNOWN")),
    ],
)
def test_the_word_of_every_state(message_state: M, stat: str) -> None:
    text = text_of(receipt(message_state=message_state))
    assert f" stat:{stat} " in text
    assert (" dlvrd:001 " in text) is (message_state is M.DELIVERED)


def test_the_text_of_the_message_is_cut_at_20_characters() -> None:
    assert text_of(receipt(text="õ" * 19 + "xyz")).endswith(" text:" + "?" * 19 + "x")


def test_the_dates_are_those_of_the_zone_that_the_moments_are_in() -> None:
    tallinn = timezone(timedelta(hours=2))
    text = text_of(receipt(done_at=DELIVERED.done_at.astimezone(tallinn)))
    assert "submit date:2603010905 done date:2701010159 " in text


# What clients are known to read, in the words of their own parsers.

PARSERS = {
    # onlinecity/php-smpp, the strictest: anchored, one space, ignores case, "." has newlines
    "php-smpp": re.compile(
        r"\Aid:(?P<id>[^ ]+) sub:[0-9]{1,3} dlvrd:[0-9]{3} submit date:(?P<submit>[0-9]{10,12})"
        r" done date:(?P<done>[0-9]{10,12}) stat:(?P<stat>[A-Z ]{7}) err:(?P<err>[0-9]{2,3})"
        r" text:(?P<text>.*)\Z",
        re.IGNORECASE | re.DOTALL,
    ),
    # forks of it, without the tolerances
    "php-smpp forks": re.compile(
        r"\Aid:(?P<id>[^ ]+) sub:[0-9]{1,3} dlvrd:[0-9]{3} submit date:(?P<submit>[0-9]{10})"
        r" done date:(?P<done>[0-9]{10}) stat:(?P<stat>[A-Z]{7}) err:(?P<err>[0-9]{3})"
        r" text:(?P<text>.*)\Z",
        re.DOTALL,
    ),
    # vumi: sub and dlvrd of three characters, stat in capitals, at most 20 characters of text
    "vumi": re.compile(
        r"\Aid:(?P<id>\S{0,65}) +sub:... +dlvrd:... +submit date:(?P<submit>[0-9]*)"
        r" +done date:(?P<done>[0-9]*) +stat:(?P<stat>[A-Z]{7}) +err:(?P<err>...)"
        r" +[Tt]ext:(?P<text>.{0,20})\Z"
    ),
}
JSMPP_STATS = {"DELIVRD", "EXPIRED", "DELETED", "UNDELIV", "ACCEPTD", "UNKNOWN", "REJECTD"}


@given(one=receipts())
def test_every_known_parser_reads_every_receipt(one: Receipt) -> None:
    text = text_of(one)
    assert text.isascii()
    assert text.isprintable()
    for name, parser in PARSERS.items():
        found = parser.match(text)
        assert found, (name, text)
        assert found["id"] == one.message_id
        assert int(found["err"]) == one.err
        for date, moment in (("submit", one.submitted_at), ("done", one.done_at)):
            read = datetime.strptime(found[date], "%y%m%d%H%M")  # aiosmpplib's only form
            assert read == moment.replace(second=0, microsecond=0, tzinfo=None)
        assert len(found["text"]) == min(20, len(one.text))
        if one.message_state not in {M.ENROUTE, M.SCHEDULED}:  # only told to who asks for them
            assert found["stat"] in JSMPP_STATS


# The PDU.


def test_the_octets_of_a_receipt() -> None:
    text = text_of(DELIVERED)
    found = encode(deliver_sm(DELIVERED._replace(service_type="CMT"), 7))
    assert found == wire(
        0x00000005,
        7,
        0,
        '"CMT" 00 01 01 "37255500001" 00 05 00 "Demo" 00'  # the addresses are swapped
        f' 04 00 00 00 00 00 00 00 00 {len(text):02X} "{text}"'
        f' 0427 0001 02 001E 0025 "{UUID}" 00',
    )


FAILED = {"message_state": M.UNDELIVERABLE, "err": 513}


@pytest.mark.parametrize(
    ("changes", "tlvs"),
    [
        ({}, [(Tag.message_state, b"\2")]),
        ({"user_message_reference": 0}, [(0x204, b"\0\0"), (0x427, b"\2")]),
        ({"user_message_reference": 0xFFFE}, [(0x204, b"\xff\xfe"), (0x427, b"\2")]),
        (FAILED, [(0x423, b"\3\2\1"), (0x427, b"\5")]),
        (
            {**FAILED, "user_message_reference": 7},
            [(0x204, b"\0\7"), (0x423, b"\3\2\1"), (0x427, b"\5")],
        ),
        ({"message_state": M.ACCEPTED, "final": False, "err": 9}, [(0x427, b"\6")]),
    ],
)
def test_the_tlvs_in_their_order(changes: dict[str, Any], tlvs: list[tuple[int, bytes]]) -> None:
    found = deliver_sm(receipt(**changes)).tlvs
    assert found == (*tlvs, (0x1E, UUID.encode() + b"\0")), "naz needs the id to be the last"


@pytest.mark.parametrize("message_state", M)
def test_only_a_failure_has_a_network_error_code(message_state: M) -> None:
    tags = [tlv.tag for tlv in deliver_sm(receipt(message_state=message_state, err=255)).tlvs]
    assert (Tag.network_error_code in tags) is (message_state in FAILURES)


@given(one=receipts())
def test_every_receipt_is_a_pdu(one: Receipt) -> None:
    found = deliver_sm(one)
    assert decode(encode(found)) == found
    assert found.short_message.decode("ascii") == text_of(one)
    assert (found.source, found.destination) == (one.destination, one.source)
    assert found.esm_class == (0x04 if one.final else 0x20)
    assert found.sequence_number == 0
    fields = (found.data_coding, found.registered_delivery, found.protocol_id, found.priority_flag)
    assert fields == (0, 0, 0, 0)
    assert (found.schedule_delivery_time, found.validity_period) == ("", "")


@given(one=receipts())
def test_smpplib_reads_every_receipt(one: Receipt) -> None:
    """It raises on any TLV that it cannot name, and cuts the last octet of a string."""

    class Client:
        sequence = 0

        def next_sequence(self) -> int:
            return 1

    found = parse_pdu(encode(deliver_sm(one, 7)), client=Client())
    assert found.command == "deliver_sm"
    assert found.sequence == 7
    assert found.short_message.decode("ascii") == text_of(one)
    assert found.receipted_message_id.decode("ascii") == one.message_id
    assert found.message_state == one.message_state
    assert found.user_message_reference == one.user_message_reference
    if one.message_state in FAILURES:
        assert found.network_error_code == b"\3" + one.err.to_bytes(2, "big")
    assert found.source_addr.decode("latin-1") == one.destination.addr
    assert found.destination_addr.decode("latin-1") == one.source.addr


def test_an_id_that_no_receipt_can_carry() -> None:
    with pytest.raises(ValueError, match="ascii"):
        deliver_sm(receipt(message_id="õ"))


def test_a_bind_of_3_3_gets_no_tlv() -> None:
    found = deliver_sm(DELIVERED)
    octets = encode(found)
    for version in (InterfaceVersion.V34, InterfaceVersion.V50):
        assert decode(addressed(octets, 9, version)) == replace(found, sequence_number=9)
    shown = decode(addressed(octets, 0x7FFFFFFF, InterfaceVersion.V33))
    assert shown == replace(found, sequence_number=0x7FFFFFFF, tlvs=())


# Who asked.

EVERY, FAILURE, SUCCESS, INTERIM = 1, 2, 3, 0x10


@pytest.mark.parametrize("message_state", M)
@pytest.mark.parametrize("final", [True, False])
def test_who_wants_what(message_state: M, final: bool) -> None:
    asked: dict[int, set[M]] = {0: set(), EVERY: set(M), FAILURE: FAILURES, SUCCESS: {M.DELIVERED}}
    for registered_delivery in range(256):
        if not final or message_state in ON_THE_WAY:
            expected = bool(registered_delivery & INTERIM)
        else:
            expected = message_state in asked[registered_delivery & 3]
        assert wants(registered_delivery, message_state, final) is expected, registered_delivery


def test_what_kannel_asks_for() -> None:
    """0x11, or 0x01: an ACCEPTD comes to the first only."""
    assert wants(0x11, M.ACCEPTED, False)
    assert not wants(0x01, M.ACCEPTED, False)
    assert not wants(0x01, M.ACCEPTED, True)
    assert wants(0x01, M.UNKNOWN, True)
    assert not wants(0x00, M.DELIVERED, True)


def test_the_longest_receipt_fits() -> None:
    """In short_message, with an id as long as any."""
    found = deliver_sm(receipt(message_id="9" * 64, text="x" * 40, err=999))
    assert len(found.short_message) < 255
    assert len(encode(found)) < 7424, "the most that Kannel reads"
    assert found.tlvs[-1] == Tlv(Tag.receipted_message_id, b"9" * 64 + b"\0")
