"""PDUs built from struct, explained."""

from __future__ import annotations

import struct

import pytest

from gateway.explain import explain, octets_of
from gateway.explain_readable import readable


def pdu(command_id: int, status: int, sequence: int, body: bytes = b"") -> bytes:
    return struct.pack(">IIII", 16 + len(body), command_id, status, sequence) + body


def submit(
    short_message: bytes, data_coding: int = 0, esm_class: int = 0, tlvs: bytes = b""
) -> bytes:
    body = b"\0\x05\0Bank\0\x01\x0137251234567\0" + bytes([esm_class, 0, 0]) + b"\0\0"
    body += bytes([0x11, 0, data_coding, 0, len(short_message)]) + short_message + tlvs
    return pdu(4, 0, 7, body)


@pytest.mark.parametrize(
    "written",
    ["00000010", "00 00 00 10", "00:00:00:10", "0x00000010", "0x00,0x00,0x00,0x10", "0000\n0010\n"],
)
def test_hexadecimal(written: str) -> None:
    assert octets_of(written) == b"\0\0\0\x10"


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("", "there is no hexadecimal to decode"),
        ("00 0g", "'g' is not a hexadecimal digit"),
        ("000", "3 hexadecimal digits are not whole octets"),
    ],
)
def test_no_hexadecimal(written: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        octets_of(written)


def test_a_submit_sm() -> None:
    tlvs = struct.pack(">HHH", 0x0204, 2, 5) + struct.pack(">HH", 0x1400, 3) + b"abc"
    udh = b"\x05\x00\x03\x01\x02\x01"
    octets = submit(udh + b"Hi\x1be", esm_class=0x43, tlvs=tlvs)
    [found] = explain(octets)
    assert found["command"] == "submit_sm"
    assert (found["command_length"], found["sequence_number"]) == (len(octets), 7)
    assert found["fields"] == {
        "service_type": "",
        "source_addr_ton": 5,
        "source_addr_npi": 0,
        "source_addr": "Bank",
        "dest_addr_ton": 1,
        "dest_addr_npi": 1,
        "destination_addr": "37251234567",
        "esm_class": 0x43,
        "protocol_id": 0,
        "priority_flag": 0,
        "schedule_delivery_time": "",
        "validity_period": "",
        "registered_delivery": 0x11,
        "replace_if_present_flag": 0,
        "data_coding": 0,
        "sm_default_msg_id": 0,
        "sm_length": 10,
        "short_message": (udh + b"Hi\x1be").hex(),
    }
    meanings = found["meanings"]
    assert meanings["source_addr_ton"] == "ALPHANUMERIC"
    assert meanings["esm_class"] == "store and forward, default type, user data header"
    assert (
        meanings["registered_delivery"]
        == "receipt on success and failure, intermediate notification"
    )
    assert found["tlvs"] == [
        {"tag": "0x0204", "name": "user_message_reference", "length": 2, "value": "0005",
         "meaning": "5"},
        {"tag": "0x1400", "name": "unknown", "length": 3, "value": "616263"},
    ]  # fmt: skip
    assert found["message"] == {
        "udh": udh.hex(),
        "udh_elements": [
            {"iei": "0x00", "name": "concatenated short messages, 8-bit reference",
             "data": "010201", "meaning": "part 1 of 2, reference 1"},
        ],
        "concatenation": {"kind": "udh8", "reference": 1, "total": 2, "number": 1,
                          "meaning": "part 1 of 2, reference 1"},
        "charset": "gsm7",
        "text": "Hi€",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("octets", "data_coding", "group", "message"),
    [
        (b"\0H\0i", 8, "UCS-2", {"text": "Hi"}),
        (b"H\xe9", 3, "Latin-1", {"text": "Hé"}),
        (b"Hi", 0xF0, "message class group", {"text": "Hi", "message_class": 0}),
        (b"Hi", 0x10, "general group with a message class", {"text": "Hi", "message_class": 0}),
        (b"Hi", 0x50, "general group with automatic deletion", {"flags": ["auto_delete"]}),
        (b"Hi", 0xC8, "message waiting, discard, GSM 7-bit", {"flags": ["mwi_discard"]}),
        (b"Hi", 0x20, "general group, compressed", {}),
        (b"Hi\xff", 0, "the account's default alphabet", {"undecodable": 1}),
    ],
)
def test_data_coding(
    octets: bytes, data_coding: int, group: str, message: dict[str, object]
) -> None:
    [found] = explain(submit(octets, data_coding))
    assert found["meanings"]["data_coding"] == group
    assert message.items() <= found["message"].items()


def test_binary_and_payload() -> None:
    [binary] = explain(submit(b"\1\2", 4))
    assert "text" not in binary["message"]
    assert "0x04" in binary["message"]["binary"]
    [payload] = explain(submit(b"", tlvs=struct.pack(">HH", 0x0424, 2) + b"Hi"))
    assert payload["message"]["text"] == "Hi"


def test_a_password_is_not_shown() -> None:
    [found] = explain(pdu(9, 0, 1, b"demo\0s3cret\0\0\x34\0\0\0"))
    assert found["fields"]["system_id"] == "demo"
    assert found["meanings"]["interface_version"] == "SMPP 3.4"
    assert "s3cret" not in str(found) + readable(found)


def test_several_in_a_row() -> None:
    stream = pdu(0x15, 0, 1) + pdu(0x80000004, 0x58, 2) + pdu(0x80000004, 0, 3, b"id-1\0")
    first, second, third = explain(stream)
    assert first["command"] == "enquire_link"
    assert (second["command_status"], second["fields"]) == ("ESME_RTHROTTLED", {})
    assert third["fields"] == {"message_id": "id-1"}


@pytest.mark.parametrize(
    ("octets", "field", "answer"),
    [
        (
            submit(b"Hi")[:-3] + b"\xc8Hi",
            "short_message",
            "submit_sm_resp ESME_RINVMSGLEN; the session lives on",
        ),
        (
            pdu(0x10203, 0, 5),
            "command_id",
            "generic_nack ESME_RINVCMDID; the session lives on",
        ),
        (
            pdu(0x80010203, 0, 5),
            "command_id",
            "none: responses are never answered; the session lives on",
        ),
        (
            pdu(9, 0, 5, b"demo"),
            "system_id",
            "bind_transceiver_resp ESME_RINVSYSID; the session lives on",
        ),
        (
            b"\0\0\0\x04" + bytes(12),
            "command_length",
            "generic_nack ESME_RINVCMDLEN at once, and closes the connection",
        ),
        (
            b"GET / HTTP/1.1\r\n\r\n",
            "command_length",
            "generic_nack ESME_RINVCMDLEN at once, and closes the connection",
        ),
        (
            pdu(0x15, 0, 5)[:-1],
            "command_length",
            "generic_nack ESME_RINVCMDLEN after smpp.pdu_read_timeout, and closes",
        ),
        (
            b"\0",
            "command_length",
            "generic_nack ESME_RINVCMDLEN after smpp.pdu_read_timeout, and closes",
        ),
    ],
)
def test_malformed(octets: bytes, field: str, answer: str) -> None:
    *_, found = explain(pdu(0x15, 0, 1) + octets)
    assert found["malformed"]["field"] == field
    assert found["malformed"]["detail"]
    assert found["answer"] == answer
    assert f"answer                   {answer}" in readable(found)


def test_readable_lines() -> None:
    lines = readable(explain(submit(b"a\x1be\nb"))[0]).splitlines()
    assert lines[0] == "submit_sm"
    assert "  command_status           ESME_ROK" in lines
    assert "  dest_addr_ton            1  (INTERNATIONAL)" in lines
    assert "  message text             a€\\nb" in lines


def test_readable_long_message() -> None:
    """The rows that only a part has."""
    ports = b"\x05\x04\x23\xf4\0\0"
    octets = b"".join(
        submit(bytes([len(rest) + 5, 0, 3, 42, 3, number]) + rest + b"Hi", esm_class=0x40)
        for number, rest in ((2, b"\x24\x01\x02"), (2, b""))
    )
    first, second, whole = map(readable, explain(octets))
    for line in (
        "udh element 0x00         concatenated short messages, 8-bit reference, 2a0302  "
        "(part 2 of 3, reference 42)",
        "udh element 0x24         national language single shift, 02  (Spanish)",
        "concatenation            part 2 of 3, reference 42  (udh8)",
        "part of                  set 1, part 2 of 3",
    ):
        assert f"  {line}" in first.splitlines()
    assert "  part of                  set 1, part 2 of 3, in place of an earlier one" in second
    assert whole.splitlines() == [
        "set 1",
        "  source_addr              Bank",
        "  destination_addr         37251234567",
        "  kind                     udh8",
        "  reference                42",
        "  parts                    3",
        "  missing                  1,3",
    ]
    [found] = explain(submit(bytes([len(ports)]) + ports, 4, esm_class=0x40))
    assert "message refused" in readable(found)


def test_nothing_steers_the_terminal() -> None:
    text = b"\x1b[2J\x9b"
    tlv = struct.pack(">HH", 0x001E, len(text)) + text
    octets = submit(text, 3, tlvs=tlv) + pdu(9, 0, 1, text + b"\0\0\0\x34\0\0\0")
    for number in (1, 2):
        octets += submit(bytes([5, 0, 3, 7, 2, number]) + text, 3, esm_class=0x40)
    shown = "\n".join(readable(found) for found in explain(octets))
    assert "\x1b" not in shown
    assert "\x9b" not in shown
    assert shown.count(r"\x1b[2J\x9b") >= 6
