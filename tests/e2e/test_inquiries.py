"""query_sm and cancel_sm, of an account's own messages and of nobody else's.

The API lives on while the gateway is started again.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e import esme
from tests.e2e import raw_esme as wire
from tests.e2e.daemon import ACCOUNT, DEMO_HASH, Daemon, Sandbox
from tests.e2e.raw_esme import RESP, Pdu, RawEsme, cancel, concat8, multi, number, part, query, udh

TWO = "".join(
    f'\n[[accounts]]\nsystem_id = "{system_id}"\npassword_hash = "{DEMO_HASH}"\n'
    for system_id in ("alpha", "beta")
)
HOUR = timedelta(hours=1)
UNKNOWN = "6a4b4b6c-6f5a-4d3e-9c2b-1f0e8d7c6b5a"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox("--delivery-delay", "3600") as running:
        yield running


@pytest.fixture(scope="module")
def daemon(sandbox: Sandbox) -> Iterator[Daemon]:
    """Two accounts that share the credentials of the API."""
    with Daemon(sandbox_port=sandbox.port, accounts=TWO) as running:
        yield running
        assert running.stop() == 0
        running.assert_healthy_log()


@pytest.fixture(scope="module")
def alone(sandbox: Sandbox) -> Iterator[Daemon]:
    """A single account."""
    with Daemon(sandbox_port=sandbox.port, accounts=ACCOUNT) as running:
        yield running
        assert running.stop() == 0
        running.assert_healthy_log()


def bound(daemon: Daemon, system_id: str, version: int = 0x34) -> RawEsme:
    return RawEsme(daemon.port).bind(system_id=system_id, interface_version=version)


def in_an_hour() -> str:
    return (datetime.now(UTC) + HOUR).strftime("%y%m%d%H%M%S000+")


def status(daemon: Daemon, message_id: str) -> str | None:
    """What the API itself says."""
    found = daemon.sandbox(f"/v1/omnimessage/{message_id}/status")
    word: str | None = found["statuses"][0]["status"]
    return word


def sent(client: RawEsme, to: str, **fields: Any) -> str:
    answer = client.ask(wire.submit(2, to, **fields))
    assert answer.status == wire.ROK
    return answer.message_id


def query_fails(client: RawEsme, message_id: str, reason: int = wire.RQUERYFAIL) -> bool:
    return client.ask(query(7, message_id)) == Pdu(16, wire.QUERY_SM | RESP, reason, 7, b"")


def cancel_fails(client: RawEsme, message_id: str) -> bool:
    expected = Pdu(16, wire.CANCEL_SM | RESP, wire.RCANCELFAIL, 7, b"")
    return client.ask(cancel(7, message_id)) == expected


def test_a_message_on_its_way(daemon: Daemon) -> None:
    to = "+37255830001"
    with bound(daemon, "alpha") as client:
        message_id = sent(client, to, sender="37255599999")
        for sender in ("", "37255599999"):
            answer = client.ask(query(7, message_id, sender))
            assert (answer.command_id, answer.status, answer.sequence) == (
                wire.QUERY_SM | RESP,
                wire.ROK,
                7,
            )
            assert answer.state == (message_id, "", wire.ENROUTE, 0)
        assert client.ask(query(7, message_id, "37255500000")).status == wire.RQUERYFAIL
    answered = 'smppgw_inquiries_total{command_id="query_sm",command_status="%s",system_id="alpha"}'
    assert daemon.metric(answered % "ESME_ROK") == 2
    assert daemon.metric(answered % "ESME_RQUERYFAIL") == 1
    assert daemon.event("inquiry_answered")["message_id"] == message_id


def test_by_smpplib(daemon: Daemon) -> None:
    """Its client may ask as a transceiver only."""
    with esme.bound(daemon.port, system_id="alpha") as client:
        message_id = esme.send(client, "+37255830002", b"hello").message_id
        client.query_message(message_id=message_id.decode())
        found = client.read_pdu()
    assert (found.command, found.status) == ("query_sm_resp", wire.ROK)
    assert (found.message_id, found.message_state) == (message_id, wire.ENROUTE)


@pytest.mark.parametrize("version", [0x33, 0x34, 0x50])
def test_a_scheduled_message_is_cancelled(daemon: Daemon, version: int) -> None:
    to = f"+372558400{version:02}"
    with bound(daemon, "alpha", version) as client:
        message_id = sent(client, to, schedule=in_an_hour())
        (message,) = daemon.accepted(to)
        omnimessage_id = message["omnimessage_id"]
        assert client.ask(query(6, message_id)).state == (message_id, "", wire.ENROUTE, 0)
        assert status(daemon, omnimessage_id) is None
        answer = client.ask(cancel(7, message_id, "Demo", to))
        assert answer == Pdu(16, wire.CANCEL_SM | RESP, wire.ROK, 7, b"")
        assert status(daemon, omnimessage_id) == "DELETED"
        shown_id, final_date, message_state, _ = client.ask(query(8, message_id)).state
        assert (shown_id, message_state) == (message_id, wire.DELETED)
        when = datetime.strptime(final_date[:12], "%y%m%d%H%M%S").replace(tzinfo=UTC)
        assert abs(when - datetime.now(UTC)) < HOUR / 2
        assert final_date[13:] == "00+"
        assert cancel_fails(client, message_id), "only once"


def test_a_message_that_is_sent_is_not_cancelled(daemon: Daemon) -> None:
    to = "+37255850001"
    with bound(daemon, "alpha") as client:
        message_id = sent(client, to)
        assert cancel_fails(client, message_id)
        assert client.alive()
    assert status(daemon, message_id) is None


def test_a_long_message_by_the_id_of_its_last_part(daemon: Daemon) -> None:
    to = "+37255850002"
    with bound(daemon, "alpha") as client:
        parts = [part(n, to, udh(concat8(1, 2, n)), b"half", schedule=in_an_hour()) for n in (1, 2)]
        first, last = (client.ask(one).message_id for one in parts)
        assert query_fails(client, first)
        assert cancel_fails(client, first)
        assert client.ask(query(5, last)).status == wire.ROK
        assert client.ask(cancel(6, last)).status == wire.ROK
        several = client.ask(multi(8, [number(to)] * 2)).multi[0]
        assert query_fails(client, several)
    assert status(daemon, last) == "DELETED"


NO_IDS = {
    "unknown": UNKNOWN,
    "a word": "nothing",
    "digits": "12345678",
    "64 characters": "x" * 64,
    "another page of the API": "../../sandbox/messages",
    "a query": "a?b=c#d",
    "spaces and quotes": "' or 1=1 --\r\nX: y",
}


@pytest.mark.parametrize("name", NO_IDS)
def test_ids_of_nothing(daemon: Daemon, alone: Daemon, name: str) -> None:
    """A single account's question goes to the API whatever the id is."""
    message_id = NO_IDS[name]
    with (
        bound(daemon, "alpha") as client,
        bound(alone, "demo") as only,
        bound(alone, "demo", 0x33) as old,
    ):
        for one in (client, only, old):
            assert query_fails(one, message_id)
            assert cancel_fails(one, message_id)
            assert one.alive()


def test_cancel_sm_by_addresses(daemon: Daemon) -> None:
    """All that are scheduled between them and have the service_type; "" stands for any."""
    to, other = "+37255860001", "+37255860002"
    with bound(daemon, "alpha") as client, bound(daemon, "beta") as beta:
        later = {"schedule": in_an_hour()}
        mine = [sent(client, to, **later), sent(client, to, service_type="CMT", **later)]
        halves = [part(n, to, udh(concat8(1, 2, n)), b"half", **later) for n in (1, 2)]
        mine.append([client.ask(one).message_id for one in halves][-1])
        kept = [
            sent(client, other, **later),
            sent(client, to, sender="Else", **later),
            sent(client, to),
            sent(beta, to, **later),
        ]
        assert query_fails(client, "", wire.RINVMSGID)
        assert cancel_fails(client, "")
        for sender, destination, service_type in (
            ("Demo", "", ""),
            ("", to, ""),
            ("Demo", "+37255860003", ""),
            ("Demo", to, "WAP"),
        ):
            answer = client.ask(cancel(7, "", sender, destination, service_type))
            assert answer.status == wire.RCANCELFAIL
        assert [status(daemon, one) for one in mine] == [None, None, None]
        assert client.ask(cancel(7, "", "Demo", to, "CMT")).status == wire.ROK
        assert [status(daemon, one) for one in mine] == [None, "DELETED", None]
        assert client.ask(cancel(7, "", "Demo", to.removeprefix("+"))).status == wire.ROK
        assert [status(daemon, one) for one in mine] == ["DELETED"] * 3
        assert client.ask(cancel(7, "", "Demo", to)).status == wire.RCANCELFAIL
    assert [status(daemon, one) for one in kept] == [None] * 4


def test_an_id_that_is_too_long(daemon: Daemon) -> None:
    with bound(daemon, "alpha") as client:
        assert query_fails(client, "x" * 65, wire.RINVMSGID)
        answer = client.ask(cancel(7, "x" * 65))
        assert answer == Pdu(16, wire.CANCEL_SM | RESP, wire.RINVMSGID, 7, b"")
        assert client.alive()


def test_nobody_elses_message_whatever_happens_in_between(daemon: Daemon) -> None:
    """Both accounts' messages are the same API user's. Also after a start on the same store."""
    with bound(daemon, "alpha") as alpha, bound(daemon, "beta", 0x33) as beta:
        hers = sent(alpha, "+37255870001", schedule=in_an_hour())
        short = sent(beta, "+37255870002", schedule=in_an_hour())
        (message,) = daemon.accepted("+37255870002")
        his = message["omnimessage_id"]
    for _ in range(2):
        before = daemon.sandbox("/sandbox/counts")["requests"]
        with bound(daemon, "alpha") as alpha, bound(daemon, "beta", 0x33) as beta:
            assert query_fails(beta, hers)
            assert cancel_fails(beta, hers)
            for foreign in (his, short):
                assert query_fails(alpha, foreign)
                assert cancel_fails(alpha, foreign)
            assert daemon.sandbox("/sandbox/counts")["requests"] == before, "the API is not asked"
            assert alpha.ask(query(8, hers)).state == (hers, "", wire.ENROUTE, 0)
            assert beta.ask(query(8, short)).state == (short, "", wire.ENROUTE, 0)
        assert (status(daemon, hers), status(daemon, his)) == (None, None)
        assert daemon.stop() == 0
        daemon.start()
    with bound(daemon, "alpha") as alpha, bound(daemon, "beta", 0x33) as beta:
        assert alpha.ask(cancel(9, hers)).status == wire.ROK
        assert beta.ask(cancel(9, short)).status == wire.ROK
    assert (status(daemon, hers), status(daemon, his)) == ("DELETED", "DELETED")


def test_a_single_account_knows_its_messages_even_after_a_crash(alone: Daemon) -> None:
    with bound(alone, "demo") as new, bound(alone, "demo", 0x33) as old:
        ids = sent(new, "+37255880001"), sent(old, "+37255880002")
    alone.crash()
    alone.start()
    with bound(alone, "demo") as new, bound(alone, "demo", 0x33) as old:
        for client, message_id in zip((new, old), ids, strict=True):
            assert client.ask(query(8, message_id)).state == (message_id, "", wire.ENROUTE, 0)
