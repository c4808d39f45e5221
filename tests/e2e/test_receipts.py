"""Delivery receipts through the installed daemon: what the API reports is what the ESME reads.

The API is the sandbox as a process of its own, whose numbers' last digits decide what becomes
of a message. Every test has an account of its own, so that none takes another's receipts.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from tests.e2e import esme, receipts
from tests.e2e import raw_esme as wire
from tests.e2e.daemon import DEMO_HASH, LIMIT, PASSWORD, Daemon, Sandbox, until
from tests.e2e.raw_esme import RESP, RawEsme, concat8, concat16, number, part, pdu, sar, udh
from tests.e2e.receipts import ACCEPTD, DELIVRD, UNDELIV, arriving, exchange, taken

DELAY = 0.2  # seconds until a message is delivered
RESPONSE_TIMEOUT = 2  # seconds for a deliver_sm_resp
SECRET = b"a secret that nobody may read"
DELIVERED = (DELIVRD, 0)

# A receipt may leave as soon as its submit_sm_resp has: what keeps the order is not time.
SETTINGS = {f"plain{index}": "" for index in range(30)} | {
    "held": "unknown_held = 1",
    "late": "receipt_delay = 0.4",
    "narrow": "deliver_window = 3",
    "hex": 'message_id_format = "hex"',
    "decimal": 'message_id_format = "decimal"',
    "mixed": 'message_id_format = "hex"\nreceipt_id_format = "decimal"',
    "worded": 'receipt_text = 20\nreceipt_timezone = "+02:00"',
    "hasty": "reassembly_timeout = 1",
    "off": 'receipts = "off"',
}
ACCOUNTS = "".join(
    f'\n[[accounts]]\nsystem_id = "{system_id}"\npassword_hash = "{DEMO_HASH}"\n{settings}\n'
    + ("" if "receipt_delay" in settings else "receipt_delay = 0\n")
    for system_id, settings in SETTINGS.items()
)
_unused = count()


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with (
        Sandbox("--delivery-delay", str(DELAY), "--retry-pause", "0.1") as api,
        Daemon(
            sandbox_port=api.port,
            smpp=f"response_timeout = {RESPONSE_TIMEOUT}",
            callbacks="max_body = 2000",
            key_file=True,
            accounts=ACCOUNTS,
        ) as running,
    ):
        yield running
        assert running.accepted(limit=10_000), "texts and tokens that no log line may have"
        assert running.stop() == 0
        running.assert_healthy_log()


@pytest.fixture
def account() -> str:
    """One that no other test has."""
    return f"plain{next(_unused)}"


def destination(suffix: str, index: int = 0) -> str:
    return f"+3725{index:04}{suffix}"


def asking(sequence: int, to: str, registered_delivery: int = 1, **rest: object) -> bytes:
    text = b"%d: %s" % (sequence, SECRET)
    return wire.submit(sequence, to, text, registered_delivery=registered_delivery, **rest)


def nothing_more(daemon: Daemon, client: RawEsme, system_id: str, reports: int) -> None:
    """The API has told all that it will about an account's messages, and no receipt is left."""
    until(lambda: len(daemon.events("report_taken", system_id=system_id)) >= reports, "reports")
    assert client.alive(), "the very next PDU is no deliver_sm"
    assert len(daemon.events("report_taken", system_id=system_id)) == reports


def nothing_pending(daemon: Daemon) -> None:
    """What was acknowledged is gone from the store too, a moment later."""
    until(lambda: daemon.metric("smppgw_receipts_pending") == 0, "the last commit")


# What became of a message, in the words of a receipt.

FATES = {
    "0001": DELIVERED,
    "7100": DELIVERED,
    "7101": (UNDELIV, 1),
    "7102": ("EXPIRED", 2),
    "7103": (UNDELIV, 3),
    "7104": ("REJECTD", 4),
    "7105": ("REJECTD", 5),
    "7108": ("REJECTD", 8),
    "7110": DELIVERED,
    "7200": DELIVERED,
    "7201": ("DELETED", 255),
    "7202": DELIVERED,  # UNKNOWN was held, and DELIVRD came in its place
    "7203": ("UNKNOWN", 255),
    "7204": ("UNKNOWN", 255),
    "7301": DELIVERED,
    "7302": DELIVERED,
    "7303": DELIVERED,
}


def test_each_fate_as_smpplib_reads_it(daemon: Daemon) -> None:
    sent = {}
    with esme.bound(daemon.port, system_id="held") as client:
        for suffix in FATES:
            sequence = esme.submit(client, destination(suffix), SECRET, registered_delivery=1)
            sent[sequence] = suffix
        answers, found = esme.exchange(client, len(sent), len(sent))
    suffixes = {answers[sequence].message_id: suffix for sequence, suffix in sent.items()}
    told = {}
    for one in found:
        text = receipts.PHP_SMPP.match(one.short_message.decode())
        assert text
        assert one.receipted_message_id == text["id"].encode()
        assert one.message_state == receipts.STATES[text["stat"]]
        suffix = suffixes[one.receipted_message_id]
        assert (one.esm_class, one.data_coding) == (receipts.FINAL, 0)
        assert one.source_addr == destination(suffix).encode()
        assert one.destination_addr == b"Demo"
        if text["stat"] == DELIVRD:
            assert one.network_error_code is None
        else:
            assert one.network_error_code == struct.pack(">BH", 3, int(text["err"]))
        told[suffix] = (text["stat"], int(text["err"]))
    assert told == FATES


ASKED = {  # registered_delivery -> what is told of ACCEPTD and then DELIVRD, and of UNDELIV
    0x00: ([], []),
    0x01: ([DELIVRD], [UNDELIV]),
    0x02: ([], [UNDELIV]),
    0x03: ([DELIVRD], []),
    0x0C: ([], []),  # acknowledgements of the person's telephone are no receipts
    0x10: ([ACCEPTD], []),
    0x11: ([ACCEPTD, DELIVRD], [UNDELIV]),
    0x12: ([ACCEPTD], [UNDELIV]),
}


def test_what_was_asked_for_is_told(daemon: Daemon, account: str) -> None:
    wanted = {}
    requests: list[bytes] = []
    for registered_delivery, expected in ASKED.items():
        for suffix, stats in zip(("7200", "7101"), expected, strict=True):
            sequence = len(requests) + 2
            requests.append(asking(sequence, destination(suffix, sequence), registered_delivery))
            wanted[sequence] = stats
    with RawEsme(daemon.port) as client:
        client.bind(system_id=account)
        expected_receipts = sum(len(stats) for stats in wanted.values())
        answers, found = exchange(client, requests, expected_receipts)
        nothing_more(daemon, client, account, 6 * (3 + 1))
    told = {
        sequence: [one.stat for one in found if one.message_id == message_id]
        for sequence, message_id in answers.items()
    }
    assert told == wanted


def test_who_does_not_ask_or_must_not_has_no_dlr_url(daemon: Daemon, account: str) -> None:
    for system_id, registered_delivery in ((account, 0), ("off", 1)):
        to = destination("0001", 100 + registered_delivery)
        with RawEsme(daemon.port) as client:
            client.bind(system_id=system_id)
            assert client.ask(asking(2, to, registered_delivery)).status == wire.ROK
        assert "dlr_url" not in daemon.accepted(to)[0]["request"]


def test_what_a_receipt_repeats(daemon: Daemon, account: str) -> None:
    """The service_type, the addresses as they were written, user_message_reference; swapped."""
    reference = wire.tlv(receipts.REFERENCE, b"\x12\x34")
    request = asking(
        7, destination("7101"), service_type="CMT", ton=2, sender="12345", tail=reference
    )
    before = datetime.now(UTC).strftime("%y%m%d%H%M")
    with RawEsme(daemon.port) as client:
        answers, [one] = exchange(client.bind(system_id=account), [request], 1)
    after = datetime.now(UTC).strftime("%y%m%d%H%M")
    assert one.message_id == answers[7]
    assert one.service_type == "CMT"
    assert (one.source, one.destination) == ((2, 1, destination("7101")), (1, 0, "12345"))
    assert list(one.tlvs) == [
        receipts.REFERENCE,
        receipts.ERROR_CODE,
        receipts.STATE,
        receipts.RECEIPTED,
    ]
    assert one.tlvs[receipts.REFERENCE] == b"\x12\x34"
    assert one.text == "", "unless the account wants some"
    assert before <= one.submitted <= one.done <= after


def test_the_text_and_the_zone_of_an_account(daemon: Daemon) -> None:
    text = "õhtu: a secret, and more of it".encode("latin-1")
    request = wire.submit(7, destination("0001"), text, registered_delivery=1, data_coding=3)
    with RawEsme(daemon.port) as client:
        _, [one] = exchange(client.bind(system_id="worded"), [request], 1)
    assert one.text == "?htu: a secret, and "
    done = datetime.strptime(one.done + "+0200", "%y%m%d%H%M%z")
    assert abs(datetime.now(UTC) - done) < timedelta(seconds=60 + LIMIT)


@pytest.mark.parametrize(
    ("system_id", "answered", "told"),
    [("hex", "hex", "hex"), ("decimal", "decimal", "decimal"), ("mixed", "hex", "decimal")],
)
def test_the_forms_of_an_id(daemon: Daemon, system_id: str, answered: str, told: str) -> None:
    to = destination("0001", 200)
    with RawEsme(daemon.port) as client:
        answers, [one] = exchange(client.bind(system_id=system_id), [asking(7, to)], 1)
    read = {"hex": lambda text: UUID(text), "decimal": lambda text: UUID(int=int(text))}
    assert read[answered](answers[7]) == read[told](one.message_id)
    assert str(read[told](one.message_id)) in {
        message["omnimessage_id"] for message in daemon.accepted(to)
    }


def test_a_bind_of_3_3(daemon: Daemon, account: str) -> None:
    """Its id is hexadecimal in the response and decimal in the receipt, which has no TLVs."""
    requests = [
        asking(7, destination("7101"), tail=wire.tlv(receipts.REFERENCE, b"\0\7")),
        asking(8, destination("7200"), 0x11),
    ]
    with RawEsme(daemon.port) as client:
        client.bind(system_id=account, interface_version=0x33)
        answers, found = exchange(client, requests, 3)
    assert all(len(message_id) == 8 for message_id in answers.values())
    by_id = {f"{int(message_id, 16):010}": sequence for sequence, message_id in answers.items()}
    told = sorted((by_id[one.message_id], one.stat, one.tlvs) for one in found)
    assert told == [(7, UNDELIV, {}), (8, ACCEPTD, {}), (8, DELIVRD, {})]


# Each message is told once, and never before its submit_sm_resp.

TROUBLE = {"0001": 1, "7301": 3, "7302": 2, "7303": 1, "7200": 3}  # reports of each


def test_one_final_receipt_after_its_response(daemon: Daemon, account: str) -> None:
    """Reports that come before the API's answer, three times, or in the wrong order."""
    requests, interim = [], {}
    for sequence in range(2, 62):
        suffix = list(TROUBLE)[sequence % len(TROUBLE)]
        registered_delivery = 0x11 if sequence % 2 else 1
        requests.append(asking(sequence, destination(suffix, sequence), registered_delivery))
        interim[sequence] = suffix == "7200" and registered_delivery == 0x11
    before = daemon.metrics()
    with RawEsme(daemon.port) as client:
        client.bind(system_id=account)
        answers, found = exchange(client, requests, 60 + sum(interim.values()))
        nothing_more(daemon, client, account, 12 * sum(TROUBLE.values()))
    assert len(set(answers.values())) == 60
    for sequence, message_id in answers.items():
        stats = [one.stat for one in found if one.message_id == message_id]
        assert stats == [ACCEPTD] * interim[sequence] + [DELIVRD]
    now = daemon.metrics()

    def more(sample: str) -> float:
        return now.get(sample, 0) - before.get(sample, 0)

    assert more('smppgw_receipts_total{message_state="DELIVERED"}') == 60
    assert more('smppgw_receipts_total{message_state="ACCEPTED"}') == sum(interim.values())
    assert more('smppgw_receipt_attempts_total{result="delivered"}') == len(found)
    assert more("smppgw_receipt_delivery_seconds_count") == len(found)
    # Of 7301 twice; ACK and ACCEPTD are one state; the late ACCEPTD of those that asked for it.
    assert more('smppgw_webhooks_total{result="repeated"}') == 12 * 2 + sum(interim.values())
    assert more('smppgw_webhooks_total{result="stale"}') == 6
    assert (now["smppgw_receipts_pending"], now["smppgw_reports_awaited"]) == (0, 0)
    delivered = daemon.events("receipt_delivered", system_id=account)
    assert Counter(line["message_id"] for line in delivered) == Counter(
        one.message_id for one in found
    )
    assert {line["message_state"] for line in delivered} == {"DELIVERED", "ACCEPTED"}


def test_a_pair_of_binds(daemon: Daemon) -> None:
    """Two connections have no order between them: there receipt_delay is what keeps it."""
    with RawEsme(daemon.port) as sender, RawEsme(daemon.port) as receiver:
        sender.bind(wire.BIND_TRANSMITTER, system_id="late")
        receiver.bind(wire.BIND_RECEIVER, system_id="late")
        answer = sender.ask(asking(2, destination("7303")))
        receiver.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            receiver.read()
        receiver.socket.settimeout(LIMIT)
        [one] = taken(receiver, 1)
        assert (one.message_id, one.told) == (answer.message_id, DELIVERED)
        nothing_more(daemon, receiver, "late", 1)
        assert sender.alive(), "a transmitter gets none"


def test_the_receiver_of_smpplib(daemon: Daemon, account: str) -> None:
    with (
        esme.bound(daemon.port, "transmitter", system_id=account) as sender,
        esme.bound(daemon.port, "receiver", system_id=account) as receiver,
    ):
        answers = [
            esme.send(sender, destination("0001", index), SECRET, registered_delivery=1)
            for index in range(5)
        ]
        _, found = esme.exchange(receiver, 0, 5)
    assert {one.receipted_message_id for one in found} == {one.message_id for one in answers}


def test_two_receivers_in_turn(daemon: Daemon, account: str) -> None:
    with RawEsme(daemon.port) as sender, RawEsme(daemon.port) as one, RawEsme(daemon.port) as other:
        sender.bind(wire.BIND_TRANSMITTER, system_id=account)
        one.bind(wire.BIND_RECEIVER, system_id=account)
        other.bind(wire.BIND_TRANSCEIVER, system_id=account)
        answers = sender.ask_all(*(asking(n, destination("0001", n)) for n in range(2, 12)))
        found = taken(one, 5) + taken(other, 5)
        assert {each.message_id for each in found} == {
            answer.message_id for answer in answers.values()
        }


def test_what_a_lost_receiver_left_unanswered_goes_to_the_other(
    daemon: Daemon, account: str
) -> None:
    with RawEsme(daemon.port) as sender, RawEsme(daemon.port) as kept, RawEsme(daemon.port) as lost:
        sender.bind(wire.BIND_TRANSMITTER, system_id=account)
        lost.bind(wire.BIND_RECEIVER, system_id=account)
        answers = sender.ask_all(*(asking(n, destination("0001", n)) for n in range(2, 8)))
        first, *unanswered = arriving(lost, 6)
        lost.send(receipts.response(first))
        daemon.event("receipt_delivered", system_id=account, message_id=first.message_id)
        kept.bind(wire.BIND_RECEIVER, system_id=account)
        reset(lost)
        assert [one.message_id for one in taken(kept, 5)] == [one.message_id for one in unanswered]
        assert {one.message_id for one in (first, *unanswered)} == {
            answer.message_id for answer in answers.values()
        }
        nothing_more(daemon, kept, account, 6)
    ended = daemon.event("session_ended", system_id=account, undelivered=5)
    assert ended["reason"] == "closed by the ESME without unbind"


def reset(client: RawEsme) -> None:
    """Gone at once, with whatever is on its way."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.socket.close()


def test_deliver_window(daemon: Daemon) -> None:
    with RawEsme(daemon.port) as sender, RawEsme(daemon.port) as receiver:
        sender.bind(wire.BIND_TRANSMITTER, system_id="narrow")
        receiver.bind(wire.BIND_RECEIVER, system_id="narrow")
        sender.ask_all(*(asking(n, destination("0001", n)) for n in range(2, 10)))
        waiting = arriving(receiver, 3)
        nothing_more(daemon, receiver, "narrow", 8)
        for left in range(7, -1, -1):
            receiver.send(receipts.response(waiting.pop()))
            if left >= 3:
                waiting += arriving(receiver, 1)
            assert receiver.alive()


# What waits.


def test_what_waits_for_a_receiver_leaves_oldest_first(daemon: Daemon, account: str) -> None:
    """More than one page of it, over a restart, and what comes afterwards stands behind."""
    nothing_pending(daemon)
    with RawEsme(daemon.port) as sender:
        sender.bind(wire.BIND_TRANSMITTER, system_id=account)
        sender.ask_all(*(asking(n, destination("0001", n)) for n in range(2, 252)))
        until(lambda: len(daemon.events("report_taken", system_id=account)) >= 250, "the reports")
    assert daemon.metric("smppgw_receipts_pending") == 250
    assert daemon.stop() == 0
    daemon.start()
    assert daemon.metric("smppgw_receipts_pending") == 250
    with RawEsme(daemon.port) as sender, RawEsme(daemon.port) as receiver:
        sender.bind(wire.BIND_TRANSMITTER, system_id=account)
        sender.ask_all(*(asking(n, destination("0001", n)) for n in range(2, 12)))
        until(lambda: len(daemon.events("report_taken", system_id=account)) >= 260, "the reports")
        receiver.bind(wire.BIND_RECEIVER, system_id=account)
        found = [one.message_id for one in taken(receiver, 260)]
        nothing_more(daemon, receiver, account, 260)
    reported = [line["message_id"] for line in daemon.events("report_taken", system_id=account)]
    assert found == reported
    nothing_pending(daemon)


def test_reports_find_their_way_after_a_restart(daemon: Daemon, account: str) -> None:
    """Sent before, told after: the API repeats what nobody took, and the key file is the same."""
    with RawEsme(daemon.port) as sender:
        sender.bind(wire.BIND_TRANSMITTER, system_id=account)
        answers = sender.ask_all(*(asking(n, destination("0001", n)) for n in range(2, 12)))
    daemon.crash()
    daemon.start()
    with RawEsme(daemon.port) as receiver:
        receiver.bind(wire.BIND_RECEIVER, system_id=account)
        found = taken(receiver, 10)
    assert {one.message_id for one in found} == {answer.message_id for answer in answers.values()}


def test_a_drain_loses_nothing_and_repeats_nothing(daemon: Daemon, account: str) -> None:
    """What the ESME answers until it is unbound counts, and the rest comes after the restart."""
    with RawEsme(daemon.port) as sender, RawEsme(daemon.port) as receiver:
        sender.bind(wire.BIND_TRANSMITTER, system_id=account)
        receiver.bind(wire.BIND_RECEIVER, system_id=account)
        answers = sender.ask_all(*(asking(n, destination("0001", n)) for n in range(2, 22)))
        on_the_way = arriving(receiver, 10)
        until(lambda: len(daemon.events("report_taken", system_id=account)) >= 20, "the reports")
        daemon.kill()
        unbind = receiver.expect()
        assert unbind.command_id == wire.UNBIND
        for one in on_the_way[:6]:
            receiver.send(receipts.response(one))
        receiver.send(pdu(wire.UNBIND | RESP, unbind.sequence))
        assert receiver.rest() == []
        goodbye = sender.expect()
        sender.send(pdu(wire.UNBIND | RESP, goodbye.sequence))
        assert daemon.wait() == 0
    daemon.start()
    with RawEsme(daemon.port) as receiver:
        receiver.bind(wire.BIND_RECEIVER, system_id=account)
        found = on_the_way[:6] + taken(receiver, 14)
        assert receiver.alive()
    assert Counter(one.message_id for one in found) == Counter(
        answer.message_id for answer in answers.values()
    )


# What the ESME answers.


def test_what_the_esme_answers(daemon: Daemon, account: str) -> None:
    """Temporary failures and silence are tried again; what is permanent is kept as dead."""
    nack = wire.GENERIC_NACK
    dead = daemon.metric("smppgw_receipts_dead")
    attempts = Counter(attempts_by_result(daemon))
    with RawEsme(daemon.port) as sender, RawEsme(daemon.port) as receiver:
        sender.bind(wire.BIND_TRANSMITTER, system_id=account)
        receiver.bind(wire.BIND_RECEIVER, system_id=account)
        sender.ask_all(*(asking(n, destination("0001", n)) for n in range(2, 10)))
        queue_full, application, silence, nacked, never, filled, headless, plain = arriving(
            receiver, 8
        )
        receiver.send(
            receipts.response(queue_full, wire.RMSGQFUL),
            receipts.response(application, receipts.RX_T_APPN),
            pdu(nack, nacked.sequence, status=wire.RTHROTTLED),
            receipts.response(never, receipts.RX_P_APPN),
            receipts.response(filled, body=wire.cstring("an id of its own")),
            receipts.response(headless, body=b""),
            receipts.response(plain),
        )
        assert receiver.alive(), "whatever it answered"
        expected = {one.message_id for one in (queue_full, application, nacked)}
        assert {one.message_id for one in taken(receiver, 3)} == expected
        assert [one.message_id for one in taken(receiver, 1)] == [silence.message_id]
        nothing_more(daemon, receiver, account, 8)
        receiver.send(receipts.response(silence))
        assert receiver.alive(), "although that answer was late"
    nothing_pending(daemon)
    assert daemon.metric("smppgw_receipts_dead") == dead + 1
    assert Counter(attempts_by_result(daemon)) - attempts == {
        "delivered": 7,
        "retried": 3,
        "no_answer": 1,
        "dead": 1,
    }
    line = daemon.event("receipt_dead", system_id=account)
    assert (line["message_id"], line["command_status"]) == (never.message_id, "ESME_RX_P_APPN")


def attempts_by_result(daemon: Daemon) -> dict[str, int]:
    sample = "smppgw_receipt_attempts_total"
    return {
        name.removeprefix(f'{sample}{{result="').removesuffix('"}'): int(value)
        for name, value in daemon.metrics().items()
        if name.startswith(sample)
    }


# Long messages, and the other ways to submit.

TEXTS = [b"This is the first part of a secret, ", b"this the second one, ", b"and this the last."]


def long_message(to: str, asked: list[int], first: int = 2) -> list[bytes]:
    return [
        part(
            first + index,
            to,
            udh(concat8(7, len(asked), index + 1)),
            TEXTS[index],
            registered_delivery=registered_delivery,
        )
        for index, registered_delivery in enumerate(asked)
    ]


def test_the_way_of_kannel(daemon: Daemon, account: str) -> None:
    """It asks with the first part only, and knows the message by that part's id."""
    with RawEsme(daemon.port) as client:
        client.bind(system_id=account)
        requests = long_message(destination("7200"), [0x11, 0, 0])
        answers, found = exchange(client, requests, 2)
        nothing_more(daemon, client, account, 3)
    assert [(one.message_id, one.stat) for one in found] == [
        (answers[2], ACCEPTD),
        (answers[2], DELIVRD),
    ]


def test_every_part_that_asks_is_told_its_own_id(daemon: Daemon, account: str) -> None:
    """UDH and SAR, in any order, over two binds; the last that comes has the API's id."""
    to = destination("7101")
    header = [udh(concat16(0x1234, 3, n)) for n in (1, 2, 3)]
    by_udh = [part(n, to, header[n - 1], TEXTS[n - 1], registered_delivery=1) for n in (3, 1, 2)]
    by_sar = [asking(10 + n, to, n % 2, tail=sar(9, 2, n)) for n in (1, 2)]  # 1 asks, 2 does not
    with RawEsme(daemon.port) as client, RawEsme(daemon.port) as other:
        other.bind(wire.BIND_TRANSMITTER, system_id=account)
        mine = {3: other.ask(by_udh[0]).message_id}
        client.bind(system_id=account)
        answers, found = exchange(client, by_udh[1:] + by_sar, 4)
        nothing_more(daemon, client, account, 2)
    mine |= {number: answers[number] for number in (1, 2, 11)}
    assert Counter((one.message_id, one.told) for one in found) == Counter(
        (message_id, (UNDELIV, 1)) for message_id in mine.values()
    )


def test_a_long_message_that_is_never_complete(daemon: Daemon) -> None:
    requests = long_message(destination("0001"), [1, 0, 1])[:2]
    other = long_message(destination("0001", 1), [1, 2, 3], first=12)[1:]
    with RawEsme(daemon.port) as client:
        client.bind(system_id="hasty")
        answers, found = exchange(client, requests + other, 2)
        assert client.alive()
    # 3 asks for success only.
    assert {(one.message_id, one.told) for one in found} == {
        (answers[2], ("EXPIRED", 255)),
        (answers[13], ("EXPIRED", 255)),
    }


def test_submit_multi(daemon: Daemon, account: str) -> None:
    """All its destinations are told under the one id, and none before the response."""
    places = {destination("7303"): DELIVERED, destination("7101"): (UNDELIV, 1)}
    refused = destination("0400")
    with RawEsme(daemon.port) as client:
        client.bind(system_id=account)
        octets = wire.multi(
            7, [number(to) for to in (*places, refused)], SECRET, registered_delivery=1
        )
        answer = client.ask(octets)
        assert answer.command_id == wire.SUBMIT_MULTI | RESP
        message_id, failed = answer.multi
        assert list(failed) == [refused]
        found = taken(client, 2)
        nothing_more(daemon, client, account, 2)
    assert {one.source[2]: one.told for one in found} == places
    assert {one.message_id for one in found} == {message_id}


def test_data_sm(daemon: Daemon, account: str) -> None:
    request = wire.data(7, destination("7102"), wire.payload(SECRET), registered_delivery=1)
    with RawEsme(daemon.port) as client:
        answers, [one] = exchange(client.bind(system_id=account), [request], 1)
    assert (one.message_id, one.told) == (answers[7], ("EXPIRED", 2))


# Who may call back.


def post(url: str, body: bytes, signature: str = "", method: str = "POST") -> int:
    signature = signature or hmac.new(PASSWORD.encode(), body, hashlib.sha256).hexdigest()
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=LIMIT)
    try:
        connection.request(method, parts.path, body, {"X-Messente-Signature": signature})
        return connection.getresponse().status
    finally:
        connection.close()


def test_whoever_else_calls_makes_no_receipt(daemon: Daemon, account: str) -> None:
    """A wrong signature, a token that was changed, another number, and one that is right."""
    silent, forged = destination("7304"), destination("7306")
    unsigned = daemon.metric('smppgw_webhooks_total{result="unsigned"}')
    with RawEsme(daemon.port) as client:
        client.bind(system_id=account)
        exchange(client, [asking(2, silent), asking(3, forged)], 0)
        until(
            lambda: daemon.metric('smppgw_webhooks_total{result="unsigned"}') > unsigned,
            "the callback with the wrong signature",
        )
        daemon.event("callback_refused", result="unsigned", system_id=account)
        [message] = daemon.accepted(silent)
        url, message_id = message["request"]["dlr_url"], message["omnimessage_id"]
        assert len(url) < 255
        report = {"omnimessage_id": message_id, "status": "DELIVRD", "err": 0, "to": silent}
        body = json.dumps(report).encode()
        other = json.dumps(report | {"to": "+37251234567"}).encode()
        # Not the last character: some of its bits may stand for nothing.
        changed = url[:-9] + ("A" if url[-9] != "A" else "B") + url[-8:]
        refused = {
            "bad_token": (404, post(changed, body)),
            "unsigned": (403, post(url, body, "0" * 64)),
            "bad_body": (400, post(url, b"no JSON at all")),
            "mismatch": (400, post(url, other)),
            "method": (405, post(url, body, method="GET")),
            "too_large": (413, post(url, body + b" " * 2000)),
        }
        assert {right for right, _ in refused.values()} == {got for _, got in refused.values()}
        for result, (expected, status) in refused.items():
            assert status == expected, result
            assert daemon.metric(f'smppgw_webhooks_total{{result="{result}"}}') >= 1
        assert client.alive(), "no receipt of any of them"
        assert post(url, body) == 200
        [one] = taken(client, 1)
        assert (one.message_id, one.told) == (message_id, DELIVERED)
        assert post(url, body) == 200
        nothing_more(daemon, client, account, 2)


def test_what_the_log_says(daemon: Daemon, account: str) -> None:
    with RawEsme(daemon.port) as client:
        client.bind(system_id=account)
        answers, [one] = exchange(client, [asking(7, destination("7101"))], 1)
        assert client.alive()
    line = daemon.event("report_taken", system_id=account)
    told = {key: line[key] for key in ("message_id", "status", "err", "message_state", "result")}
    assert told == {
        "message_id": answers[7],
        "status": "UNDELIV",
        "err": 1,
        "message_state": "UNDELIVERABLE",
        "result": "new",
    }
    assert line["receipts"] == 1
    line = daemon.event("receipt_delivered", system_id=account)
    assert (line["message_id"], line["message_state"]) == (one.message_id, "UNDELIVERABLE")
    assert 0 <= line["seconds"] < LIMIT
    assert line["session_id"] == daemon.event("bound", system_id=account)["session_id"]
