"""What the gateway promises, counted at the sandbox and at the client while the API is faulty.

No ESME_ROK without an acceptance, no message posted twice that may have been read, one answer
to each in time, and everything as before as soon as the fault is over, without a restart.

`ALL_OFFSETS=1` cuts the exchange after every single octet; otherwise after a part of them.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from typing import ClassVar

import pytest

from gateway.omnichannel.client import Credentials
from tests.e2e import raw_esme as wire
from tests.e2e.daemon import ACCOUNT, PASSWORD, USERNAME, Daemon, Sandbox, until
from tests.e2e.faulty_api import Cut, FaultyApi, Request, answer
from tests.e2e.raw_esme import Pdu, RawEsme

DEADLINE = 1.2  # seconds, of both accounts
SLACK = 0.3  # what a loaded machine may add to an answer's time
ROOM = "window = 1000"
OTHER = Credentials.basic("other-user", "other-Geheim").authorization
ACCOUNTS = f"""{ACCOUNT}{ROOM}
response_deadline = {DEADLINE}
{ACCOUNT.replace('"demo"', '"other"')}{ROOM}
response_deadline = {DEADLINE}
username = "other-user"
api_password = "other-Geheim"
"""


class Faulty:
    """A daemon, the sandbox, and the faults between them."""

    _number: ClassVar = itertools.count()

    def __init__(self, daemon: Daemon, api: FaultyApi) -> None:
        self.daemon, self.api = daemon, api

    def numbers(self, count: int) -> list[str]:
        """That nothing was sent to yet, and that the sandbox has no script for."""
        return [f"3725{next(self._number):05}1111" for _ in range(count)]

    def send(self, numbers: list[str], system_id: str = "demo") -> dict[str, Pdu]:
        """Submit them in one write; the answer to each, which has come in time."""
        with RawEsme(self.daemon.port) as client:
            client.bind(system_id=system_id)
            began = time.monotonic()
            answers = client.ask_all(*(wire.submit(2 + n, to) for n, to in enumerate(numbers)))
            assert time.monotonic() - began < DEADLINE + SLACK
            assert client.alive()
        return {to: answers[2 + number] for number, to in enumerate(numbers)}

    def accepted(self) -> Counter[str]:
        """How often the sandbox accepted each number."""
        return Counter(message["to"].lstrip("+") for message in self.daemon.accepted(limit=10_000))

    def asked(self) -> Counter[str]:
        return Counter({to.lstrip("+"): n for to, n in self.api.asked().items()})

    def outcomes(self) -> Counter[str]:
        """The metric of requests, by outcome."""
        name = 'smppgw_api_requests_total{outcome="'
        metrics = self.daemon.metrics().items()
        return Counter({key[len(name) : -2]: int(n) for key, n in metrics if key.startswith(name)})

    def assert_promises(self, answers: dict[str, Pdu]) -> None:
        accepted, asked = self.accepted(), self.asked()
        for to, found in answers.items():
            assert accepted[to] <= 1, "accepted twice"
            assert asked[to] <= 1, "asked again"
            assert found.status != wire.ROK or accepted[to] == 1, "ESME_ROK without acceptance"

    def assert_well(self) -> None:
        """Everything is as before."""
        self.api.heal()
        answers = self.send(self.numbers(3)) | self.send(self.numbers(3), "other")
        assert {found.status for found in answers.values()} == {wire.ROK}
        self.assert_promises(answers)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox("--retry-after") as running:
        yield running


@pytest.fixture(scope="module", params=["libcurl", "requests"])
def faulty(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Faulty]:
    engine = f'engine = "{request.param}"'
    with (
        FaultyApi(sandbox.port, OTHER) as api,
        Daemon(
            base_url=api.base_url, sandbox_port=sandbox.port, accounts=ACCOUNTS, omnichannel=engine
        ) as daemon,
    ):
        yield Faulty(daemon, api)
        assert daemon.stop() == 0
        daemon.assert_healthy_log()


# Cuts.


def offsets(length: int, boundaries: list[int], dice: random.Random) -> list[int]:
    """Where to cut something of this length: everywhere, or about the boundaries and anywhere."""
    if os.environ.get("ALL_OFFSETS"):
        return list(range(length + 1))
    near = {at + step for at in boundaries for step in (-1, 0, 1)} | {0, 1, length - 1, length}
    return sorted(near | set(dice.sample(range(length), 20)))


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_cut_after_every_octet(faulty: Faulty, reset: bool) -> None:
    api, dice = faulty.api, random.Random(391)
    faulty.assert_well()
    request, length = api.requests[-1], api.answer_octets
    line, head = request.head.index(b"\r\n"), len(request.head)
    sent = offsets(len(request.octets), [line, head, head + 4], dice)
    cuts = [Cut(request=at, reset=reset) for at in sent]
    cuts += [Cut(answer=at, reset=reset) for at in offsets(length, [12, length // 2], dice)]
    plan = dict(zip(faulty.numbers(len(cuts)), cuts, strict=True))
    api.cut = lambda request: plan.get(request.to.lstrip("+"))
    before = faulty.outcomes()
    answers: dict[str, Pdu] = {}
    for start in range(0, len(cuts), 40):
        answers |= faulty.send(list(plan)[start : start + 40])
    whole = {to: cut.request in {None, len(request.octets)} for to, cut in plan.items()}
    until(lambda: faulty.accepted() >= Counter(to for to in plan if whole[to]), "the sandbox")
    faulty.assert_promises(answers)
    accepted, asked = faulty.accepted(), faulty.asked()
    for to, cut in plan.items():
        assert (asked[to], accepted[to]) == (1, whole[to]), cut
        if cut.answer != length:
            assert (answers[to].status, answers[to].body) == (wire.RSYSERR, b""), cut
        elif not reset:  # else it may be either
            assert answers[to].status == wire.ROK, cut
    got = Counter(found.status for found in answers.values())
    assert faulty.outcomes() - before == {"unknown": got[wire.RSYSERR], "accepted": got[wire.ROK]}
    print(f"{len(cuts)} cuts of {len(request.octets)} and {length} octets: {dict(got)}")
    faulty.assert_well()


# Slow.


def test_slow(faulty: Faulty) -> None:
    """Just in time is in time; who was answered meanwhile is not asked for again."""
    in_time, late = faulty.numbers(40), faulty.numbers(40)
    delays = dict.fromkeys(in_time, DEADLINE * 0.6) | dict.fromkeys(late, DEADLINE + 0.2)
    faulty.api.delay = lambda request: delays.get(request.to.lstrip("+"), 0.0)
    before = faulty.outcomes()
    answers = faulty.send(in_time + late)
    assert {answers[to].status for to in in_time} == {wire.ROK}
    assert {answers[to].status for to in late} == {wire.RSYSERR}
    assert faulty.outcomes() - before == {"accepted": 40, "unknown": 40}
    faulty.assert_well()
    faulty.assert_promises(answers)


# Refusals of the whole server for a while.


@pytest.mark.parametrize("status", [500, 503, 529])
def test_a_storm_of_5xx(faulty: Faulty, status: int) -> None:
    numbers = faulty.numbers(50)
    faulty.api.instead = lambda _: answer(status, b"<html>Sorry</html>", "Retry-After: 1")
    before = faulty.outcomes()
    answers = faulty.send(numbers)
    assert {found.status for found in answers.values()} == {wire.RSYSERR}
    assert faulty.outcomes() - before == {"server_error": 50}
    faulty.assert_promises(answers)
    faulty.assert_well()


@pytest.mark.parametrize("headers", [(), ("Retry-After: 1",), ("Retry-After: tomorrow",)])
def test_429(faulty: Faulty, headers: tuple[str, ...]) -> None:
    """The ESME is the one that waits: the gateway keeps no message back."""
    sample = 'smppgw_throttled_total{limit="api",system_id="demo"}'
    throttled, before = faulty.daemon.metric(sample), faulty.outcomes()
    faulty.api.instead = lambda _: answer(429, b"Too Many Requests", *headers)
    answers = faulty.send(faulty.numbers(50))
    assert {found.status for found in answers.values()} == {wire.RTHROTTLED}
    assert faulty.daemon.metric(sample) == throttled + 50
    assert faulty.outcomes() - before == {"throttled": 50}
    faulty.assert_promises(answers)
    faulty.assert_well()


def test_the_sandboxs_own_429_says_when_to_come_back(sandbox: Sandbox) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=5)
    sms = {"to": "+37255500429", "messages": [{"channel": "sms", "text": "Hello"}]}
    headers = {"Authorization": Credentials.basic(USERNAME, PASSWORD).authorization}
    connection.request("POST", "/v1/omnimessage", json.dumps(sms), headers)
    told = connection.getresponse()
    assert (told.status, told.getheader("Retry-After")) == (429, "1")
    connection.close()


# Other credentials.


def hang(request: Request) -> float:
    return 60.0 if request.says(OTHER) else 0.0


@pytest.mark.parametrize(
    ("status", "expected"),
    [(401, wire.RSYSERR), (402, wire.RSUBMITFAIL), (403, wire.RSYSERR), (429, wire.RTHROTTLED)],
)
def test_what_one_account_gets_is_no_matter_of_the_others(
    faulty: Faulty, status: int, expected: int
) -> None:
    faulty.api.instead = lambda request: answer(status) if request.says(OTHER) else None
    for _ in range(3):
        others = faulty.send(faulty.numbers(30), "other")
        assert {found.status for found in others.values()} == {expected}
        began = time.monotonic()
        answers = faulty.send(faulty.numbers(30))
        assert {found.status for found in answers.values()} == {wire.ROK}
        assert time.monotonic() - began < 1
    assert faulty.daemon.metric("smppgw_api_reachable") == 1


def test_what_one_account_waits_for_nobody_else_does(faulty: Faulty) -> None:
    faulty.api.heal()
    faulty.api.delay = hang
    with RawEsme(faulty.daemon.port) as waiting:
        waiting.bind(system_id="other")
        waiting.send(*(wire.submit(2 + n, to) for n, to in enumerate(faulty.numbers(50))))
        began = time.monotonic()
        answers = faulty.send(faulty.numbers(50))
        assert {found.status for found in answers.values()} == {wire.ROK}
        assert time.monotonic() - began < DEADLINE / 2
        assert {waiting.expect().status for _ in range(50)} == {wire.RSYSERR}


# Flapping.


def test_up_and_down_every_200_ms(faulty: Faulty) -> None:
    """What could not be sent waits for its chance, what was cut off is not sent again."""
    api, daemon = faulty.api, faulty.daemon
    api.heal()
    numbers = faulty.numbers(200)
    answers: dict[str, Pdu] = {}
    before, told = faulty.outcomes(), len(daemon.events("message_refused"))
    with RawEsme(daemon.port) as client:
        client.bind()
        began = time.monotonic()
        turn = began
        for number, to in enumerate(numbers):
            if time.monotonic() >= turn:
                turn += 0.2
                (api.down if round((turn - began) / 0.2) % 2 else api.up)()
            client.send(wire.submit(2 + number, to))
            time.sleep(0.006)
        api.up()
        for _ in numbers:
            found = client.expect()
            answers[numbers[found.sequence - 2]] = found
        assert time.monotonic() < began + 200 * 0.006 + DEADLINE + 1
    assert len(answers) == 200
    faulty.assert_promises(answers)
    got, counted = Counter(one.status for one in answers.values()), faulty.outcomes() - before
    assert set(got) <= {wire.ROK, wire.RSYSERR}
    until(lambda: len(daemon.events("message_refused")) >= told + got[wire.RSYSERR], "the log")
    refused = Counter(event["outcome"] for event in daemon.events("message_refused")[told:])
    assert counted["accepted"] == got[wire.ROK] > 0
    assert counted["unknown"] == refused["unknown"]
    assert refused["unknown"] + refused["unreachable"] == got[wire.RSYSERR]
    assert counted["unreachable"] > 0
    assert daemon.metric("smppgw_api_reachable") == 1
    assert daemon.events("api_unreachable") == []
    faulty.assert_well()
