"""Long messages in every way that clients cut them: the API gets what a person wrote, once.

The parts are made by smpplib, by Python's and gsmcodecs' codecs, and by hand, never by the
gateway's own encoder.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import permutations, zip_longest
from uuid import UUID

import gsmcodecs  # type: ignore[import-untyped]
import pytest
from smpplib.gsm import gsm_encode, make_parts

from tests.e2e import esme
from tests.e2e import raw_esme as wire
from tests.e2e.daemon import ACCOUNT, DEMO_HASH, Daemon, until
from tests.e2e.raw_esme import RawEsme, concat8, concat16, part, sar, udh
from tests.e2e.receipts import taken
from tests.omnichannel.https_server import Action, Answer, Cut, HttpsServer, Stage

DEADLINE = 1  # the response_deadline of account "quick"


def account(system_id: str, settings: str) -> str:
    return f'\n[[accounts]]\nsystem_id = "{system_id}"\npassword_hash = "{DEMO_HASH}"\n{settings}\n'


QUICK = account("quick", f"response_deadline = {DEADLINE}")
ACCOUNTS = "".join(
    (
        ACCOUNT,
        QUICK,
        account("narrow", "window = 1"),
        account("packed", "packed = true"),
        account("strict", 'malformed_udh = "refuse"'),
        account("hasty", "reassembly_timeout = 1"),
        account("eager", "reassembly_timeout = 1\nrelay_incomplete = true"),
        account("through", 'long_messages = "passthrough"'),
    )
)
ENGINES = ["libcurl", "requests"]


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon(accounts=ACCOUNTS) as running:
        yield running
        assert running.stop() == 0
        running.assert_healthy_log()


@pytest.fixture(scope="module", params=ENGINES)
def either(request: pytest.FixtureRequest) -> Iterator[Daemon]:
    """A gateway with one engine and one with the other."""
    with Daemon(omnichannel=f'engine = "{request.param}"', accounts=ACCOUNT + QUICK) as running:
        yield running
        assert running.stop() == 0
        running.assert_healthy_log()


def cut(octets: bytes, size: int) -> list[bytes]:
    return [octets[start : start + size] for start in range(0, len(octets), size)]


def parts8(
    to: str, reference: int, texts: list[bytes], first: int = 1, **rest: object
) -> list[bytes]:
    """Submits with the 8-bit reference, their sequence_numbers from `first` on."""
    return [
        part(first + index, to, udh(concat8(reference, len(texts), index + 1)), text, **rest)
        for index, text in enumerate(texts)
    ]


def assert_all_ok(answers: dict[int, wire.Pdu]) -> None:
    assert {number: answer.status for number, answer in answers.items()} == dict.fromkeys(
        answers, wire.ROK
    )


def pending(daemon: Daemon) -> tuple[float, float]:
    """Parts and sets that wait for others, or for the store to let them go."""
    metrics = daemon.metrics()
    return metrics["smppgw_segments_pending"], metrics["smppgw_segment_sets_pending"]


def nothing_new_waits(daemon: Daemon, before: tuple[float, float]) -> None:
    """No more than `before`; what the store was about to let go then may be gone."""

    def no_more() -> bool:
        return all(now <= then for now, then in zip(pending(daemon), before, strict=True))

    until(no_more, "what waits in the store", 3)


# smpplib's way: one part at a time, cut without a look at what is cut.

# 153 septets, or 67 units, make a part: the escape of the euro sign, the first half of the
# emoji and the first letter of each row are the last of theirs.
GSM_LONG = "a" * 152 + "€ [of] {it} ~ and all that follows, @ last: " + "0123456789" * 20 + "@"
UCS2_LONG = "õ" * 66 + "😀 ja 日本語 " + "Привет, " * 30
LATIN1_LONG = "Où est-ce? ½ þ ÿ à São João. " * 10
WRITTEN = {
    "gsm": (GSM_LONG, esme.GSM7),
    "ucs2": (UCS2_LONG, esme.UCS2),
    "latin1": (LATIN1_LONG, esme.LATIN1),
}
HEADERS = ["udh", "sar", "udh in message_payload"]


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("header", HEADERS)
def test_the_parts_of_smpplib(daemon: Daemon, name: str, header: str) -> None:
    text, encoding = WRITTEN[name]
    to = f"+3725561{list(WRITTEN).index(name)}{HEADERS.index(header)}001"
    parts, data_coding, esm_class = make_parts(text, encoding, use_udhi=header != "sar")
    assert data_coding == encoding
    assert len(parts) >= 3
    before = pending(daemon)
    answers = []
    with esme.bound(daemon.port) as client:
        for number, octets in enumerate(parts, 1):
            fields = {"data_coding": data_coding, "esm_class": esm_class}
            if header == "sar":
                fields |= {"sar_msg_ref_num": 7, "sar_total_segments": len(parts)}
                fields["sar_segment_seqnum"] = number
            if header == "udh in message_payload":
                fields["message_payload"] = octets
                octets = b""
            assert daemon.accepted(to) == [], "not before the last"
            answers.append(esme.send(client, to, octets, **fields))
    assert {answer.status for answer in answers} == {wire.ROK}
    (message,) = daemon.accepted(to)
    assert message["request"] == {
        "to": to,
        "messages": [{"channel": "sms", "text": text, "autoconvert": "off", "sender": "Demo"}],
    }
    ids = [answer.message_id.decode() for answer in answers]
    assert ids[-1] == message["omnimessage_id"], "the last part has the message's own id"
    assert len(set(ids)) == len(ids)
    assert {UUID(one).version for one in ids[:-1]} == {8}, "no id that the API could have given"
    nothing_new_waits(daemon, before)


# By hand: every kind of reference, in any order, over any bind.

TEXTS = [b"This is the first of three parts, ", b"this is the second one, ", b"and that is all."]
WHOLE = b"".join(TEXTS).decode()


@pytest.mark.parametrize("order", ["012", "021", "102", "120", "201", "210"])
def test_the_parts_may_come_in_any_order(daemon: Daemon, order: str) -> None:
    to = f"+3725562{order}1"
    made = {
        "8 bit": [udh(concat8(0, 3, number)) for number in (1, 2, 3)],
        "16 bit": [udh(concat16(0xFFFE, 3, number)) for number in (1, 2, 3)],
        "with another element": [
            udh(b"\x70\x02\x00\x00", concat8(9, 3, number)) for number in (1, 2, 3)
        ],
    }
    with RawEsme(daemon.port) as client:
        client.bind()
        for headers in made.values():
            octets = [part(n + 1, to, headers[n], TEXTS[n]) for n in map(int, order)]
            for request in octets:
                assert client.ask(request).status == wire.ROK
    assert daemon.accepted_texts(to) == [WHOLE] * len(made)


def test_sar_in_any_order_of_its_parameters(daemon: Daemon) -> None:
    """aiosmpplib sends reference, number, total."""
    to = "+37255630001"
    with RawEsme(daemon.port) as client:
        client.bind()
        for turn, letters in enumerate(permutations("rtn")):
            tails = [sar(0x1200 + turn, 3, number, "".join(letters)) for number in (1, 2, 3)]
            vendor = wire.tlv(0x1401, b"vendor")
            assert_all_ok(
                client.ask_all(
                    *(
                        wire.submit(n + 1, to, TEXTS[n], tail=vendor + tails[n] + vendor)
                        for n in range(3)
                    )
                )
            )
    assert daemon.accepted_texts(to) == [WHOLE] * 6


def test_sar_that_is_not_whole_is_no_part(daemon: Daemon) -> None:
    to = "+37255630002"
    with RawEsme(daemon.port) as client:
        client.bind()
        for sequence, tail in enumerate((sar(1, 3, 1, "rt"), sar(1, 3, 4), sar(1, 0, 0)), 2):
            assert client.ask(wire.submit(sequence, to, b"by itself", tail=tail)).status == wire.ROK
    assert daemon.accepted_texts(to) == ["by itself"] * 3


@pytest.mark.parametrize("bind_type", [wire.BIND_TRANSMITTER, wire.BIND_TRANSCEIVER])
def test_the_parts_may_come_over_two_binds(daemon: Daemon, bind_type: int) -> None:
    to = f"+3725564000{bind_type}"
    with RawEsme(daemon.port) as one, RawEsme(daemon.port) as other:
        one.bind(bind_type)
        other.bind(wire.BIND_TRANSMITTER)
        for turn, order in enumerate(permutations(range(3))):
            binds = [one, other, other] if turn % 2 else [other, one, one]
            octets = parts8(to, turn, TEXTS)
            for bind, number in zip(binds, order, strict=True):
                assert bind.ask(octets[number]).status == wire.ROK
    assert daemon.accepted_texts(to) == [WHOLE] * 6


def test_two_accounts_with_the_same_reference(daemon: Daemon) -> None:
    """Each of them needs its own parts."""
    to = "+37255640100"
    with RawEsme(daemon.port) as one, RawEsme(daemon.port) as other:
        one.bind()
        other.bind(system_id="narrow")
        assert one.ask(parts8(to, 5, [b"my first ", b"my last"])[0]).status == wire.ROK
        assert other.ask(parts8(to, 5, [b"your first ", b"your last"])[1]).status == wire.ROK
        assert daemon.accepted(to) == []
        assert one.ask(parts8(to, 5, [b"my first ", b"my last"])[1]).status == wire.ROK
        assert daemon.accepted_texts(to) == ["my first my last"]
        assert other.ask(parts8(to, 5, [b"your first ", b"your last"])[0]).status == wire.ROK
    assert daemon.accepted_texts(to) == ["my first my last", "your first your last"]


def test_sets_between_each_other(daemon: Daemon) -> None:
    """The same number as three kinds of reference, as other references, totals and senders."""
    to = "+37255640200"
    kinds = {
        "eight": [part(n, to, udh(concat8(77, 2, n)), b"8 bits %d. " % n) for n in (1, 2)],
        "sixteen": [part(n, to, udh(concat16(77, 2, n)), b"16 bits %d. " % n) for n in (1, 2)],
        "sar": [wire.submit(n, to, b"sar %d. " % n, tail=sar(77, 2, n)) for n in (1, 2)],
        "other": [part(n, to, udh(concat8(78, 2, n)), b"other %d. " % n) for n in (1, 2)],
        "three": [part(n, to, udh(concat8(77, 3, n)), b"of three %d. " % n) for n in (1, 2, 3)],
        "sender": [
            part(n, to, udh(concat8(77, 2, n)), b"a sender %d. " % n, sender="Else") for n in (1, 2)
        ],
    }
    # All first parts, then all second ones, so that a key with less in it would mix them.
    together = [one for several in zip_longest(*kinds.values()) for one in several if one]
    with RawEsme(daemon.port) as client:
        client.bind().send(*together)
        assert {client.expect().status for _ in together} == {wire.ROK}
    assert sorted(daemon.accepted_texts(to)) == [
        "16 bits 1. 16 bits 2. ",
        "8 bits 1. 8 bits 2. ",
        "a sender 1. a sender 2. ",
        "of three 1. of three 2. of three 3. ",
        "other 1. other 2. ",
        "sar 1. sar 2. ",
    ]


def test_two_messages_with_their_parts_in_turn(daemon: Daemon) -> None:
    to = "+37255640300"
    one = parts8(to, 1, [b"one a, ", b"one b, ", b"one c"])
    two = parts8(to, 2, [b"two a, ", b"two b, ", b"two c"], first=11)
    with RawEsme(daemon.port) as client:
        client.bind()
        octets = [each for pair in zip(one, reversed(two), strict=True) for each in pair]
        assert_all_ok(client.ask_all(*octets))
    assert sorted(daemon.accepted_texts(to)) == ["one a, one b, one c", "two a, two b, two c"]


def test_a_reference_is_free_again_at_once(daemon: Daemon) -> None:
    """Some clients write 0 into every message; here five of them come in one write."""
    to = "+37255640410"
    octets = [
        one
        for turn in range(5)
        for one in parts8(to, 0, [b"message %d, " % turn, b"its end %d" % turn], first=2 * turn)
    ]
    with RawEsme(daemon.port) as client:
        client.bind()
        assert_all_ok(client.ask_all(*octets))
    expected = [f"message {turn}, its end {turn}" for turn in range(5)]
    assert sorted(daemon.accepted_texts(to)) == expected


def test_a_part_that_comes_twice_counts_once(daemon: Daemon) -> None:
    to = "+37255640510"
    replaced = 'smppgw_text_flags_total{flag="part_replaced"}'
    before = daemon.metric(replaced)
    first, second, third = parts8(to, 3, TEXTS)
    with RawEsme(daemon.port) as client:
        client.bind()
        one = client.ask(first)
        again = client.ask(first)
        assert (one.status, one.message_id) == (again.status, again.message_id)
        wrong = client.ask(parts8(to, 3, [b"", b"what it says now counts", b""])[1])
        right = client.ask(second)
        assert (wrong.status, right.status) == (wire.ROK, wire.ROK)
        assert client.ask(third).status == wire.ROK
        assert daemon.accepted_texts(to) == [WHOLE]
        # After the end it is the first of another message, of which no more will come.
        late = client.ask(third)
        assert late.status == wire.ROK
        assert UUID(late.message_id).version == 8
        assert UUID(late.message_id).bytes[:15] != UUID(one.message_id).bytes[:15]
    assert daemon.accepted_texts(to) == [WHOLE]
    assert daemon.metric(replaced) == before + 2


@pytest.mark.parametrize("together", [False, True])
def test_a_window_of_one(daemon: Daemon, together: bool) -> None:
    """The next part is sent, or read, only after the answer to the one before."""
    to = f"+3725564060{together:d}"
    octets = parts8(to, 3, TEXTS)
    with RawEsme(daemon.port) as client:
        client.bind(system_id="narrow")
        if together:
            assert_all_ok(client.ask_all(*octets))
        else:
            assert [client.ask(one).status for one in octets] == [wire.ROK] * 3
    assert daemon.accepted_texts(to) == [WHOLE]


def test_one_part_of_one_is_a_message(daemon: Daemon) -> None:
    to = "+37255640700"
    with RawEsme(daemon.port) as client:
        client.bind()
        answers = [
            client.ask(part(2, to, udh(concat8(1, 1, 1)), b"all there is")),
            client.ask(part(3, to, udh(concat16(1, 1, 1)), b"all there is")),
            client.ask(wire.submit(4, to, b"all there is", tail=sar(1, 1, 1))),
        ]
    accepted = daemon.accepted(to)
    assert [answer.message_id for answer in answers] == [one["omnimessage_id"] for one in accepted]
    assert daemon.accepted_texts(to) == ["all there is"] * 3


def test_255_parts(daemon: Daemon) -> None:
    to = "+37255640800"
    text = "".join(f"{number:05} is a number. " for number in range(2100))[: 255 * 153]
    octets = parts8(to, 200, cut(text.encode("ascii"), 153))
    assert len(octets) == 255
    random.Random(7).shuffle(octets)
    with RawEsme(daemon.port) as client:
        client.bind()
        assert_all_ok(client.ask_all(*octets))
    assert daemon.accepted_texts(to) == [text]


def test_the_way_of_kannel(daemon: Daemon) -> None:
    """Mode bits beside UDHI, a receipt for the first part only, more_messages_to_send."""
    to = "+37255640900"
    more = [wire.tlv(0x0426, b"\1"), wire.tlv(0x0426, b"\1"), b""]
    with RawEsme(daemon.port) as client:
        client.bind()
        for number, text in enumerate(TEXTS, 1):
            answer = client.ask(
                part(
                    number,
                    to.removeprefix("+"),
                    udh(concat8(0xC7, 3, number)),
                    text,
                    esm_class=0x43,
                    registered_delivery=0x11 if number == 1 else 0,
                    sender="12345",
                    tail=more[number - 1],
                )
            )
            assert answer.status == wire.ROK
    (message,) = daemon.accepted(to)
    assert daemon.accepted_texts(to) == [WHOLE]
    assert message["request"]["messages"][0]["sender"] == "12345"


def test_what_is_no_text_is_the_first_parts(daemon: Daemon) -> None:
    to = "+37255641000"
    said = [("000000010000000R", 2), ("000000020000000R", 0)]
    octets = [
        part(
            n, to, udh(concat8(1, 2, n)), b"half ", validity=said[n - 1][0], priority=said[n - 1][1]
        )
        for n in (1, 2)
    ]
    with RawEsme(daemon.port) as client:
        client.bind()
        assert_all_ok(client.ask_all(*reversed(octets)))
    request = daemon.accepted(to)[0]["request"]
    assert (request["messages"][0]["ttl"], request["priority"]) == (3600, "high")


# Alphabets.


def test_parts_of_different_data_coding(daemon: Daemon) -> None:
    to = "+37255650001"
    said = [
        (b"plain \x00 and ", 0),
        ("日本語 ".encode("utf-16-be"), 8),
        ("naïve þ".encode("latin-1"), 3),
    ]
    octets = [
        part(n, to, udh(concat16(1, 3, n)), text, data_coding=data_coding)
        for n, (text, data_coding) in enumerate(said, 1)
    ]
    with RawEsme(daemon.port) as client:
        client.bind()
        assert_all_ok(client.ask_all(*octets))
    assert daemon.accepted_texts(to) == ["plain @ and 日本語 naïve þ"]


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_a_cut_may_be_anywhere(daemon: Daemon, size: int) -> None:
    """Within an escape, within a pair of surrogates, and within one 16-bit unit."""
    to = f"+3725565010{size}"
    gsm, ucs2 = "€[]{}|~^\\€", "a😀é😀日"
    with RawEsme(daemon.port) as client:
        client.bind()
        assert_all_ok(client.ask_all(*parts8(to, 1, cut(gsm_encode(gsm), size))))
        octets = parts8(to, 1, cut(ucs2.encode("utf-16-be"), size), data_coding=8)
        assert_all_ok(client.ask_all(*octets))
    assert daemon.accepted_texts(to) == [gsm, ucs2]


# With the locking table, and what the single shift table alone can say.
LANGUAGES = {
    "Turkish": (
        1,
        "Iğdır'da şöyle güzel bir çay içilir mi? Ğ İ ı Ş € {evet} ",
        "Iğdır'da şöyle güzel bir çay: Ğ İ ı Ş € {evet} ",
    ),
    "Portuguese": (
        3,
        "São João, às três horas: ação, coração, avô e avó. Ó Í Ú Ã Õ ∞ € ",
        "Ó Í Ú Ã Õ á í ó ú ã õ â ê ô ç € Φ Δ ] ",
    ),
    "Hindi": (
        6,
        "नमस्ते! आप कैसे हैं? यह संदेश हिन्दी में है। ",
        "०१२३४५६७८९ ।॥ \u0958\u0959: digits and no letters ",
    ),
}


@pytest.mark.parametrize("locking", [True, False])
@pytest.mark.parametrize("name", LANGUAGES)
def test_national_languages(daemon: Daemon, name: str, locking: bool) -> None:
    language, locked, shifted = LANGUAGES[name]
    to = f"+372556502{language}{locking:d}"
    text = 6 * (locked if locking else shifted)
    octets, _ = gsmcodecs.Codec(language if locking else 0, language).encode(text)
    shifts = [bytes([0x24, 1, language])] + [bytes([0x25, 1, language])] * locking
    pieces = cut(octets, 125)
    assert len(pieces) >= 2
    requests = [
        part(n, to, udh(concat8(4, len(pieces), n), *shifts), piece)
        for n, piece in enumerate(pieces, 1)
    ]
    # The same in one: no concatenation, only the language.
    whole = wire.payload(udh(*shifts) + octets)
    with RawEsme(daemon.port) as client:
        client.bind()
        assert_all_ok(client.ask_all(*requests))
        assert client.ask(wire.submit(9, to, b"", esm_class=0x40, tail=whole)).status == wire.ROK
    assert daemon.accepted_texts(to) == [text, text]


def packed(septets: bytes, header: bytes = b"") -> bytes:
    """3GPP TS 23.038 section 6.1.2.1 as one large number, with fill bits behind a header."""
    fill = -8 * len(header) % 7
    bits = sum(septet << 7 * index for index, septet in enumerate(septets)) << fill
    return header + bits.to_bytes((7 * len(septets) + fill + 7) // 8, "little")


@pytest.mark.parametrize("wide", [False, True])
def test_packed_septets(daemon: Daemon, wide: bool) -> None:
    """go-smpp's way, with its reference of 16 bits and with the usual one of 8."""
    to = f"+3725565030{wide:d}"
    size = 152 if wide else 153  # septets behind the header that fill an SMS
    # "@" is 0, as padding is: at the end of a part that fills its SMS it is text.
    text = "Packed." + "." * (size - 8) + "@" + "Then {€uro} @ [text] " * 20
    pieces = cut(gsm_encode(text), size)
    assert pieces[0][-1] == 0
    concat = concat16 if wide else concat8
    requests = [
        wire.submit(n, to, packed(piece, udh(concat(9, len(pieces), n))), esm_class=wire.UDHI)
        for n, piece in enumerate(pieces, 1)
    ]
    with RawEsme(daemon.port) as client:
        client.bind(system_id="packed")
        assert client.ask(wire.submit(90, to, packed(gsm_encode("alone: €")))).status == wire.ROK
        assert_all_ok(client.ask_all(*requests))
    assert daemon.accepted_texts(to) == ["alone: €", text]


# Headers that are refused, and headers that are forgiven.

PORTS = {
    "16-bit ports": (udh(bytes.fromhex("0504 0b84 23f0")), b"", wire.RINVESMCLASS),
    "8-bit ports": (udh(bytes.fromhex("0402 f5 f5")), b"", wire.RINVESMCLASS),
    "ports in a part": (
        udh(concat8(1, 2, 1), bytes.fromhex("0504 0b84 23f0")), b"", wire.RINVESMCLASS,
    ),
    "destination_port": (b"", wire.tlv(0x020B, b"\x0b\x84"), wire.ROPTPARNOTALLWD),
    "source_port in a part": (
        udh(concat8(1, 2, 1)), wire.tlv(0x020A, b"\x23\xf0"), wire.ROPTPARNOTALLWD,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PORTS)
def test_ports_are_refused_and_nothing_else_is(daemon: Daemon, name: str) -> None:
    header, tail, status = PORTS[name]
    to = "+37255660001"
    before = pending(daemon)
    esm_class = wire.UDHI if header else 0
    with RawEsme(daemon.port) as client:
        client.bind()
        answer = client.ask(wire.submit(2, to, header + b"app", esm_class=esm_class, tail=tail))
        assert (answer.command_id, answer.status) == (wire.SUBMIT_SM | wire.RESP, status)
        assert client.alive()
        assert client.ask(wire.submit(3, "+37255660002")).status == wire.ROK
    assert daemon.accepted(to) == []
    nothing_new_waits(daemon, before)


MALFORMED = {
    "UDHL beyond the end": (b"\x40hi there", 0, "¡hi there"),
    "an element beyond UDHL": (b"\x05\x00\x09\x2a\x02\x01hello", 0, "hello"),
    "an octet left over": (b"\x06\x00\x03\x2a\x01\x01\x00hello", 0, "hello"),
    "one too many, in UCS-2": (b"\x06\x00\x03\x2a\x01\x01" + "日本".encode("utf-16-be"), 8, "日本"),
}  # fmt: skip
ODD = {
    "no elements": (b"\x00hello", 0, "hello"),
    "number above total": (b"\x05\x00\x03\x2a\x02\x03hello", 0, "hello"),
    "number 0": (b"\x05\x00\x03\x2a\x02\x00hello", 0, "hello"),
    "total 0": (b"\x05\x00\x03\x2a\x00\x00hello", 0, "hello"),
    "an unknown element": (b"\x04\xa0\x02\x01\x02hello", 0, "hello"),
    "a wrong length": (b"\x04\x00\x02\x2a\x02hello", 0, "hello"),
}


@pytest.mark.parametrize("name", MALFORMED | ODD)
def test_an_odd_header_is_read_past(daemon: Daemon, name: str) -> None:
    octets, data_coding, text = (MALFORMED | ODD)[name]
    to = f"+372556610{list(MALFORMED | ODD).index(name):02}"
    sample = 'smppgw_text_flags_total{flag="udh_malformed"}'
    before = daemon.metric(sample)
    request = wire.submit(2, to, octets, esm_class=wire.UDHI, data_coding=data_coding)
    with RawEsme(daemon.port) as client, RawEsme(daemon.port) as strict:
        assert client.bind().ask(request).status == wire.ROK
        assert daemon.metric(sample) == before + (name in MALFORMED)
        expected = wire.RINVESMCLASS if name in MALFORMED else wire.ROK
        assert strict.bind(system_id="strict").ask(request).status == expected
        assert strict.alive()
    assert daemon.accepted_texts(to) == [text] * (1 if name in MALFORMED else 2)


def test_a_part_that_can_never_be_relayed_is_refused_by_itself(daemon: Daemon) -> None:
    to = "+37255662001"
    before = pending(daemon)
    header = udh(concat8(1, 2, 1))
    with RawEsme(daemon.port) as client:
        client.bind()
        refused = {
            client.ask(part(2, to, header, b"x", data_coding=4)).status: wire.RSUBMITFAIL,
            client.ask(part(3, "", header, b"x")).status: wire.RINVDSTADR,
            client.ask(part(4, to, header, b"x", validity="nonsense")).status: wire.RINVEXPIRY,
        }
    assert list(refused) == list(refused.values())
    nothing_new_waits(daemon, before)


# The API refuses, hangs, or is cut off.

REFUSED = {
    "0400": wire.RINVSRCADR,
    "1400": wire.RINVDSTADR,
    "2400": wire.RINVMSGLEN,
    "3400": wire.RINVSCHED,
    "4400": wire.RINVEXPIRY,
    "5400": wire.RSUBMITFAIL,
    "0429": wire.RTHROTTLED,
    "0500": wire.RSYSERR,
}


def test_the_last_part_gets_the_apis_refusal_each_time_it_is_sent(either: Daemon) -> None:
    with RawEsme(either.port) as client:
        client.bind(system_id="quick")
        for suffix, status in REFUSED.items():
            to = f"+3725567{suffix}"
            before = either.sandbox("/sandbox/counts").get("requests", 0)
            octets = parts8(to, 1, TEXTS)
            assert [client.ask(one).status for one in octets] == [wire.ROK, wire.ROK, status]
            assert [client.ask(octets[2]).status for _ in range(2)] == [status, status]
            asked = either.sandbox("/sandbox/counts")["requests"] - before
            assert asked == 3, "the whole message, each time"
            assert either.accepted(to) == []


@pytest.mark.parametrize("suffix", ["9000", "9001", "9002"])
def test_what_may_have_been_sent_is_repeated_by_the_client_alone(
    either: Daemon, suffix: str
) -> None:
    to = f"+3725568{suffix}"
    octets = parts8(to, 1, TEXTS)
    with RawEsme(either.port) as client:
        client.bind(system_id="quick")
        answers = [client.ask(one).status for one in octets]
        assert answers == [wire.ROK, wire.ROK, wire.RSYSERR]
        assert either.accepted_texts(to) == [WHOLE]
        assert client.ask(octets[2]).status == wire.RSYSERR
    assert either.accepted_texts(to) == [WHOLE, WHOLE]


def test_a_reference_is_free_while_its_message_is_at_a_slow_api(daemon: Daemon) -> None:
    to = "+37255699000"  # accepted at once, never answered
    octets = [
        one
        for turn in range(3)
        for one in parts8(to, 0, [b"slow %d, " % turn, b"and its end %d" % turn], first=2 * turn)
    ]
    with RawEsme(daemon.port) as client:
        client.bind(system_id="quick")
        answers = client.ask_all(*octets)
    statuses = [answers[number].status for number in sorted(answers)]
    assert statuses == [wire.ROK, wire.RSYSERR] * 3
    texts = [f"slow {turn}, and its end {turn}" for turn in range(3)]
    assert sorted(daemon.accepted_texts(to)) == texts


FAILING: dict[str, tuple[Action, int]] = {
    "500": (Answer(500), wire.RSYSERR),
    "429": (Answer(429, b"slow down"), wire.RTHROTTLED),
    "400": (
        Answer(400, b'{"errors": [{"code": "105", "source": "payload[to]"}]}'),
        wire.RINVDSTADR,
    ),
    "cut": (Cut(Stage.REQUEST_READ), wire.RSYSERR),
}
GOOD_ID = "6a4b4b6c-6f5a-4d3e-9c2b-1f0e8d7c6b5a"
GOOD = Answer(201, json.dumps({"omnimessage_id": GOOD_ID}).encode())


@pytest.mark.parametrize("engine", ENGINES)
def test_the_last_part_alone_sends_it_all_once_the_api_is_well(engine: str) -> None:
    """Any part may be the last one that arrives, and others may be sent again before it."""
    with (
        HttpsServer(None) as api,
        Daemon(base_url=api.base_url, omnichannel=f'engine = "{engine}"', accounts=QUICK) as daemon,
    ):
        with RawEsme(daemon.port) as client:
            client.bind(system_id="quick")
            for turn, (action, status) in enumerate(FAILING.values()):
                to = f"+3725569000{turn}"
                api.requests.clear()
                api.actions["/omnimessage"] = action
                first, *others = random.Random(turn).sample(parts8(to, 0, TEXTS), 3)
                last = others.pop()
                assert client.ask(first).status == wire.ROK
                assert client.ask(others[0]).status == wire.ROK
                assert client.ask(last).status == status
                api.actions["/omnimessage"] = GOOD
                if turn % 2:
                    assert client.ask(first).status == wire.ROK
                answer = client.ask(last)
                assert (answer.status, answer.message_id) == (wire.ROK, GOOD_ID)
                bodies = [json.loads(request.body) for request in api.requests]
                assert [body["messages"][0]["text"] for body in bodies] == [WHOLE, WHOLE]
        until(lambda: pending(daemon) == (0, 0), "the store to be empty")
        assert daemon.stop() == 0
        daemon.assert_healthy_log()


# Passed through.


def test_parts_that_are_passed_through(daemon: Daemon) -> None:
    to = "+37255670001"
    before = pending(daemon)
    requests = [
        part(2, to, udh(concat8(0x2A, 2, 1)), b"one "),
        part(3, to, udh(concat16(0x1234, 2, 2)), b"two"),
        wire.submit(4, to, b"three", tail=sar(0x1234, 9, 3)),
        part(5, to, udh(concat8(1, 2, 1), bytes([0x25, 1, 1])), b"\x4b-"),  # Turkish
        wire.submit(6, to, b"whole"),
        part(7, to, udh(concat8(1, 1, 1)), b"one of one"),
    ]
    with RawEsme(daemon.port) as client:
        client.bind(system_id="through")
        answers = [client.ask(request) for request in requests]
    accepted = daemon.accepted(to)
    assert [one.message_id for one in answers] == [one["omnimessage_id"] for one in accepted]
    messages = [one["request"]["messages"][0] for one in accepted]
    assert [(one["text"], one.get("udh")) for one in messages] == [
        ("one ", "0500032a0201"),
        ("two", "06080412340202"),
        ("three", "06080412340903"),
        ("K-", "050003010201"),
        ("whole", None),
        ("one of one", None),
    ]
    nothing_new_waits(daemon, before)


def test_no_room_for_one_more_part_and_a_header_without_its_length() -> None:
    with Daemon(
        more="[store]\nmax_parts = 2",
        omnichannel="udh_includes_length = false",
        accounts=ACCOUNT + account("through", 'long_messages = "passthrough"'),
    ) as daemon:
        to = "+37255670100"
        octets = parts8(to, 1, TEXTS)
        with RawEsme(daemon.port) as client, RawEsme(daemon.port) as through:
            client.bind()
            assert [client.ask(one).status for one in octets[:2]] == [wire.ROK, wire.ROK]
            other = parts8(to, 2, TEXTS)[0]
            assert client.ask(other).status == wire.RMSGQFUL
            assert client.ask(octets[0]).status == wire.ROK, "takes no more room"
            assert client.ask(octets[2]).status == wire.ROK, "makes room"
            until(lambda: client.ask(other).status == wire.ROK, "the room")
            assert through.bind(system_id="through").ask(octets[0]).status == wire.ROK
        assert daemon.accepted_texts(to) == [WHOLE, TEXTS[0].decode()]
        assert daemon.accepted(to)[1]["request"]["messages"][0]["udh"] == "0003010301"
        assert daemon.stop() == 0
        daemon.assert_healthy_log()


# Parts that never come.


def test_a_message_that_is_never_complete(daemon: Daemon) -> None:
    to, incomplete, refused = "+37255680001", "+37255680002", "+37255680400"
    failed, relayed = (
        f'smppgw_segment_sets_expired_total{{result="{result}",system_id="{system_id}"}}'
        for system_id, result in (("hasty", "failed"), ("eager", "relayed"))
    )
    with RawEsme(daemon.port) as hasty, RawEsme(daemon.port) as eager:
        hasty.bind(system_id="hasty")
        eager.bind(system_id="eager")
        texts = [b"part %d. " % number for number in range(1, 8)]
        octets = parts8(to, 1, texts, registered_delivery=1)
        first = hasty.ask(octets[0])
        stored = [first, *(hasty.ask(octets[n]) for n in (2, 6))]
        assert {answer.status for answer in stored} == {wire.ROK}
        for destination in (incomplete, refused):
            parts = parts8(destination, 1, texts[:3])
            assert {eager.ask(parts[n]).status for n in (2, 0)} == {wire.ROK}
        line = daemon.event("set_failed", system_id="hasty", destination="***001")
        assert (line["missing"], line["parts"], line["outcome"]) == ("2,4-6", 7, "expired")
        assert line["receipts"] == 3
        assert line["set_id"] == UUID(first.message_id).hex[:30] + "00"
        line = daemon.event("set_relayed_incomplete", system_id="eager")
        assert (line["missing"], line["destination"]) == ("2", "***002")
        assert line["message_id"] == daemon.accepted(incomplete)[0]["omnimessage_id"]
        assert daemon.accepted_texts(incomplete) == ["part 1. part 3. "]
        line = daemon.event("set_failed", system_id="eager")
        assert (line["outcome"], line["destination"]) == ("refused", "***400")
        assert (daemon.metric(failed), daemon.metric(relayed)) == (1, 1)
        told = {(one.message_id, one.stat) for one in taken(hasty, 3)}
        assert told == {(answer.message_id, "EXPIRED") for answer in stored}
        # Too late: another set, which will not be complete either.
        again = hasty.ask(octets[1])
        assert again.status == wire.ROK
        assert UUID(again.message_id).hex[:30] != UUID(first.message_id).hex[:30]
        assert {hasty.ask(octets[n]).status for n in (3, 4, 5)} == {wire.ROK}
    assert daemon.accepted(to) == []
