"""What strangers, broken clients and hostile ones send, and that nobody else suffers from it.

All tests share one daemon. After the last of them it must still relay, its log must be clean,
and it must not have grown: the module's fixture sees to that.
"""

from __future__ import annotations

import random
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.e2e import esme
from tests.e2e import raw_esme as wire
from tests.e2e.daemon import ACCOUNT, DEMO_HASH, Daemon, until
from tests.e2e.raw_esme import RESP, Pdu, RawEsme, cstring, pdu, submit_body, tlv

TIMERS = """
session_init_timeout = 1
pdu_read_timeout = 1
enquire_link_interval = 0
unbind_timeout = 1
"""
SLOW_API = f"""
[[accounts]]
system_id = "small"
password_hash = "{DEMO_HASH}"
window = 4
max_binds = 100
response_deadline = 0.5

[[accounts]]
system_id = "patient"
password_hash = "{DEMO_HASH}"
window = 4
response_deadline = 5
"""
GROWTH = 40 << 20  # octets of RSS that all of this may cost: caches, arenas, the metrics


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon(smpp=TIMERS, accounts=ACCOUNT + SLOW_API) as running:
        good_client(running)
        before, open_before = running.resident(), running.descriptors()
        yield running
        until(lambda: running.metric("smppgw_connections") == 0, "all connections to end")
        good_client(running)
        assert running.resident() < before + GROWTH
        # What stays open are connections to the API, both ends of them, and the admin's.
        assert running.descriptors() < open_before + 30
        assert running.stop() == 0
        running.assert_healthy_log()
        assert running.events("connections_dropped") == []


def good_client(daemon: Daemon) -> None:
    with esme.bound(daemon.port) as client:
        assert esme.send(client, "+37255500001", b"still here").status == wire.ROK


# Inside a session: what one PDU is answered with. The session lives on.

SUBMIT_RESP = wire.SUBMIT_SM | RESP
OK = submit_body()
SHORT = OK[: OK.index(b"hello") - 6]  # ends before registered_delivery
PAYLOAD = tlv(0x0424, b"payload")

ANSWERED: dict[str, tuple[bytes, int, int]] = {
    "unknown request": (pdu(0x0000DEAD, 7), wire.GENERIC_NACK, wire.RINVCMDID),
    "broadcast_sm": (pdu(0x111, 7, b"abc"), wire.GENERIC_NACK, wire.RINVCMDID),
    "3.3's param_retrieve": (pdu(0x22, 7, b"x\0"), wire.GENERIC_NACK, wire.RINVCMDID),
    "body cut short": (pdu(4, 7, SHORT), SUBMIT_RESP, wire.RINVCMDLEN),
    "no body": (pdu(4, 7), SUBMIT_RESP, wire.RINVCMDLEN),
    "service_type too long": (
        pdu(4, 7, submit_body(service_type="TOOLONG")), SUBMIT_RESP, wire.RINVSERTYP,
    ),
    "source too long": (pdu(4, 7, submit_body(sender="1" * 21)), SUBMIT_RESP, wire.RINVSRCADR),
    "destination too long": (pdu(4, 7, submit_body("3" * 21)), SUBMIT_RESP, wire.RINVDSTADR),
    "schedule too long": (
        pdu(4, 7, submit_body(schedule="0" * 17)), SUBMIT_RESP, wire.RINVSCHED,
    ),
    "validity too long": (
        pdu(4, 7, submit_body(validity="0" * 17)), SUBMIT_RESP, wire.RINVEXPIRY,
    ),
    "validity is no time": (
        pdu(4, 7, submit_body(validity="261399999999000+")), SUBMIT_RESP, wire.RINVEXPIRY,
    ),
    "no NUL at all": (pdu(4, 7, b"x" * 60), SUBMIT_RESP, wire.RINVSERTYP),
    "sm_length beyond the end": (
        pdu(4, 7, submit_body(sm_length=200)), SUBMIT_RESP, wire.RINVMSGLEN,
    ),
    "no text": (pdu(4, 7, submit_body(text=b"")), SUBMIT_RESP, wire.RINVMSGLEN),
    "TLV beyond the end": (
        pdu(4, 7, OK + b"\x04\x24\x00\xffab"), SUBMIT_RESP, wire.RINVOPTPARSTREAM,
    ),
    "text twice": (pdu(4, 7, OK + PAYLOAD), SUBMIT_RESP, wire.RINVOPTPARAMVAL),
    "no destination": (pdu(4, 7, submit_body("")), SUBMIT_RESP, wire.RINVDSTADR),
    "binary": (pdu(4, 7, submit_body(data_coding=4)), SUBMIT_RESP, wire.RSUBMITFAIL),
    "deliver_sm": (pdu(5, 7, OK), wire.DELIVER_SM | RESP, wire.RINVBNDSTS),
    "a second bind": (
        pdu(2, 7, wire.bind_body()), wire.BIND_TRANSMITTER | RESP, wire.RALYBND,
    ),
    "a bind that cannot be read": (
        pdu(9, 7, b"x" * 100), wire.BIND_TRANSCEIVER | RESP, wire.RINVSYSID,
    ),
    # What is refused is refused by its own response, never by a generic_nack.
    "submit_multi to nobody that can be": (
        wire.multi(7, [wire.number("")]), wire.SUBMIT_MULTI | RESP, wire.RSUBMITFAIL,
    ),
    "submit_multi cut short": (pdu(0x21, 7, b"\0"), wire.SUBMIT_MULTI | RESP, wire.RINVCMDLEN),
    "submit_multi without destinations": (
        wire.multi(7, []), wire.SUBMIT_MULTI | RESP, wire.RINVNUMDESTS,
    ),
    "data_sm without text": (
        wire.data(7, "37255500001", b""), wire.DATA_SM | RESP, wire.RINVMSGLEN,
    ),
    "data_sm cut short": (pdu(0x103, 7, b"\0"), wire.DATA_SM | RESP, wire.RINVCMDLEN),
    "query_sm": (wire.query(7, "id"), wire.QUERY_SM | RESP, wire.RQUERYFAIL),
    "query_sm cut short": (pdu(3, 7, b"id"), wire.QUERY_SM | RESP, wire.RINVMSGID),
    "cancel_sm": (wire.cancel(7, "id"), wire.CANCEL_SM | RESP, wire.RCANCELFAIL),
    "cancel_sm cut short": (pdu(8, 7, b"\0id\0"), wire.CANCEL_SM | RESP, wire.RINVCMDLEN),
    "replace_sm": (wire.replace_sm(7, "id", b"hi"), wire.REPLACE_SM | RESP, wire.RREPLACEFAIL),
    "a port in a user data header": (
        wire.part(7, "37255500001", b"\4\4\2\1\1", b"x"), SUBMIT_RESP, wire.RINVESMCLASS,
    ),
    # Odd, but good.
    "a body on enquire_link": (pdu(0x15, 7, b"\0"), wire.ENQUIRE_LINK | RESP, wire.ROK),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERED)
def test_a_bad_pdu_costs_only_itself(daemon: Daemon, name: str) -> None:
    octets, command_id, status = ANSWERED[name]
    with RawEsme(daemon.port) as client:
        client.bind()
        answer = client.ask(octets)
        assert answer == Pdu(answer.length, command_id, status, 7, answer.body)
        refused_bind = command_id in {wire.BIND_TRANSMITTER | RESP, wire.BIND_TRANSCEIVER | RESP}
        assert answer.body == (b"\0" if refused_bind else b"")
        assert client.alive()
        assert client.ask(wire.submit(8)).status == wire.ROK


ACCEPTED: dict[str, bytes] = {
    "one stray octet": submit_body(tail=b"\0"),
    "three stray octets": submit_body(tail=b"\0\1\2"),
    "an unknown TLV": submit_body(tail=tlv(0x3FFF, b"vendor") + tlv(0x0999, b"")),
    "a repeated TLV": submit_body(tail=tlv(0x0204, b"\0\1") * 2),
    "a TLV of a wrong length": submit_body(tail=tlv(0x0204, b"\5")),
    "a TLV not meant for submit_sm": submit_body(tail=tlv(0x0427, b"\2")),
    "message_payload": submit_body(text=b"", tail=PAYLOAD),
    "no source": submit_body(sender=""),
    "a reserved TON": submit_body(ton=0x63),
    "a reserved priority": submit_body(priority=9),
    "a reserved data_coding": submit_body(data_coding=0x8F),
    "esm_class of Kannel": submit_body(esm_class=0x03),
    "255 octets": submit_body(text=b"x" * 255),
    "a header that is none": submit_body(text=b"\xff\0", esm_class=wire.UDHI),
    "a part number above its total": submit_body(text=b"\5\0\3\1\2\3x", esm_class=wire.UDHI),
    "sar_* that say nothing": submit_body(tail=wire.sar(1, 0, 0)),
}


def test_odd_submits_are_relayed(daemon: Daemon) -> None:
    with RawEsme(daemon.port) as client:
        client.bind()
        statuses = {name: client.ask(pdu(4, 9, body)).status for name, body in ACCEPTED.items()}
    assert statuses == dict.fromkeys(ACCEPTED, wire.ROK)


SILENTLY = {
    "an unknown response": pdu(0x80000FFF, 7, b"abc"),
    "generic_nack": pdu(wire.GENERIC_NACK, 7, status=3),
    "an enquire_link_resp that nothing asked for": pdu(0x80000015, 99),
    "a response with a malformed body": pdu(0x80000005, 99, b"\xff" * 80),
    "a submit_sm_resp": pdu(0x80000004, 99, b"id\0"),
    "outbind": pdu(0x0B, 7, cstring("a") + cstring("b")),
    "alert_notification": pdu(0x102, 7, b"\0\0\0\0\0\0"),
}


def test_what_is_never_answered(daemon: Daemon) -> None:
    with RawEsme(daemon.port) as client:
        client.bind()
        for sequence, octets in enumerate(SILENTLY.values(), 100):
            client.send(octets)
            assert client.alive(sequence)


@pytest.mark.parametrize("sequence", [0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_any_sequence_number_comes_back(daemon: Daemon, sequence: int) -> None:
    with RawEsme(daemon.port) as client:
        client.bind()
        client.send(wire.submit(sequence), wire.submit(sequence))
        assert [client.expect().sequence, client.expect().sequence] == [sequence, sequence]


def test_responses_that_3_4_does_not_know_are_spared_a_3_4_esme(daemon: Daemon) -> None:
    """ESME_RINVDCS is 5.0's."""
    with RawEsme(daemon.port) as client:
        client.bind(interface_version=0x50)
        assert client.ask(pdu(4, 7, submit_body(data_coding=4))).status == 0x104


# What costs the session: only a length that makes no sense, and a PDU that never ends.


def client_hello() -> bytes:
    """A real one, from the standard library's ssl."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="gateway.example").do_handshake()
    return outgoing.read()


LENGTHS = {
    "fifteen": (pdu(0x15, 77, length=15), 77, "command_length 15"),
    "zero": (pdu(0x15, 77, length=0), 77, "command_length 0"),
    "absurd": (pdu(0x15, 77, length=0xFFFFFFFF), 77, "command_length"),
    "one above the limit": (pdu(4, 77, length=70_001), 77, "command_length 70001"),
    "four octets are enough": (b"\xff\xff\xff\xff", 0, "command_length"),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: example\r\n\r\n", 0x2E310D0A, "an HTTP request"),
    "TLS": (client_hello(), None, "a TLS handshake on the plain port"),
    "SSH": (b"SSH-2.0-OpenSSH_9.2\r\n", None, "an SSH client"),
}


@pytest.mark.parametrize("bound", [False, True])
@pytest.mark.parametrize("name", LENGTHS)
def test_a_length_that_makes_no_sense_ends_the_session(
    daemon: Daemon, name: str, bound: bool
) -> None:
    octets, sequence, words = LENGTHS[name]
    known = len(daemon.log())
    with RawEsme(daemon.port) as client:
        if bound:
            client.bind()
        (answer,) = client.send(octets).rest()
    assert (answer.command_id, answer.status) == (wire.GENERIC_NACK, wire.RINVCMDLEN)
    assert answer.length == 16
    if sequence is not None:
        assert answer.sequence == sequence
    ended = "session_ended" if bound else "connection_closed"
    closed = until(lambda: [e for e in daemon.log()[known:] if e["event"] == ended], ended)
    assert words in closed[0]["reason"]
    assert closed[0]["peer"] == "127.0.0.1"


def test_a_stranger_may_not_send_large_pdus(daemon: Daemon) -> None:
    with RawEsme(daemon.port) as client:
        (answer,) = client.send(pdu(9, 1, length=513)).rest()
    assert (answer.command_id, answer.status) == (wire.GENERIC_NACK, wire.RINVCMDLEN)


def test_saying_nothing_ends_after_session_init_timeout(daemon: Daemon) -> None:
    with RawEsme(daemon.port) as client:
        assert 0.9 < client.seconds_until_closed() < 2.5
    daemon.event("connection_closed", reason="no bind in time")


def test_enquire_links_alone_do_not_keep_a_stranger(daemon: Daemon) -> None:
    with RawEsme(daemon.port) as client:
        assert client.alive()
        started = time.monotonic()
        client.send(pdu(wire.ENQUIRE_LINK, 2))
        assert len(client.rest()) == 1
        assert time.monotonic() - started < 2.5


def test_half_a_pdu_ends_after_pdu_read_timeout(daemon: Daemon) -> None:
    with RawEsme(daemon.port) as client:
        client.bind()
        started = time.monotonic()
        client.send(pdu(wire.ENQUIRE_LINK, 2), wire.submit(3)[:30])
        assert client.expect().sequence == 2
        (answer,) = client.rest()
        assert 0.9 < time.monotonic() - started < 2.5
    assert answer == Pdu(16, wire.GENERIC_NACK, wire.RINVCMDLEN, 0, b"")


def test_octet_by_octet(daemon: Daemon) -> None:
    with RawEsme(daemon.port) as client:
        for octet in pdu(9, 1, wire.bind_body()) + wire.submit(2, "37255520001") + pdu(0x15, 3):
            client.send(bytes([octet]))
        answers = [client.expect() for _ in range(3)]
    assert {(answer.command_id, answer.status) for answer in answers} == {
        (wire.BIND_TRANSCEIVER | RESP, 0),
        (SUBMIT_RESP, 0),
        (wire.ENQUIRE_LINK | RESP, 0),
    }


def test_everything_in_one_write(daemon: Daemon) -> None:
    """Bind, submit and unbind in one segment: the bind is checked first, nothing is lost."""
    with RawEsme(daemon.port) as client:
        client.send(pdu(9, 1, wire.bind_body()), wire.submit(2), pdu(wire.UNBIND, 3))
        assert [(a.command_id, a.status) for a in client.rest()] == [
            (wire.BIND_TRANSCEIVER | RESP, 0),
            (SUBMIT_RESP, 0),
            (wire.UNBIND | RESP, 0),
        ]


# Before the bind.


def test_before_the_bind_one_wrong_request_is_answered_and_the_second_ends_it(
    daemon: Daemon,
) -> None:
    with RawEsme(daemon.port) as client:
        assert client.ask(wire.submit(1)).status == wire.RINVBNDSTS
        answers = client.send(pdu(3, 2, b"id\0\0\0\0"), wire.submit(3)).rest()
    assert [(a.command_id, a.status) for a in answers] == [(0x80000003, wire.RINVBNDSTS)]


def test_unbind_before_the_bind(daemon: Daemon) -> None:
    with RawEsme(daemon.port) as client:
        answers = client.send(pdu(wire.UNBIND, 9)).rest()
    assert answers == [Pdu(16, wire.UNBIND | RESP, 0, 9, b"")]


def refused(daemon: Daemon, system_id: str, password: str) -> tuple[Pdu, float]:
    """The answer to a bind that must be refused, and how many seconds it took."""
    with RawEsme(daemon.port) as client:
        started = time.monotonic()
        client.send(pdu(2, 5, wire.bind_body(system_id, password)))
        (answer,) = client.rest()
    return answer, time.monotonic() - started


def test_wrong_credentials(daemon: Daemon) -> None:
    """Answered with a NUL for a body, then closed; each further failure is answered later."""
    good_client(daemon)  # forgives what other tests have done
    expected = Pdu(17, wire.BIND_TRANSMITTER | RESP, wire.RINVPASWD, 5, b"\0")
    seconds = []
    for system_id, password in (("demo", "wrong"), ("nobody", "demo"), ("demo", "p" * 64)):
        answer, took = refused(daemon, system_id, password)
        assert answer == expected
        seconds.append(took)
    assert seconds[0] < 0.25 <= seconds[1] < 0.5 <= seconds[2]
    details = {event["detail"] for event in daemon.events("bind_refused")}
    assert {"wrong password", "unknown system_id"} <= details
    assert "nobody" not in daemon.output(), "a stranger's word may be a password"
    good_client(daemon)
    assert refused(daemon, "demo", "wrong")[1] < 0.25
    good_client(daemon)


def test_a_client_that_leaves_while_its_password_is_checked(daemon: Daemon) -> None:
    for password in ("demo", "wrong", "wrong"):
        with RawEsme(daemon.port) as client:
            client.send(pdu(9, 1, wire.bind_body("demo", password)))
    until(lambda: daemon.metric("smppgw_connections") == 0, "the connections to go")
    good_client(daemon)
    assert daemon.metric('smppgw_sessions{bind_type="transceiver"}') == 0


# Many, and much.


def test_connect_and_close(daemon: Daemon) -> None:
    for _ in range(200):
        socket.create_connection(("127.0.0.1", daemon.port)).close()
    good_client(daemon)


def test_garbage_on_many_connections(daemon: Daemon) -> None:
    chance = random.Random(20)
    clients = [RawEsme(daemon.port) for _ in range(100)]
    for client in clients:
        octets = chance.randbytes(chance.randint(1, 2000))
        if chance.random() < 0.7:  # good lengths, so that it is read as PDUs
            command_id = chance.choice([1, 2, 3, 4, 5, 6, 7, 8, 9, 0x15, 0x21, 0x102, 0x103])
            octets = b"".join(
                pdu(command_id | chance.choice([0, 0, RESP]), n, chance.randbytes(n))
                for n in range(20)
            )
        try:
            client.send(octets)
        except (ConnectionResetError, BrokenPipeError):
            continue
    good_client(daemon)
    for client in clients:
        client.socket.close()


def test_bit_flips_in_a_bound_session(daemon: Daemon) -> None:
    """Any octet of a submit_sm's body may be wrong; its session lives, and each is answered."""
    chance = random.Random(21)
    good = wire.submit(1, tail=tlv(0x0204, b"\0\1"))
    with RawEsme(daemon.port) as client:
        client.bind()
        for sequence in range(2, 302):
            octets = bytearray(good)
            octets[12:16] = sequence.to_bytes(4, "big")
            for _ in range(chance.randint(1, 3)):
                octets[chance.randrange(16, len(octets))] ^= 1 << chance.randrange(8)
            client.send(bytes(octets))
            answer = client.expect()
            assert (answer.command_id, answer.sequence) == (SUBMIT_RESP, sequence)
        assert client.alive()


@pytest.mark.parametrize(
    ("good", "response"),
    [
        (wire.part(1, "37255500001", wire.udh(wire.concat8(1, 2, 1)), b"hello"), SUBMIT_RESP),
        (wire.submit(1, tail=wire.sar(1, 2, 1)), SUBMIT_RESP),
        (wire.multi(1, [wire.number("37255500001"), wire.dl("x")]), wire.SUBMIT_MULTI | RESP),
        (wire.data(1, "37255500001", wire.payload(b"hello")), wire.DATA_SM | RESP),
        (wire.query(1, "some id", "12345"), wire.QUERY_SM | RESP),
        (wire.cancel(1, "some id", "12345", "37255500001"), wire.CANCEL_SM | RESP),
        (wire.replace_sm(1, "some id", b"hello"), wire.REPLACE_SM | RESP),
    ],
    ids=["a part", "sar", "submit_multi", "data_sm", "query_sm", "cancel_sm", "replace_sm"],
)
def test_bit_flips_in_the_other_requests(daemon: Daemon, good: bytes, response: int) -> None:
    chance = random.Random(22)
    with RawEsme(daemon.port) as client:
        client.bind()
        for sequence in range(2, 152):
            octets = bytearray(good)
            octets[12:16] = sequence.to_bytes(4, "big")
            for _ in range(chance.randint(1, 3)):
                octets[chance.randrange(16, len(octets))] ^= 1 << chance.randrange(8)
            answer = client.ask(bytes(octets))
            assert (answer.command_id, answer.sequence) == (response, sequence)
        assert client.alive()


def test_far_more_than_the_window_at_once_all_refused(daemon: Daemon) -> None:
    """Refused without asking the API, so answered while they are still being read."""
    with RawEsme(daemon.port) as client:
        client.bind(system_id="small")
        client.send(*(wire.submit(n, "") for n in range(1, 501)))
        answers = [client.expect() for _ in range(500)]
        assert [answer.sequence for answer in answers] == list(range(1, 501))
        assert {answer.status for answer in answers} == {wire.RINVDSTADR}
        assert client.alive()


def fill(client: RawEsme, octets: bytes) -> None:
    """Write `octets` again and again, until the peer takes no more for a while."""
    client.socket.settimeout(0.7)
    some = octets * (65_536 // len(octets))
    for _ in range(24 * 16):  # 24 MiB, far more than the kernel keeps for both ends
        try:
            client.socket.sendall(some)
        except TimeoutError:
            return
    pytest.fail("it takes everything")


def test_a_flood_waits_in_the_clients_own_buffers(daemon: Daemon) -> None:
    """Beyond the window reading stops, so that the client's writes do too; nothing is lost."""
    before = daemon.resident()
    with RawEsme(daemon.port) as client:
        client.bind(system_id="patient")
        fill(client, wire.submit(2, "37255539000", b"x" * 250))
        good_client(daemon)
    assert daemon.resident() < before + (8 << 20)


def test_a_client_that_never_reads(daemon: Daemon) -> None:
    """Its answers must not pile up in the gateway without bound."""
    before = daemon.resident()
    with RawEsme(daemon.port) as client:
        client.bind()
        fill(client, pdu(wire.ENQUIRE_LINK, 2))
        good_client(daemon)
        assert daemon.resident() < before + (8 << 20)
        client.socket.settimeout(8)
        for _ in range(100_000):  # once it reads again, it finds them all
            assert client.expect().sequence == 2


def test_a_stranger_that_never_reads_is_let_go(daemon: Daemon) -> None:
    """Closing waits for what is still to be written, but not for ever."""
    until(lambda: daemon.metric("smppgw_connections") == 0, "other connections to end")
    with RawEsme(daemon.port) as client:
        with suppress(ConnectionResetError):  # on a slow machine it ends before it is full
            fill(client, pdu(wire.ENQUIRE_LINK, 2))
            assert daemon.metric("smppgw_connections") == 1
        until(lambda: daemon.metric("smppgw_connections") == 0, "its end", 6)
