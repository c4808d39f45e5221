"""More messages than the API takes requests: the installed daemon and a sandbox that counts.

The sandbox answers 429 to the first request too many in any second, and keeps what it accepted:
its books, not the gateway's, say which message has which id.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime

import pytest

from tests.e2e import raw_esme as wire
from tests.e2e.daemon import DEMO_HASH, LIMIT, Daemon, Sandbox, until
from tests.e2e.raw_esme import DELIVER_SM, SUBMIT_SM, Pdu, RawEsme, concat8, part, udh
from tests.e2e.receipts import Receipt, response
from tests.e2e.test_reload import reload

RATE = 20  # requests a second
# What the sandbox counts to. On the way there requests of a little more than a second may come
# together; that the rate is kept to the last one is a matter of the tests of `Rate`.
ROOM = str(RATE + 2)
SHORT = 1.5  # seconds, the response_deadline where messages leave one by one
SLACK = 0.4  # what a loaded machine may add to an answer's time


def account(system_id: str, more: str = "") -> str:
    return f"""
[[accounts]]
system_id = "{system_id}"
password_hash = "{DEMO_HASH}"
default_sender = "Demo"
receipt_delay = 0
window = 500
{more}
"""


class Book:
    """Texts that were sent: numbers without a script unless a suffix is given."""

    _numbers = itertools.count()

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.answers: dict[str, Pdu] = {}
        self.at: dict[str, float] = {}  # when the answer came
        self._texts: dict[int, str] = {}  # by sequence_number

    def send(self, client: RawEsme, *texts: str, suffix: str = "1111", **fields: object) -> None:
        """Submit each in one write; the sequence_number says which it was."""
        octets = []
        for text in texts:
            number = next(self._numbers)
            self._texts[number + 2] = text
            to = f"3725{number:05}{suffix}"
            octets.append(wire.submit(number + 2, to, text.encode(), **fields))
        client.send(*octets)

    def read(self, client: RawEsme, count: int) -> None:
        """So many answers, each to a message that has none yet."""
        for _ in range(count):
            found = client.expect()
            assert found.command_id == SUBMIT_SM | wire.RESP
            text = self._texts[found.sequence]
            assert text not in self.answers
            self.answers[text] = found
            self.at[text] = time.monotonic()

    def statuses(self) -> Counter[int]:
        return Counter(found.status for found in self.answers.values())

    def accepted(self) -> dict[str, str]:
        """The id of each text that the sandbox accepted, which was once."""
        found = [
            (message["request"]["messages"][0]["text"], message["omnimessage_id"])
            for message in self.daemon.accepted(limit=10_000)
        ]
        mine = [(text, given) for text, given in found if text in self._texts.values()]
        assert len(dict(mine)) == len(mine), "accepted twice"
        return dict(mine)

    def assert_promises(self) -> None:
        """ESME_ROK for what was accepted, with its own id, and for nothing else."""
        told = {
            text: found.message_id
            for text, found in self.answers.items()
            if found.status == wire.ROK
        }
        assert told == self.accepted()


def requests_of(daemon: Daemon, book: Book) -> list[float]:
    """When each request came in that had messages of this book in it, by the sandbox's clock."""
    accepted = book.accepted()
    return sorted(
        {
            datetime.fromisoformat(message["received"]).timestamp()
            for message in daemon.accepted(limit=10_000)
            if message["omnimessage_id"] in accepted.values()
        }
    )


def most_in_a_second(moments: list[float]) -> int:
    return max(sum(1 for at in moments if start <= at < start + 1) for start in moments)


def texts(name: str, count: int) -> list[str]:
    return [f"{name} {number:04} of the pacing" for number in range(count)]


# Many in one request.


@pytest.fixture(scope="module")
def bulk() -> Iterator[Daemon]:
    with (
        Sandbox("--rate-limit", ROOM, "--latency", "0.05", "--delivery-delay", "0.2") as api,
        Daemon(
            sandbox_port=api.port,
            omnichannel=f"rate_limit = {RATE}",
            callbacks="",
            accounts=account("demo") + account("other"),
        ) as daemon,
    ):
        yield daemon
        assert daemon.sandbox("/sandbox/counts").get("429", 0) == 0, "not one request too many"
        assert daemon.events("bulk_mismatch") == []
        assert daemon.metric('smppgw_api_requests_total{outcome="throttled"}') == 0
        assert daemon.stop() == 0
        daemon.assert_healthy_log()


def test_a_row_of_bursts_through_a_small_limit(bulk: Daemon) -> None:
    book, clients = Book(bulk), [RawEsme(bulk.port).bind() for _ in range(4)]
    for wave in range(8):
        for number, client in enumerate(clients):
            book.send(client, *texts(f"wave {wave} of {number}", 25))
        time.sleep(0.2)
    for client in clients:
        book.read(client, 200)
        client.socket.close()
    assert book.statuses() == {wire.ROK: 800}
    book.assert_promises()
    requests = requests_of(bulk, book)
    assert most_in_a_second(requests) <= int(ROOM)
    assert len(requests) < 60
    metrics = bulk.metrics()
    assert metrics["smppgw_api_request_messages_sum"] == 800
    assert metrics["smppgw_api_request_messages_count"] == len(requests)
    assert metrics["smppgw_api_queue_messages"] == metrics["smppgw_api_queue_bytes"] == 0


def test_refusals_of_single_messages_in_a_request_of_many(bulk: Daemon) -> None:
    book = Book(bulk)
    with RawEsme(bulk.port) as client, RawEsme(bulk.port) as other:
        client.bind()
        other.bind(system_id="other")
        book.send(client, *texts("before", 30))
        expected: dict[int, int] = {}
        refusals = {
            "0400": wire.RINVSRCADR,
            "1400": wire.RINVDSTADR,
            "2400": wire.RINVMSGLEN,
            "4400": wire.RINVEXPIRY,
        }
        for suffix, status in refusals.items():
            book.send(client, *texts(f"bad {suffix}", 2), suffix=suffix)
            expected[status] = 2
        book.send(client, *texts("between", 5))
        book.send(other, *texts("another", 20))
        book.read(client, 30 + 8 + 5)
        book.read(other, 20)
    assert book.statuses() == expected | {wire.ROK: 55}
    book.assert_promises()


@pytest.mark.parametrize(
    ("suffix", "status", "known"),
    [("0500", wire.RSYSERR, True), ("0401", wire.RSYSERR, True), ("9001", wire.RSYSERR, False)],
)
def test_what_hits_the_request_hits_who_is_in_it(
    bulk: Daemon, suffix: str, status: int, known: bool
) -> None:
    """And nobody else; what may have been accepted is not sent again."""
    book = Book(bulk)
    with RawEsme(bulk.port) as client:
        client.bind()
        early, last = texts(f"with {suffix}", 25), texts(f"after {suffix}", 3)
        book.send(client, *early)
        book.send(client, f"trouble {suffix}", suffix=suffix)
        book.read(client, 26)
        book.send(client, *last)
        book.read(client, 3)
    assert book.answers.pop(f"trouble {suffix}").status == status
    assert {book.answers[text].status for text in last} == {wire.ROK}
    statuses = book.statuses()
    assert set(statuses) == {wire.ROK, status}, "the first ten left by themselves"
    if known:
        book.assert_promises()
    else:
        told = {text for text, found in book.answers.items() if found.status == wire.ROK}
        assert told < book.accepted().keys(), "the rest was cut off, and was not repeated"


def test_long_messages_and_receipts(bulk: Daemon) -> None:
    """Every receipt has the id of the message that it is about, and goes to who sent it."""
    book = Book(bulk)
    with RawEsme(bulk.port) as client, RawEsme(bulk.port) as other:
        clients = {"demo": client.bind(), "other": other.bind(system_id="other")}
        to: dict[str, dict[int, str]] = {name: {} for name in clients}
        for name, one in clients.items():
            octets = []
            for number in range(40):
                to[name][10 + number] = f"3726{len(name)}{number:04}1111"
                octets.append(
                    wire.submit(
                        10 + number, to[name][10 + number], b"receipt", registered_delivery=1
                    )
                )
            for number in range(10):
                long = f"3727{len(name)}{number:04}1111"
                for place in (1, 2):
                    to[name][100 * place + number] = long
                    header = udh(concat8(number + 1, 2, place))
                    octets.append(
                        part(
                            100 * place + number,
                            long,
                            header,
                            b"a half of it ",
                            registered_delivery=int(place == 2),
                        )
                    )
            one.send(*octets)
        for name, one in clients.items():
            ids: dict[str, str] = {}
            found: list[Receipt] = []
            while len(ids) < 60 or len(found) < 50:
                pdu = one.expect()
                if pdu.command_id == DELIVER_SM:
                    found.append(Receipt.of(pdu))
                    one.send(response(found[-1]))
                else:
                    assert pdu.status == wire.ROK
                    ids[pdu.message_id] = to[name][pdu.sequence]
            assert len({receipt.message_id for receipt in found}) == 50
            assert {receipt.told for receipt in found} == {("DELIVRD", 0)}
            for receipt in found:
                assert ids[receipt.message_id] == receipt.source[2]
    until(lambda: bulk.sandbox("/sandbox/counts")["dlr_sent"] == 100, "the callbacks")
    assert book.daemon.metric("smppgw_receipts_pending") == 0


# One by one.


@pytest.fixture(scope="module")
def single() -> Iterator[Daemon]:
    with (
        Sandbox("--rate-limit", ROOM) as api,
        Daemon(
            sandbox_port=api.port,
            omnichannel=f'rate_limit = {RATE}\nbulk = "off"',
            accounts=account("demo", f"response_deadline = {SHORT}") + account("other"),
        ) as daemon,
    ):
        yield daemon
        assert daemon.sandbox("/sandbox/counts").get("429", 0) == 0
        assert daemon.stop() == 0
        daemon.assert_healthy_log()


def test_the_higher_priority_goes_first_in_its_account(single: Daemon) -> None:
    book = Book(single)
    with RawEsme(single.port) as client:
        client.bind()
        book.send(client, *texts("used", 10))
        book.send(client, *texts("low", 8))
        book.send(client, *texts("middle", 2), priority=1)
        book.send(client, *texts("high", 2), priority=3)
        book.read(client, 22)
    assert book.statuses() == {wire.ROK: 22}
    book.assert_promises()
    order = [text.split()[0] for text in book.accepted() if text.split()[0] != "used"]
    first_low = order.index("low", 2)  # the burst may have taken one along
    assert order[:first_low].count("high") == 2
    assert order[-6:] == ["low"] * 6


def test_who_would_be_late_is_told_at_once_and_a_flood_is_one_accounts_matter(
    single: Daemon,
) -> None:
    book, other_book = Book(single), Book(single)
    with RawEsme(single.port) as client, RawEsme(single.port) as other:
        client.bind()
        other.bind(system_id="other")
        began = time.monotonic()
        book.send(client, *texts("flood", 300))
        book.read(client, 240)  # refusals, all but a few
        waits = []
        for text in texts("other", 5):
            asked = time.monotonic()
            other_book.send(other, text)
            other_book.read(other, 1)
            waits.append(time.monotonic() - asked)
        book.read(client, 60)
    statuses = book.statuses()
    assert set(statuses) == {wire.ROK, wire.RTHROTTLED}
    assert 15 <= statuses[wire.ROK] <= SHORT * RATE + 10
    quick = sorted(book.at[text] for text, one in book.answers.items() if one.status != wire.ROK)
    assert quick[200] < began + 0.3 + SLACK, "not at the end of their time"
    assert max(book.at.values()) < began + SHORT + SLACK
    book.assert_promises()
    assert other_book.statuses() == {wire.ROK: 5}
    assert max(waits) < 0.3 + SLACK, waits
    sample = 'smppgw_throttled_total{limit="queue",system_id="demo"}'
    assert single.metric(sample) == statuses[wire.RTHROTTLED]
    (event, *_) = single.events("message_refused", command_status="ESME_RTHROTTLED")
    assert event["outcome"] == "crowded"
    assert "wait for the API" in event["detail"]


# An API that takes less than it is taken for.


def test_429_all_the_same_and_a_reload_that_ends_it() -> None:
    with (
        Sandbox("--rate-limit", "10", "--retry-after") as api,
        Daemon(
            sandbox_port=api.port,
            omnichannel="rate_limit = 60\nrate_burst = 20",
            accounts=account("demo"),
        ) as daemon,
        RawEsme(daemon.port) as client,
    ):
        client.bind()
        book = Book(daemon)
        began = time.monotonic()
        for wave in range(10):
            book.send(client, *texts(f"wave {wave}", 10))
            time.sleep(0.03)
        book.read(client, 100)
        assert time.monotonic() - began < 10
        assert book.statuses() == {wire.ROK: 100}
        book.assert_promises()
        too_many = daemon.sandbox("/sandbox/counts")["429"]
        assert 0 < too_many <= 25
        assert daemon.metric('smppgw_api_requests_total{outcome="throttled"}') == too_many
        assert daemon.metric('smppgw_throttled_total{limit="api",system_id="demo"}') == 0
        # By what the API really takes, from now on.
        reload(daemon, "rate_limit = 60", "rate_limit = 10")
        time.sleep(1)
        book = Book(daemon)
        for wave in range(10):
            book.send(client, *texts(f"later {wave}", 10))
            time.sleep(0.06)
        book.read(client, 100)
        assert book.statuses() == {wire.ROK: 100}
        book.assert_promises()
        assert daemon.sandbox("/sandbox/counts")["429"] == too_many
        client.socket.close()
        assert daemon.stop() == 0
        daemon.assert_healthy_log()


def test_a_stop_answers_those_that_wait() -> None:
    """Each by the API as long as there is time, and all of the rest when there is none."""
    with (
        Daemon(
            omnichannel='rate_limit = 5\nbulk = "off"',
            accounts=account("demo", "response_deadline = 60"),
        ) as daemon,
        RawEsme(daemon.port) as client,
    ):
        client.bind()
        book = Book(daemon)
        book.send(client, *texts("stop", 60))
        book.read(client, 5)
        daemon.kill()
        daemon.event("draining")
        book.read(client, 2)
        assert book.statuses() == {wire.ROK: 7}
        began = time.monotonic()
        daemon.kill()
        book.read(client, 53)
        assert client.expect().command_id == wire.UNBIND
        assert time.monotonic() - began < 1
        assert daemon.wait(LIMIT) == 0
        statuses = book.statuses()
        assert statuses[wire.ROK] + statuses[wire.RTHROTTLED] == 60
        assert statuses[wire.RTHROTTLED] > 45
        daemon.assert_healthy_log()
