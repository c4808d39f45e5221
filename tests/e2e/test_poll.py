"""Receipts of a gateway that nobody can call back: it asks the API what became of messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.e2e import raw_esme as wire
from tests.e2e.daemon import DEMO_HASH, Daemon, Sandbox, until
from tests.e2e.raw_esme import RawEsme, concat8, part, udh
from tests.e2e.receipts import ACCEPTD, DELIVRD, UNDELIV, arriving, exchange, taken

FIRST = 0.05  # seconds after a submit that its status is asked for, with "both" 1.5


def account(system_id: str, settings: str) -> str:
    head = f'\n[[accounts]]\nsystem_id = "{system_id}"\npassword_hash = "{DEMO_HASH}"\n'
    return f"{head}receipt_delay = 0\n{settings}\n"


ACCOUNTS = (
    account("poll", 'receipts = "poll"')
    + account("held", 'receipts = "poll"\nunknown_held = 1')
    + account("both", 'receipts = "both"')
)
POLLS = f"poll_first = {FIRST}\npoll_longest = 1"


@pytest.fixture(scope="module")
def api() -> Iterator[Sandbox]:
    with Sandbox("--delivery-delay", "0.2", "--retry-pause", "0.1") as running:
        yield running


@pytest.fixture(scope="module")
def daemon(api: Sandbox) -> Iterator[Daemon]:
    """Without [callbacks]."""
    with Daemon(sandbox_port=api.port, omnichannel=POLLS, accounts=ACCOUNTS) as running:
        yield running
        running.accepted()
        assert running.stop() == 0
        running.assert_healthy_log()


def asking(sequence: int, suffix: str, registered_delivery: int = 1) -> bytes:
    text = b"a secret that nobody may read"
    to = f"+3725{sequence:04}{suffix}"
    return wire.submit(sequence, to, text, registered_delivery=registered_delivery)


def polls(daemon: Daemon, result: str) -> float:
    return daemon.metric(f'smppgw_status_polls_total{{result="{result}"}}')


def test_each_fate(daemon: Daemon) -> None:
    fates = {
        "0001": (DELIVRD, 0),
        "7101": (UNDELIV, 1),
        "7102": ("EXPIRED", 2),
        "7200": (DELIVRD, 0),
        "7201": ("DELETED", 255),
        "7304": (DELIVRD, 0),
    }
    requests = [asking(sequence, suffix) for sequence, suffix in enumerate(fates, 2)]
    before = polls(daemon, "final")
    with RawEsme(daemon.port) as client:
        answers, found = exchange(client.bind(system_id="poll"), requests, len(fates))
        assert client.alive()
    told = {one.message_id: one.told for one in found}
    assert [told[answers[sequence]] for sequence in answers] == [
        list(fates.values())[sequence - 2] for sequence in answers
    ]
    assert all("dlr_url" not in one["request"] for one in daemon.accepted())
    until(lambda: daemon.metric("smppgw_reports_awaited") == 0, "the rows to go")
    until(lambda: polls(daemon, "final") == before + len(fates), "the count")
    assert {line["result"] for line in daemon.events("report_taken", system_id="poll")} <= {
        "new",
        "nothing",  # an interim state that nobody asked for
    }


def test_who_does_not_ask_is_not_asked_about(daemon: Daemon) -> None:
    with RawEsme(daemon.port) as client:
        client.bind(system_id="poll")
        assert client.ask(asking(2, "7305", 0)).status == wire.ROK
    assert daemon.metric("smppgw_reports_awaited") == 0


def test_the_first_part_that_asks(daemon: Daemon) -> None:
    to = "+37255507304"
    requests = [
        part(n, to, udh(concat8(1, 2, n)), b"part %d. " % n, registered_delivery=2 - n)
        for n in (1, 2)
    ]
    with RawEsme(daemon.port) as client:
        answers, [one] = exchange(client.bind(system_id="poll"), requests, 1)
    assert (one.message_id, one.told) == (answers[1], (DELIVRD, 0))


def test_unknown_is_held(daemon: Daemon) -> None:
    """What follows UNKNOWN in time takes its place."""
    requests = [asking(2, "7202"), asking(3, "7203")]
    with RawEsme(daemon.port) as client:
        answers, found = exchange(client.bind(system_id="held"), requests, 2)
        assert client.alive()
    assert {one.message_id: one.told for one in found} == {
        answers[2]: (DELIVRD, 0),
        answers[3]: ("UNKNOWN", 255),
    }


def test_callbacks_and_the_net_below_them(api: Sandbox) -> None:
    """ "both": the callback is what tells, and what is never told is asked for later."""
    called = {2: "0001", 3: "7301", 4: "7200"}
    requests = [asking(sequence, suffix, 0x11) for sequence, suffix in called.items()]
    requests.append(asking(5, "7304"))
    with Daemon(
        sandbox_port=api.port, omnichannel=POLLS, callbacks="", accounts=ACCOUNTS
    ) as daemon:
        with RawEsme(daemon.port) as client:
            answers, found = exchange(client.bind(system_id="both"), requests, 5)
            assert client.alive()
        assert Counter((one.message_id, one.stat) for one in found) == Counter(
            [(message_id, DELIVRD) for message_id in answers.values()] + [(answers[4], ACCEPTD)]
        )
        assert found[-1].message_id == answers[5], "the one that nobody called back for"
        until(lambda: daemon.metric("smppgw_reports_awaited") == 0, "the rows to go")
        until(lambda: polls(daemon, "final") == 1, "the count")
        assert daemon.metric('smppgw_webhooks_total{result="accepted"}') == 4
        assert daemon.stop() == 0
        daemon.assert_healthy_log()


def test_killed_before_the_first_question_and_after_the_last(api: Sandbox) -> None:
    """What is awaited and what is to be delivered are both there after a kill."""
    later = "poll_first = 1.5\npoll_rate = 1000"
    with Daemon(sandbox_port=api.port, omnichannel=later, accounts=ACCOUNTS) as daemon:
        with RawEsme(daemon.port) as client:
            client.bind(wire.BIND_TRANSMITTER, system_id="poll")
            answers = client.ask_all(*(asking(sequence, "0001") for sequence in range(2, 42)))
            daemon.crash()
        assert {answer.status for answer in answers.values()} == {wire.ROK}
        daemon.start()
        with RawEsme(daemon.port) as client:
            client.bind(wire.BIND_RECEIVER, system_id="poll")
            unanswered = arriving(client, 10)
            until(lambda: daemon.metric("smppgw_reports_awaited") == 0, "all answers of the API")
            daemon.crash()
        daemon.start()
        with RawEsme(daemon.port) as client:
            client.bind(wire.BIND_RECEIVER, system_id="poll")
            found = Counter(one.message_id for one in taken(client, 40))
            assert client.alive()
        assert found == Counter(answer.message_id for answer in answers.values())
        assert {one.message_id for one in unanswered} <= set(found)
        assert daemon.stop() == 0
        daemon.assert_healthy_log()
