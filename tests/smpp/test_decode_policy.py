"""What each kind of bad input is answered, and what it costs: the session's table of mercy.

Only a command_length that makes no sense and an unfinished PDU cost the session.
"""

import struct
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.smpp import effects as e
from gateway.smpp import pdu as p
from gateway.smpp.codec import encode
from gateway.smpp.constants import CommandId
from gateway.smpp.constants import CommandStatus as S
from gateway.smpp.session import Session, SessionLimits
from gateway.smpp.timers import TimerLimits
from tests.smpp.any_pdu import damaged
from tests.smpp.conversation import NOTHING, Conversation, everything_read  # noqa: F401
from tests.smpp.known_pdus import KNOWN, LEAST_BODIES, NAMES, REQUESTS, wire
from tests.smpp.test_layouts import IDS, LENGTHS, filled

EMPTY_SUBMIT: Final = "00 000000 000000 000000 00 00 00000000"
RESPONSES: Final[dict[int, type[p.Pdu]]] = {value.command_id: type(value) for value, _ in KNOWN}


def bound(**options: Any) -> Conversation:
    return Conversation(**options).bound(p.BindTransceiver(1))


def lives_on(talk: Conversation) -> None:
    talk >> p.EnquireLink(0x5EED) << p.EnquireLinkResp(0x5EED)


def refusal(command_id: int, sequence_number: int, status: int) -> p.Pdu:
    """The response that a request has, or else generic_nack; a bind's ends in one NUL."""
    cls = RESPONSES.get(command_id | 0x80000000, p.GenericNack)
    if issubclass(cls, p.BindResp):
        return cls(sequence_number, status, "")
    return cls(sequence_number, status)


# command_length


@pytest.mark.parametrize("chunk", [0, 1])
@pytest.mark.parametrize("length", [0, 4, 15, 70_001, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_senseless_length_costs_the_session(length: int, chunk: int) -> None:
    talk = bound(chunk=chunk)
    talk >> struct.pack(">IIII", length, 4, 0, 77) + b"whatever"
    # octet by octet the length is known, and the session over, before the sequence_number
    talk << p.GenericNack(0 if chunk else 77, S.ESME_RINVCMDLEN) << e.Close
    assert talk.flags == ["bad_length"]
    talk >> p.EnquireLink(2)  # nothing is answered behind it


def test_a_senseless_length_before_its_sequence_number_came() -> None:
    talk = bound()
    talk >> struct.pack(">III", 15, 4, 0)
    talk << p.GenericNack(0, S.ESME_RINVCMDLEN) << e.Close


def test_what_came_before_it_is_still_answered() -> None:
    talk = bound()
    talk >> [p.EnquireLink(5), struct.pack(">IIII", 0, 4, 0, 6), p.EnquireLink(7)]
    talk << p.EnquireLinkResp(5) << p.GenericNack(6, S.ESME_RINVCMDLEN) << e.Close


def test_the_limit_is_lower_before_the_bind() -> None:
    talk = Conversation()
    talk >> wire(0x15, 1, 0, bytes(512 - 16)) << p.EnquireLinkResp(1)
    talk >> wire(0x15, 2, 0, bytes(513 - 16))
    talk << p.GenericNack(2, S.ESME_RINVCMDLEN) << e.Close
    talk = bound()
    talk >> wire(0x15, 3, 0, bytes(70_000 - 16)) << p.EnquireLinkResp(3)
    talk >> wire(0x15, 4, 0, bytes(70_001 - 16))
    talk << p.GenericNack(4, S.ESME_RINVCMDLEN) << e.Close


@pytest.mark.parametrize(
    "stranger",
    [
        b"GET /metrics HTTP/1.1\r\nHost: gateway:2775\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        bytes.fromhex("16030100C8010000C403030102030405"),
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ],
)
@pytest.mark.parametrize("chunk", [0, 1])
def test_other_protocols_knock_in_vain(stranger: bytes, chunk: int) -> None:
    talk = Conversation(chunk=chunk)
    talk >> stranger
    sequence_number = 0 if chunk else struct.unpack_from(">I", stranger, 12)[0]
    talk << p.GenericNack(sequence_number, S.ESME_RINVCMDLEN) << e.Close
    assert talk.flags == ["bad_length"]


# An unfinished PDU


@pytest.mark.parametrize("cut", [1, 3, 4, 15, 16, 17, 40])
def test_an_unfinished_pdu_costs_the_session_after_its_time(cut: int) -> None:
    talk = bound(timers=TimerLimits(pdu_read=10))
    talk >> wire(4, 9, 0, EMPTY_SUBMIT + "20" + "41" * 32)[:cut]
    talk.later(9.9) << NOTHING
    talk.later(0.1) << p.GenericNack(0, S.ESME_RINVCMDLEN) << e.Close
    assert talk.flags == ["unfinished_pdu"]


def test_dripping_octets_do_not_buy_time() -> None:
    talk = bound(timers=TimerLimits(pdu_read=10))
    for octet in encode(p.EnquireLink(9))[:5]:
        talk >> bytes([octet])
        talk.later(1.9)
    talk >> b"\0"
    talk.later(0.6) << p.GenericNack(0, S.ESME_RINVCMDLEN) << e.Close


def test_each_pdu_has_its_own_time() -> None:
    """A slow line that always has one half-read PDU is not a dead one."""
    talk = bound(timers=TimerLimits(pdu_read=10))
    raw = encode(p.EnquireLink(9))
    talk >> raw[:5]
    for _ in range(5):
        talk.later(9)
        talk >> raw[5:] + raw[:5] << p.EnquireLinkResp(9)
    talk.later(10) << p.GenericNack(0, S.ESME_RINVCMDLEN) << e.Close


def test_a_pdu_finished_in_time_is_as_good_as_any() -> None:
    talk = bound(timers=TimerLimits(pdu_read=10))
    raw = encode(p.EnquireLink(9))
    talk >> raw[:8]
    talk.later(9.9)
    talk >> raw[8:] << p.EnquireLinkResp(9)
    talk.later(20) << NOTHING


# Unknown commands


@pytest.mark.parametrize(
    "command_id",
    # 3.3's parameter commands, reserved ids, 5.0's broadcasts, vendors' own
    [0x00, 0x0A, 0x0C, 0x22, 0x23, 0x24, 0x111, 0x112, 0x113, 0x10000, 0x7FFFFFFF],
)
@pytest.mark.parametrize("body", [b"", b"anything"])
def test_an_unknown_request_gets_generic_nack(command_id: int, body: bytes) -> None:
    talk = bound()
    talk >> wire(command_id, 0x80000007, 0, body)
    talk << p.GenericNack(0x80000007, S.ESME_RINVCMDID)
    assert talk.flags == ["unknown_command_id"]
    lives_on(talk)


@pytest.mark.parametrize("command_id", [0x8000000A, 0x8000000B, 0x80000111, 0x80000102, 0xFFFFFFFF])
def test_an_unknown_response_gets_nothing(command_id: int) -> None:
    talk = bound()
    talk >> wire(command_id, 7, 0, b"anything")
    assert talk.flags == ["unknown_command_id"]
    lives_on(talk)


# Bodies at fault


@pytest.mark.parametrize("chunk", [0, 1])
@pytest.mark.parametrize(("command_id", "body", "field", "most", "status"), LENGTHS, ids=IDS)
def test_a_field_too_long_is_answered_by_its_status(
    command_id: int, body: str, field: str, most: int, status: int, chunk: int
) -> None:
    talk = bound(chunk=chunk)
    talk >> wire(command_id, 7, 0, filled(body, most + 1))
    talk << refusal(command_id, 7, status)
    assert talk.flags == ["malformed"]
    lives_on(talk)


@pytest.mark.parametrize("name", LEAST_BODIES)
def test_a_body_cut_short_is_answered(name: str) -> None:
    """With every string empty no cut is inside one, where it is that field's fault."""
    talk = bound()
    command_id, body = CommandId[name], bytes.fromhex(LEAST_BODIES[name])
    for end in range(len(body)):
        talk >> wire(command_id, end, 0, body[:end])
        talk << refusal(command_id, end, S.ESME_RINVCMDLEN)
    assert talk.flags == ["malformed"] * len(body)
    lives_on(talk)


@pytest.mark.parametrize(
    ("tail", "status"),
    [
        ("C8 4142", S.ESME_RINVMSGLEN),
        ("01", S.ESME_RINVMSGLEN),
        ("00 0424 00FF 6162", S.ESME_RINVOPTPARSTREAM),
        ("00 0204 0002 0001 1400 0001", S.ESME_RINVOPTPARSTREAM),
        ("00 FFFF FFFF", S.ESME_RINVOPTPARSTREAM),
    ],
)
def test_lengths_that_go_past_the_end(tail: str, status: S) -> None:
    talk = bound()
    talk >> wire(4, 7, 0, f"{EMPTY_SUBMIT} {tail}") << p.SubmitSmResp(7, status)
    assert talk.flags == ["malformed"]
    lives_on(talk)


def test_a_stub_of_a_tlv_can_be_kept_by_option() -> None:
    talk = Conversation(SessionLimits(keep_broken_tlv=True)).bound(p.BindTransceiver(1))
    talk >> wire(4, 7, 0, f"{EMPTY_SUBMIT} 00 0204 0002 0001 0424 00FF 6162")
    stub = bytes.fromhex("042400FF6162")
    talk << e.Submit(p.SubmitSm(7, tlvs=(p.Tlv(0x0204, b"\0\1"),), stray=stub))
    assert talk.flags in ([], ["stray_octets"])


# What is accepted


@pytest.mark.parametrize("stray", ["00", "0000", "000000", "FFFFFF"])
def test_stray_octets_are_ignored(stray: str) -> None:
    talk = bound()
    talk >> wire(4, 7, 0, f"{EMPTY_SUBMIT} 00 {stray}")
    talk << e.Submit(p.SubmitSm(7, stray=bytes.fromhex(stray)))
    talk.answers(7) << p.SubmitSmResp(7, 0, "id-7")


def test_stray_octets_are_flagged() -> None:
    talk = bound()
    talk >> wire(4, 7, 0, f"{EMPTY_SUBMIT} 00 00") << e.Submit
    assert talk.flags == ["stray_octets"]


@pytest.mark.parametrize(
    "tlvs",
    [
        (p.Tlv(0x1400, b"vendor"), p.Tlv(0x3FFF, b"")),
        (p.Tlv(0x0381, b"1"), p.Tlv(0x0381, b"2"), p.Tlv(0x0381, b"1")),
        (p.Tlv(0x0427, b"\2"), p.Tlv(0x001E, b"not allowed here")),
        (p.Tlv(0xFFFF, b"\0" * 300),),
        (p.Tlv(0x0204, b"\1"), p.Tlv(0x130C, b"\1")),
        (p.Tlv(0x1204, b"\0\0\0\5"),),  # ms_validity
        (p.Tlv(0x0424, b"text in both places"),),  # the relay's to judge
    ],
)
def test_tlvs_of_any_kind_are_kept(tlvs: tuple[p.Tlv, ...]) -> None:
    submit = p.SubmitSm(7, short_message=b"hello", tlvs=tlvs)
    talk = bound()
    talk >> submit << e.Submit(submit)
    assert talk.flags == []


@pytest.mark.parametrize(
    "odd",
    [
        {"source": p.Address(7, 2, "1")},
        {"destination": p.Address(255, 255, "1")},
        {"destination": p.Address()},  # the relay's to judge
        {"esm_class": 0xFF},
        {"protocol_id": 0xFF},
        {"priority_flag": 255},
        {"registered_delivery": 0xFF},
        {"replace_if_present_flag": 255},
        {"data_coding": 0xFF},
        {"sm_default_msg_id": 255},
        {"schedule_delivery_time": "tomorrow"},
        {"short_message": bytes(255)},
        {"command_status": 0xDEADBEEF},
    ],
    ids=str,
)
def test_reserved_values_are_passed_through(odd: dict[str, Any]) -> None:
    submit = p.SubmitSm(7, **odd)
    talk = bound()
    talk >> submit << e.Submit(submit)
    assert talk.flags == []


@pytest.mark.parametrize("body", [b"\0", b"\0\0", b"a body"])
def test_a_body_where_none_belongs_is_ignored(body: bytes) -> None:
    talk = bound(timers=TimerLimits(enquire_link=30))
    talk >> wire(0x15, 7, 0, body) << p.EnquireLinkResp(7)
    talk.later(30) << p.EnquireLink(1)
    talk >> wire(0x80000015, 1, 0, body)  # php-smpp does
    assert "unexpected_response" not in talk.flags
    talk >> wire(0x06, 8, 0, body) << p.UnbindResp(8) << e.Close
    talk = bound()
    talk.shuts_down() << p.Unbind(1)
    talk >> wire(0x80000006, 1, 0, body) << e.Close


@pytest.mark.parametrize(
    "command_id", sorted({value.command_id for value, _ in KNOWN if value.command_id >= 2**31})
)
@pytest.mark.parametrize("body", ["", "00", '"no NUL"', "FFFFFFFF", '"id" 00 0424 FFFF 00'])
@pytest.mark.parametrize("sequence_number", [0, 7, 0xFFFFFFFF])
def test_a_response_is_never_answered(command_id: int, body: str, sequence_number: int) -> None:
    talk = bound()
    for status in (0, 0x58, 0x401, 0xFFFFFFFF):
        talk >> wire(command_id, sequence_number, status, body)
    assert set(talk.flags) <= {"unexpected_response", "ignored"}
    assert len(talk.flags) == 4
    lives_on(talk)


def test_a_malformed_response_still_settles_what_it_answers() -> None:
    talk = bound()
    talk.shuts_down() << p.Unbind(1)
    talk >> wire(0x80000000, 1, 3, "FFFF") << e.Close


# Real PDUs, damaged, in any state, in any chunks: nothing but declared answers.

STATES: Final = ("OPEN", "TX", "RX", "TRX", "unbinding", "draining")


def in_state(state: str) -> Session:
    session = Session(SessionLimits(), "gateway", 0)
    if state == "OPEN":
        return session
    kinds: dict[str, type[p.Bind]] = {"TX": p.BindTransmitter, "RX": p.BindReceiver}
    bind = kinds.get(state, p.BindTransceiver)(1)
    session.octets_received(encode(bind), 0)
    session.bind_accepted(bind, 0, window=1000)
    if state in {"unbinding", "draining"}:
        session.octets_received(encode(p.SubmitSm(2)), 0)
    if state == "unbinding":
        session.octets_received(encode(p.Unbind(3)), 0)
    if state == "draining":
        session.shut_down(0)
    return session


def frames(stream: bytes) -> list[tuple[int, int]]:
    """command_id and sequence_number of each PDU, as far as the lengths make sense."""
    found = []
    while len(stream) >= 16:
        length, command_id, _, sequence_number = struct.unpack_from(">IIII", stream)
        if not 16 <= length <= len(stream):
            break
        found.append((command_id, sequence_number))
        stream = stream[length:]
    return found


def check(session: Session, stream: bytes, chunks: list[bytes]) -> list[e.Effect]:
    """Feed the chunks; whatever they hold, these things are true."""
    was_unbound = session.state.name == "OPEN"
    effects = [effect for chunk in chunks for effect in session.octets_received(chunk, 1)]
    asked = [number for command_id, number in frames(stream) if command_id < 0x80000000]
    lost = "bad_length" in reasons(effects)
    for index, effect in enumerate(effects):
        if isinstance(effect, e.Send):
            encode(effect.pdu)
            if lost and index == len(effects) - 2:
                assert isinstance(effect.pdu, p.GenericNack)
                assert effect.pdu.command_status == S.ESME_RINVCMDLEN
                continue
            assert effect.pdu.command_id >= 0x80000000
            asked.remove(effect.pdu.sequence_number)  # ValueError: answered twice, or unasked
        elif isinstance(effect, e.Submit | e.Authenticate):
            assert was_unbound is isinstance(effect, e.Authenticate)
    closes = [index for index, effect in enumerate(effects) if isinstance(effect, e.Close)]
    assert len(closes) <= 1
    if closes:
        assert closes[0] == len(effects) - 1
    return effects


def reasons(effects: list[e.Effect]) -> set[str]:
    return {effect.reason for effect in effects if isinstance(effect, e.Flag | e.Close)}


def survives(session: Session, stream: bytes, effects: list[e.Effect]) -> None:
    """The session is over only for a reason, and otherwise still answers."""
    unbinds = any(command_id == 6 for command_id, _ in frames(stream))
    if effects and isinstance(effects[-1], e.Close):
        offended = effects[-1].reason.startswith("not bound")
        assert unbinds or offended, effects[-1].reason
        return
    if any(isinstance(effect, e.Authenticate) for effect in effects):
        return
    answer = session.octets_received(encode(p.EnquireLink(0x5EED)), 2)
    assert answer == [e.Send(p.EnquireLinkResp(0x5EED))]


@st.composite
def cut(draw: st.DrawFn, stream: bytes) -> list[bytes]:
    """The stream in chunks: octet by octet, whole, or anyhow."""
    step = draw(st.sampled_from([1, 7, 16, len(stream) or 1]))
    if draw(st.booleans()):
        return [stream[at : at + step] for at in range(0, len(stream), step)]
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


@pytest.mark.parametrize("state", STATES)
@settings(deadline=None, max_examples=250)
@given(st.lists(damaged(), max_size=5), st.data())
def test_damaged_bodies_never_cost_the_session(
    state: str, pdus: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(pdus)
    session = in_state(state)
    effects = check(session, stream, data.draw(cut(stream)))
    survives(session, stream, effects)


@pytest.mark.parametrize("state", STATES)
@settings(deadline=None, max_examples=250)
@given(st.lists(damaged(), max_size=4), st.data())
@example([wire(4, 1, 0, "00 000000 000000 000000 00 00 00000000 00")], None).via("a whole one")
def test_damage_to_the_lengths_ends_in_a_declared_way(
    state: str, pdus: list[bytes], data: st.DataObject | None
) -> None:
    stream = bytearray(b"".join(pdus))
    for _ in range(data.draw(st.integers(0, 5)) if data and stream else 0):
        assert data is not None
        at = data.draw(st.integers(0, len(stream) - 1))
        stream[at] = data.draw(st.integers(0, 255))
    session = in_state(state)
    whole = bytes(stream)
    effects = check(session, whole, data.draw(cut(whole)) if data else [whole])
    if effects and isinstance(effects[-1], e.Close):
        assert effects[-1].reason.startswith(("bad command_length", "unbound", "not bound"))


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("raw", REQUESTS, ids=lambda raw: raw[:8].hex())
def test_every_request_cut_at_every_point_is_answered_at_most_once(state: str, raw: bytes) -> None:
    """Seeded: no draw decides whether these are tried."""
    for end in range(16, len(raw)):
        short = struct.pack(">I", end) + raw[4:end]
        session = in_state(state)
        chunks = [short[at : at + 1] for at in range(end)]
        survives(session, short, check(session, short, chunks))


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(("value", "raw"), KNOWN, ids=NAMES)
def test_flipped_bits_of_every_body(state: str, value: p.Pdu, raw: bytes) -> None:
    """Every fifth, so that all eight places of an octet have their turn."""
    for bit in range(16 * 8, len(raw) * 8, 5):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << (bit % 8)
        session = in_state(state)
        survives(session, bytes(flipped), check(session, bytes(flipped), [bytes(flipped)]))
