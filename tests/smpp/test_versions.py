import pytest

from gateway.smpp import pdu as p
from gateway.smpp.codec import decode, encode
from gateway.smpp.constants import CommandStatus, InterfaceVersion
from gateway.smpp.versions import Response, adapted, status_for, version_of

V33, V34, V50 = InterfaceVersion.V33, InterfaceVersion.V34, InterfaceVersion.V50
UUID = "0f6a1c9e-52f7-4a4b-9d0c-6a1f0e2b7c3d"
WHY = (p.Tlv(0x001D, b"refused\0"),)


@pytest.mark.parametrize("wire_value", range(256))
def test_every_interface_version_asks_for_one_of_three(wire_value: int) -> None:
    if wire_value <= 0x33:
        assert version_of(wire_value) is V33
    elif wire_value <= 0x4F:
        assert version_of(wire_value) is V34
    else:
        assert version_of(wire_value) is V50


@pytest.mark.parametrize("status", [*CommandStatus, 0x400, 0x4FF])
def test_statuses_of_5_0_never_reach_an_older_esme(status: int) -> None:
    assert status_for(V50, status) == status
    for version in (V33, V34):
        shown = status_for(version, status)
        if 0x100 <= status < 0x400:
            assert 0 < shown < 0x100, "and a failure stays a failure"
        else:
            assert shown == status


@pytest.mark.parametrize(
    ("status", "nearest"),
    [
        *(("RSERTYPUNAUTH", "RINVSERTYP"), ("RSERTYPUNAVAIL", "RINVSERTYP")),
        *(("RSERTYPDENIED", "RINVSERTYP"), ("RPROHIBITED", "RSUBMITFAIL")),
        *(("RINVDCS", "RSUBMITFAIL"), ("RINVSRCADDRSUBUNIT", "RSUBMITFAIL")),
        ("RINVDSTADDRSUBUNIT", "RSUBMITFAIL"),
    ],
)
def test_the_nearest_status_that_an_older_esme_knows(status: str, nearest: str) -> None:
    assert status_for(V34, CommandStatus[f"ESME_{status}"]) is CommandStatus[f"ESME_{nearest}"]


@pytest.mark.parametrize(
    ("version", "response", "octets"),
    [
        (V34, p.SubmitSmResp(1, 0, UUID), UUID.encode() + b"\0"),
        (V50, p.SubmitSmResp(1, 0, UUID), UUID.encode() + b"\0"),
        (V33, p.SubmitSmResp(1, 0, "0f6a1c9e"), b"0f6a1c9e\0"),
        (V34, p.DataSmResp(1, 0, UUID), UUID.encode() + b"\0"),
        (V34, p.DataSmResp(1, 0x45, UUID), b""),
        (V34, p.SubmitMultiResp(1, 0, UUID, ()), UUID.encode() + b"\0\0"),
        (V34, p.SubmitMultiResp(1, 0x45), b""),
        (V34, p.QuerySmResp(1, 0, "a", "", 2, 0), b"a\0\0\x02\0"),
        (V34, p.QuerySmResp(1, 0x67), b""),
        (V34, p.CancelSmResp(1, 0x11), b""),
        # a refusal has no body, whatever was known when it came about
        *((version, p.SubmitSmResp(1, 0x45, UUID), b"") for version in InterfaceVersion),
        *((version, p.SubmitSmResp(1, 0x45), b"") for version in InterfaceVersion),
        (V33, p.SubmitSmResp(1, 0x45, None, WHY), b""),
    ],
)
def test_the_body_of_an_answer(
    version: InterfaceVersion, response: Response, octets: bytes
) -> None:
    assert encode(adapted(response, version))[16:] == octets


@pytest.mark.parametrize("message_id", [None, UUID])
def test_the_detail_of_a_refusal_follows_an_empty_message_id(message_id: str | None) -> None:
    """Without one the ESME would read the TLV as the message_id."""
    shown = adapted(p.SubmitSmResp(1, 0x45, message_id, WHY), V50)
    assert encode(shown)[16:] == b"\0\x00\x1d\x00\x08refused\0"
    assert decode(encode(shown)) == p.SubmitSmResp(1, 0x45, "", WHY)


@pytest.mark.parametrize("version", InterfaceVersion)
def test_the_status_of_an_answer_is_one_that_its_version_knows(version: InterfaceVersion) -> None:
    shown = adapted(p.SubmitSmResp(9, CommandStatus.ESME_RINVDCS), version)
    assert shown.sequence_number == 9
    assert shown.command_status == (0x104 if version is V50 else 0x45)


@pytest.mark.parametrize("version", InterfaceVersion)
@pytest.mark.parametrize("kind", [p.DataSmResp, p.SubmitMultiResp, p.QuerySmResp, p.CancelSmResp])
def test_so_is_that_of_every_other_response(
    version: InterfaceVersion, kind: type[Response]
) -> None:
    shown = adapted(kind(9, CommandStatus.ESME_RINVDCS), version)
    assert shown == kind(9, 0x104 if version is V50 else 0x45)


def test_so_are_those_of_the_destinations_of_a_submit_multi() -> None:
    address = p.Address(1, 1, "37255555555")
    failed = (p.Unsuccess(address, 0x104), p.Unsuccess(address, 0x0B))
    response = p.SubmitMultiResp(9, 0, UUID, failed)
    assert adapted(response, V50) == response
    shown = (p.Unsuccess(address, 0x45), p.Unsuccess(address, 0x0B))
    assert adapted(response, V34) == p.SubmitMultiResp(9, 0, UUID, shown)
