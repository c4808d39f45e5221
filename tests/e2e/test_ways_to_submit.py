"""submit_multi, data_sm, sm_default_msg_id, replacing, and the forms of a message_id."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest

from tests.e2e import raw_esme as wire
from tests.e2e.daemon import ACCOUNT, DEMO_HASH, Daemon, until
from tests.e2e.raw_esme import RESP, Pdu, RawEsme, concat8, dl, multi, number, part, sar, udh

OTHERS = "".join(
    f'\n[[accounts]]\nsystem_id = "{system_id}"\npassword_hash = "{DEMO_HASH}"\n{settings}\n'
    for system_id, settings in (
        ("lists", 'multi_all_failed = "list"\nreplace_if_present = "refuse"'),
        ("words", 'default_messages = { 1 = "Your taxi is here.", 255 = "Täna ei tööta €" }'),
        ("hex", 'message_id_format = "hex"'),
        ("decimal", 'message_id_format = "decimal"'),
        ("mixed", 'message_id_format = "hex"\nreceipt_id_format = "decimal"'),
        ("quick", "response_deadline = 1"),
    )
)
MULTI_RESP = wire.SUBMIT_MULTI | RESP
DATA_RESP = wire.DATA_SM | RESP


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon(accounts=ACCOUNT + OTHERS) as running:
        yield running
        assert running.stop() == 0
        running.assert_healthy_log()


@pytest.fixture
def client(daemon: Daemon) -> Iterator[RawEsme]:
    with RawEsme(daemon.port) as esme:
        yield esme.bind()
        assert esme.alive(), "whatever it was, the session lives"


def ask_multi(client: RawEsme, octets: bytes, status: int = wire.ROK) -> Pdu:
    answer = client.ask(octets)
    assert (answer.command_id, answer.status) == (MULTI_RESP, status)
    return answer


# submit_multi.


def test_one_destination_gets_the_apis_id(daemon: Daemon, client: RawEsme) -> None:
    to = "+37255710001"
    message_id, failed = ask_multi(client, multi(7, [number(to)], b"to one")).multi
    (message,) = daemon.accepted(to)
    assert (message_id, failed) == (message["omnimessage_id"], {})
    assert daemon.accepted_texts(to) == ["to one"]


@pytest.mark.parametrize("count", [3, 254])
def test_each_destination_gets_the_message(daemon: Daemon, client: RawEsme, count: int) -> None:
    numbers = [f"+3725572{count:03}{index:03}" for index in range(count)]
    octets = multi(
        7,
        [number(to) for to in numbers],
        "õ".encode("utf-16-be"),
        data_coding=8,
        validity="000000010000000R",
        priority=1,
    )
    message_id, failed = ask_multi(client, octets).multi
    assert failed == {}
    assert UUID(message_id).version == 8, "an id of its own, that the API could not have given"
    accepted = [one for one in daemon.accepted(limit=300) if one["to"] in numbers]
    assert sorted(one["to"] for one in accepted) == numbers
    assert len({one["omnimessage_id"] for one in accepted}) == count
    for one in accepted:
        assert one["request"] == {
            "to": one["to"],
            "messages": [
                {"channel": "sms", "text": "õ", "autoconvert": "off", "sender": "Demo", "ttl": 3600}
            ],
            "priority": "regular",
        }


def test_those_that_fail_are_told_with_their_own_status(daemon: Daemon, client: RawEsme) -> None:
    good, as_well = "+37255730001", "+37255730002"
    expected = {
        "37255730400": wire.RINVSRCADR,
        "37255731400": wire.RINVDSTADR,
        "37255732400": wire.RINVMSGLEN,
        "37255733400": wire.RINVSCHED,
        "37255734400": wire.RINVEXPIRY,
        "37255735400": wire.RSUBMITFAIL,
        "37255730500": wire.RSYSERR,
        "37255730429": wire.RTHROTTLED,
        "12ab": wire.RINVDSTADR,
        "friends": wire.RCNTSUBDL,
    }
    places = [number(to) for to in expected if to != "friends"]
    octets = multi(7, [number(good), *places, dl("friends"), number(as_well)])
    answer = ask_multi(client, octets)
    assert answer.multi[1] == expected
    for to in (good, as_well):
        assert daemon.accepted_texts(to) == ["hello"]
    place = answer.body.index(b"37255730400")
    assert answer.body[place - 2 : place] == b"\1\1", "TON and NPI as they were given"
    refused = daemon.event(
        "message_refused", destination="***400", command_status="ESME_RINVSRCADR"
    )
    assert refused["sequence_number"] == 7
    line = daemon.event("submit_multi_answered", failed=10)
    assert (line["destinations"], line["message_id"]) == (12, answer.multi[0])


ALL_FAILED = {
    "all lists": ([dl("friends"), dl("family")], wire.RCNTSUBDL),
    "one list": ([dl("friends")], wire.RCNTSUBDL),
    "refused": ([number("37255740400"), number("37255741400")], wire.RSUBMITFAIL),
    "the only one": ([number("37255740400")], wire.RSUBMITFAIL),
    "refused, and a list": ([number("37255740400"), dl("friends")], wire.RSUBMITFAIL),
    "temporarily": ([number("37255740500"), number("37255750500")], wire.RSYSERR),
    "some temporarily": ([number("37255740500"), number("37255740400")], wire.RSUBMITFAIL),
}


@pytest.mark.parametrize("name", ALL_FAILED)
def test_all_have_failed(client: RawEsme, name: str) -> None:
    destinations, status = ALL_FAILED[name]
    assert ask_multi(client, multi(7, destinations), status).body == b""


def test_all_have_failed_for_an_account_that_wants_the_list(daemon: Daemon) -> None:
    with RawEsme(daemon.port) as client:
        client.bind(system_id="lists")
        octets = multi(7, [number("37255740400"), number("37255740500"), dl("friends")])
        assert ask_multi(client, octets).multi[1] == {
            "37255740400": wire.RINVSRCADR,
            "37255740500": wire.RSYSERR,
            "friends": wire.RCNTSUBDL,
        }


def test_some_may_hang(daemon: Daemon) -> None:
    """The answer waits for the last of them, and no longer than the account's deadline."""
    with RawEsme(daemon.port) as client:
        client.bind(system_id="quick")
        answer = ask_multi(client, multi(7, [number("+37255759000"), number("+37255750001")]))
        assert answer.multi[1] == {"+37255759000": wire.RSYSERR}
        assert client.alive()
    assert len(daemon.accepted("+37255759000")) == len(daemon.accepted("+37255750001")) == 1


@pytest.mark.parametrize("reference", ["udh", "sar"])
def test_submit_multi_in_parts(daemon: Daemon, client: RawEsme, reference: str) -> None:
    """Each destination gets the whole text once; those that refuse it stand in the last answer."""
    digit = int(reference == "sar")
    numbers = [f"+37255{digit}6{index}0001" for index in range(3)]
    refuses = f"+37255{digit}610400"
    destinations = [number(to) for to in [*numbers, refuses]]
    texts = [b"To all of you: ", b"the first of two ", b"has three."]
    found = []
    for n in (2, 1, 3):
        text, fields = texts[n - 1], {}
        if reference == "udh":
            text, fields = udh(concat8(1, 3, n)) + text, {"esm_class": wire.UDHI}
        tail = sar(1, 3, n) if reference == "sar" else b""
        answer = ask_multi(client, multi(n, destinations, text, tail=tail, **fields))
        found.append(answer.multi)
        texts_so_far = [daemon.accepted_texts(to) for to in numbers]
        expected = [b"".join(texts).decode()] if n == 3 else []
        assert texts_so_far == [expected] * 3
    assert [failed for _, failed in found] == [{}, {}, {refuses: wire.RINVSRCADR}]
    assert len({message_id for message_id, _ in found}) == 3


BROKEN = {
    "no destinations": (multi(7, []), wire.RINVNUMDESTS),
    "a flag of 3": (multi(7, [b"\3" + number("1")[1:]]), wire.RINVDESTFLAG),
    "cut short": (wire.pdu(wire.SUBMIT_MULTI, 7, b"\0\0\0\0\2\1"), wire.RINVCMDLEN),
    "more said than there": (
        wire.pdu(wire.SUBMIT_MULTI, 7, b"\0\0\0\0\xfe" + number("37255500001")), wire.RINVCMDLEN,
    ),
    "no text": (multi(7, [number("37255500001")], b""), wire.RSUBMITFAIL),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_submit_multi(client: RawEsme, name: str) -> None:
    octets, status = BROKEN[name]
    answer = client.ask(octets)
    assert answer == Pdu(16, MULTI_RESP, status, 7, b"")


# data_sm.


def test_data_sm(daemon: Daemon, client: RawEsme) -> None:
    to = "+37255770001"
    text = "Tere, 日本 😀 " * 20
    tail = wire.payload(text.encode("utf-16-be")) + wire.tlv(0x0017, b"\0\0\x0e\x10")
    answer = client.ask(wire.data(7, to, tail, data_coding=8))
    assert (answer.command_id, answer.status, answer.sequence) == (DATA_RESP, wire.ROK, 7)
    (message,) = daemon.accepted(to)
    assert answer.message_id == message["omnimessage_id"]
    (sms,) = message["request"]["messages"]
    assert (sms["text"], sms["ttl"], sms["sender"]) == (text, 3600, "Demo")


def test_parts_by_data_sm_and_by_submit_sm(daemon: Daemon, client: RawEsme) -> None:
    to = "+37255770002"
    tail = wire.payload(udh(concat8(9, 2, 2)) + b"and by data-sm")
    assert client.ask(wire.data(7, to, tail, esm_class=wire.UDHI)).status == wire.ROK
    assert daemon.accepted(to) == []
    assert client.ask(part(8, to, udh(concat8(9, 2, 1)), b"by submit-sm ")).status == wire.ROK
    assert daemon.accepted_texts(to) == ["by submit-sm and by data-sm"]


DATA_ERRORS = {
    "no text": (wire.data(7, "37255500001", b""), wire.RINVMSGLEN),
    "an empty text": (wire.data(7, "37255500001", wire.payload(b"")), wire.RINVMSGLEN),
    "no destination": (wire.data(7, "", wire.payload(b"x")), wire.RINVDSTADR),
    "a destination that is none": (wire.data(7, "9" * 64, wire.payload(b"x")), wire.RINVDSTADR),
    "too long": (wire.data(7, "9" * 65, wire.payload(b"x")), wire.RINVDSTADR),
    "binary": (wire.data(7, "37255500001", wire.payload(b"x"), data_coding=4), wire.RSUBMITFAIL),
    "a port": (
        wire.data(7, "37255500001", wire.payload(b"x") + wire.tlv(0x020B, b"\1\2")),
        wire.ROPTPARNOTALLWD,
    ),
    "a TLV beyond the end": (
        wire.data(7, "37255500001", b"\x04\x24\x00\xffx"), wire.RINVOPTPARSTREAM,
    ),
    "cut short": (wire.pdu(wire.DATA_SM, 7, b"\0\0"), wire.RINVCMDLEN),
    "the API refuses": (wire.data(7, "37255780400", wire.payload(b"x")), wire.RINVSRCADR),
    "the API fails": (wire.data(7, "37255780500", wire.payload(b"x")), wire.RSYSERR),
}  # fmt: skip


@pytest.mark.parametrize("name", DATA_ERRORS)
def test_data_sm_that_is_refused(client: RawEsme, name: str) -> None:
    octets, status = DATA_ERRORS[name]
    assert client.ask(octets) == Pdu(16, DATA_RESP, status, 7, b"")


# Texts of the gateway's own.


def test_sm_default_msg_id(daemon: Daemon) -> None:
    to = "+37255790001"
    with RawEsme(daemon.port) as client:
        client.bind(system_id="words")
        good = [
            wire.submit(2, to, b"", default=1),
            wire.submit(3, to, b"", default=255, data_coding=8),
            wire.submit(4, to, b"a text wins", default=1),
            wire.submit(5, to, b"", default=9, tail=wire.payload(b"a payload too")),
        ]
        assert [client.ask(one).status for one in good] == [wire.ROK] * 4
        assert ask_multi(client, multi(6, [number(to)] * 2, b"", default=1)).multi[1] == {}
        refused = client.ask(wire.submit(7, to, b"", default=2))
        assert refused == Pdu(16, wire.SUBMIT_SM | RESP, wire.RINVDFTMSGID, 7, b"")
        assert client.alive()
    taxi = "Your taxi is here."
    texts = [taxi, "Täna ei tööta €", "a text wins", "a payload too", taxi, taxi]
    assert daemon.accepted_texts(to) == texts


def test_an_account_without_texts_of_its_own(client: RawEsme) -> None:
    assert client.ask(wire.submit(7, text=b"", default=1)).status == wire.RINVDFTMSGID


# Replacing, which the API cannot.


def test_replace_if_present(daemon: Daemon, client: RawEsme) -> None:
    """What the API still holds is cancelled once the new one is accepted, and nothing else is."""
    to = "+37255790002"
    later = {"schedule": "000000010000000R"}
    with RawEsme(daemon.port) as refuses:
        refuses.bind(system_id="lists")
        answers = [
            client.ask(wire.submit(2, to, b"the first", **later)),
            client.ask(wire.submit(3, to, b"another sender's", sender="Else", **later)),
            client.ask(wire.submit(4, to, b"another service's", service_type="CMT", **later)),
            client.ask(wire.submit(5, to, b"sent already")),
            refuses.ask(wire.submit(6, to, b"another account's", **later)),
        ]
        assert [answer.status for answer in answers] == [wire.ROK] * 5
        refused = refuses.ask(wire.submit(7, to, b"refused", replace=1))
        assert refused.status == wire.RINVSUBREP
        assert refuses.alive()
    second = client.ask(wire.submit(8, to, b"the second", replace=1, **later))
    assert second.status == wire.ROK
    cancelled = until(lambda: states(daemon, to, "DELETED"), "the first to be cancelled")
    assert cancelled == ["the first"]
    parts = [part(n, to, udh(concat8(1, 2, n)), b"third ", replace=1) for n in (1, 2)]
    assert [client.ask(one).status for one in parts] == [wire.ROK, wire.ROK]
    until(lambda: len(states(daemon, to, "DELETED")) == 2, "the second to be cancelled")
    assert states(daemon, to, "DELETED") == ["the first", "the second"]
    assert daemon.event("message_replaced")["replaced_message_id"] == answers[0].message_id
    assert len(daemon.events("message_replaced")) == 2


def states(daemon: Daemon, to: str, status: str) -> list[str]:
    """The texts of those messages that have this status at the API."""
    return [
        one["request"]["messages"][0]["text"]
        for one in daemon.accepted(to)
        if daemon.sandbox(f"/v1/omnimessage/{one['omnimessage_id']}/status")["statuses"][0][
            "status"
        ]
        == status
    ]


def test_a_refusal_leaves_what_it_would_have_replaced(daemon: Daemon, client: RawEsme) -> None:
    to = "+37255790004"
    first = client.ask(wire.submit(2, to, b"first", schedule="000000010000000R"))
    assert first.status == wire.ROK
    bad = wire.submit(4, to, b"second", replace=1, validity="nonsense")
    assert client.ask(bad).status == wire.RINVEXPIRY
    assert client.alive()
    assert states(daemon, to, "DELETED") == []


def test_replace_sm(daemon: Daemon, client: RawEsme) -> None:
    to = "+37255790003"
    sent = client.ask(wire.submit(2, to, b"the first version", schedule="000001000000000R"))
    for message_id in (sent.message_id, "unknown", ""):
        answer = client.ask(wire.replace_sm(7, message_id, b"another version"))
        assert answer == Pdu(16, wire.REPLACE_SM | RESP, wire.RREPLACEFAIL, 7, b"")
    assert daemon.accepted_texts(to) == ["the first version"]


# The forms of a message_id.


def as_written(uuid: str, form: str) -> str:
    return uuid.replace("-", "") if form == "hex" else str(int(uuid.replace("-", ""), 16))


@pytest.mark.parametrize("form", ["hex", "decimal", "mixed"])
def test_the_same_128_bits_in_digits(daemon: Daemon, form: str) -> None:
    to = f"+3725581{len(form)}001"
    shown = "hex" if form == "mixed" else form
    with RawEsme(daemon.port) as client:
        client.bind(system_id=form)
        ids = [
            client.ask(wire.submit(2, to)).message_id,
            client.ask(wire.data(3, to, wire.payload(b"hello"))).message_id,
            ask_multi(client, multi(4, [number(to)])).multi[0],
        ]
        stored = client.ask(part(5, to, udh(concat8(1, 2, 1)), b"one ")).message_id
        several = ask_multi(client, multi(6, [number(to)] * 2)).multi[0]
        ids.append(client.ask(part(7, to, udh(concat8(1, 2, 2)), b"two")).message_id)
        accepted = [one["omnimessage_id"] for one in daemon.accepted(to)]
        assert ids == [as_written(accepted[place], shown) for place in (0, 1, 2, -1)]
        for own in (stored, several):
            value = int(own, 16 if shown == "hex" else 10)
            assert UUID(int=value).version == 8
            assert as_written(str(UUID(int=value)), shown) == own
            assert client.ask(wire.query(8, own)).status == wire.RQUERYFAIL
        asked = [ids[0], ids[0].upper() if shown == "hex" else ids[0].zfill(39)]
        if form == "mixed":
            asked.append(as_written(accepted[0], "decimal"))
        for message_id in asked:
            answer = client.ask(wire.query(9, message_id))
            assert (answer.status, answer.state) == (
                wire.ROK,
                (message_id, "", wire.ENROUTE, 0),
            )
    line = daemon.event("message_relayed", message_id=accepted[0])
    assert line["shown_message_id"] == ids[0]


def test_3_3_gets_eight_digits_that_lead_back(daemon: Daemon) -> None:
    to = "+37255820001"
    with RawEsme(daemon.port) as client:
        client.bind(interface_version=0x33)
        parts = [part(n + 1, to, udh(concat8(1, 2, n)), b"half ") for n in (1, 2)]
        octets = [wire.submit(9, to), multi(10, [number(to)]), *parts]
        answers = [client.ask(one) for one in octets]
        several = ask_multi(client, multi(11, [number(to), number("37255820400")]))
        assert several.multi[1] == {"37255820400": wire.RINVSRCADR}
        shown = [one.body.split(b"\0")[0].decode() for one in [*answers, several]]
        assert len(set(shown)) == 5
        assert all(len(one) == 8 and int(one, 16) > 0 for one in shown), shown
        accepted = [one["omnimessage_id"] for one in daemon.accepted(to)]
        for short, uuid in (
            (shown[0], accepted[0]),
            (shown[1], accepted[1]),
            (shown[3], accepted[2]),
        ):
            for message_id in (short, short.upper(), f"{int(short, 16):010d}"):
                answer = client.ask(wire.query(12, message_id))
                assert answer.status == wire.ROK, message_id
                assert answer.state == (message_id, "", wire.ENROUTE, 0)
            daemon.event("inquiry_answered", message_id=uuid)
        for own in (shown[2], shown[4]):
            assert client.ask(wire.query(13, own)).status == wire.RQUERYFAIL
        assert client.alive()
