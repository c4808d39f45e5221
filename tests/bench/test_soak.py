"""The soak's arithmetic, its samples and its verdicts; its daemon runs in `make soak` alone."""

from __future__ import annotations

import itertools
import os
import random
import socket
import tomllib
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.soak.__main__ import warm_up
from bench.soak.daemon import configuration
from bench.soak.samples import Sample, connections
from bench.soak.steady import Request, requests
from bench.soak.tally import Tally
from bench.soak.trend import blocks, levels, trend
from bench.soak.verdict import Ending, Judged, judge, warmed_up
from gateway.config import Settings
from gateway.smpp import codec
from gateway.smpp.pdu import SubmitSm

MINUTE, HOUR = 60.0, 3600.0


def points(
    slope: float, noise: float = 0.0, minutes: float = 20, every: float = 5
) -> list[tuple[float, float]]:
    """Memory that grows by `slope` MB an hour, with noise of this standard deviation."""
    chance = random.Random(7)
    times = [index * every for index in range(int(minutes * MINUTE / every))]
    return [(at, 100 + slope * at / HOUR + chance.gauss(0, noise)) for at in times]


@pytest.mark.parametrize("slope", [0.0, 0.5, 12.0, -3.0])
def test_a_straight_line_has_its_slope(slope: float) -> None:
    found = trend(points(slope))
    assert found.slope == pytest.approx(slope, abs=1e-6)
    assert found.low == pytest.approx(slope, abs=1e-6)
    assert found.high == pytest.approx(slope, abs=1e-6)


def test_noise_widens_the_interval_around_the_truth() -> None:
    quiet, noisy = trend(points(2.0, noise=0.05)), trend(points(2.0, noise=1.0))
    for found in (quiet, noisy):
        assert found.low < 2.0 < found.high
    assert noisy.high - noisy.low > 5 * (quiet.high - quiet.low)


def test_outliers_do_not_move_it() -> None:
    """A password check takes 19 MiB for a moment, and a sample may see it."""
    spiked = [
        (at, value + (20 if index % 7 == 0 else 0))
        for index, (at, value) in enumerate(points(0.5, noise=0.05))
    ]
    assert trend(spiked).slope == pytest.approx(0.5, abs=0.3)


def test_one_step_early_on_is_no_growth() -> None:
    stepped = [(at, value + (5 if at > 60 else 0)) for at, value in points(0.0, noise=0.05)]
    assert trend(stepped).slope == pytest.approx(0.0, abs=0.3)


def test_the_interval_covers_the_truth_nineteen_times_in_twenty() -> None:
    chance, covered = random.Random(3), 0
    for _ in range(200):
        noisy = [(at * 60.0, chance.gauss(0, 1)) for at in range(20)]
        found = trend(noisy)
        covered += found.low <= 0 <= found.high
    assert 182 <= covered <= 200


def test_few_points_have_no_interval() -> None:
    assert trend([]).slope != trend([]).slope  # NaN
    found = trend([(0.0, 1.0), (60.0, 2.0)])
    assert (found.slope, found.high) == (60.0, float("inf"))


def test_blocks_are_medians_of_equal_spans() -> None:
    found = blocks([(float(at), float(at)) for at in range(0, 61, 5)])
    assert [value for _, value in found] == [5, 20, 35, 52.5]
    assert len(blocks(points(0.0, minutes=120))) <= 30


def test_levels_are_those_of_the_first_and_the_last_third() -> None:
    assert levels([1, 2, 3, 9, 9, 9, 4, 5, 6]) == (2, 5)
    assert levels([7]) == (7, 7)


@pytest.mark.parametrize(
    ("minutes", "seconds"), [(30, 600), (6, 120), (5, 120), (4, 120), (3, 90), (1, 30)]
)
def test_the_warm_up_is_a_third_and_two_minutes_at_least(minutes: float, seconds: float) -> None:
    assert warm_up(minutes * MINUTE) == seconds


# Samples.


def test_connections_of_the_api_are_told_from_others() -> None:
    process = Path(f"/proc/{os.getpid()}")
    with ExitStack() as stack:
        api, callbacks, other = (
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)
        )
        ports = api.getsockname()[1], callbacks.getsockname()[1]
        assert connections(process, *ports) == (0, 0)
        for listener in (api, callbacks, callbacks, other):
            stack.enter_context(socket.create_connection(listener.getsockname()))
        for _ in range(2):
            stack.enter_context(callbacks.accept()[0])
        assert connections(process, *ports) == (1, 2)


BASE = Sample(
    at=0.0,
    rss_mb=100.0,
    cpu=0.0,
    descriptors=50,
    to_api=20,
    of_api=10,
    threads=3,
    sessions=12,
    connections=14,
    in_flight=3,
    receipts_pending=5,
    lag={0.001: 0.0, 0.05: 0.0, float("inf"): 0.0},
)


def run(
    rss: float = 0.0, descriptors: float = 0.0, threads: float = 0.0, api: float = 0.0
) -> list[Sample]:
    """Twenty minutes; each figure grows by so much an hour."""
    times = [index * 5.0 for index in range(240)]
    return [
        replace(
            BASE,
            at=at,
            cpu=at / 4,
            rss_mb=BASE.rss_mb + rss * at / HOUR,
            to_api=BASE.to_api + int(api * at / HOUR),
            descriptors=BASE.descriptors + int((descriptors + api) * at / HOUR),
            threads=BASE.threads + int(threads * at / HOUR),
            lag={0.001: at * 4 * 0.98, 0.05: at * 4, float("inf"): at * 4},
        )
        for at in times
    ]


def good() -> tuple[Tally, Ending]:
    tally = Tally(sent=100, ok=90, guests=Counter({"silent: closed": 3, "passer_by: left": 2}))
    tally.refused["refused 0x01"] = 10
    left = replace(BASE, descriptors=33, to_api=20, of_api=0, connections=0)
    baseline = replace(BASE, descriptors=15, to_api=2, of_api=0)
    return tally, Ending(baseline, left, exit_code=0)


def words(judged: list[Judged]) -> dict[str, str]:
    return {one.what: one.word for one in judged}


def missed(samples: list[Sample], tally: Tally, ending: Ending) -> list[str]:
    return [one.what for one in judge(samples, tally, ending) if one.passed is False]


def test_a_steady_gateway_passes() -> None:
    judged = judge(run(), *good())
    assert {one.word for one in judged} == {"PASS", "told"}
    found = {one.what: one.measured for one in judged}
    assert found["reactor lag, p99"] == "<= 50 ms"
    assert found["CPU of the gateway"] == "25 % of a core"
    assert found["descriptors when all had left"].startswith("13 (20 more to the API, 0 of it)")


def test_the_apis_connections_are_no_growth() -> None:
    assert missed(run(api=200), *good()) == []


@pytest.mark.parametrize(
    ("growth", "what"),
    [
        ({"rss": 1.5}, "RSS slope"),
        ({"descriptors": 60}, "descriptors, median of the last third - of the first"),
        ({"threads": 6}, "threads, median of the last third - of the first"),
    ],
)
def test_growth_is_a_miss(growth: dict[str, Any], what: str) -> None:
    assert missed(run(**growth), *good()) == [what]


def test_a_slope_that_is_not_sure_says_so() -> None:
    noisy = [replace(s, rss_mb=s.rss_mb + s.at % 35) for s in run()[:30]]
    (line,) = [one for one in judge(noisy, *good()) if one.what == "RSS slope"]
    assert line.measured.endswith("too short to be sure")
    (line,) = [one for one in judge(run(rss=0.5), *good()) if one.what == "RSS slope"]
    assert line.measured == "+0.50 MB/hour, 95 %: +0.50 to +0.50"


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        (lambda t, e: setattr(t, "lost", 1), "requests without an answer"),
        (lambda t, e: t.awaited.add(b"x"), "receipts that did not come"),
        (lambda t, e: t.answered("plain", 0x08, meant=False), "answers that were not meant"),
        (lambda t, e: t.answered("refused", 0, meant=True), "answers that were not meant"),
        (
            lambda t, e: t.guests.update({"silent: too long": 1}),
            "visits that ended as they should not",
        ),
        (lambda t, e: setattr(e, "trouble", ["Traceback"]), "errors in the log"),
        (lambda t, e: setattr(e, "exit_code", 1), "exit code"),
        (
            lambda t, e: setattr(e, "last", replace(e.last, descriptors=34)),
            "descriptors when all had left",
        ),
        (
            lambda t, e: setattr(e, "last", replace(e.last, connections=1)),
            "connections when all had left",
        ),
    ],
)
def test_a_fault_is_a_miss(fault: Any, what: str) -> None:
    tally, ending = good()
    fault(tally, ending)
    assert missed(run(), tally, ending) == [what]


def test_a_soak_too_short_to_judge_is_a_miss() -> None:
    assert missed(run()[:1], *good()) == ["samples after the warm-up"]


def test_the_warm_up_is_not_judged() -> None:
    samples = run()
    assert warmed_up(samples, samples[0].at, 600)[0].at == 600


# The load.


def submits(client: int, count: int) -> list[tuple[Request, SubmitSm]]:
    found = []
    for request in itertools.islice(requests(client), count):
        if request is not None:
            octets = (16 + len(request.body)).to_bytes(4, "big") + b"\0\0\0\4\0\0\0\0\0\0\0\1"
            pdu = codec.decode(octets + request.body)
            assert isinstance(pdu, SubmitSm)
            found.append((request, pdu))
    return found


def test_a_round_has_some_of_everything() -> None:
    kinds = Counter(request.kind for request, _ in submits(0, 400))
    assert kinds == {
        "plain": 190,
        "receipt": 100,
        "ucs2": 20,
        "part": 60,
        "refused": 10,
    }
    assert sum(request is None for request in itertools.islice(requests(0), 400)) == 20


def test_what_is_asked_for_is_what_the_pdu_says() -> None:
    for request, pdu in submits(3, 400):
        assert pdu.registered_delivery == int(request.receipt)
        assert (pdu.data_coding == 8) is (request.kind == "ucs2")
        assert (pdu.esm_class == 0x40) is (request.kind == "part")
        last = "2400" if request.kind == "refused" else "5555"
        assert pdu.destination.addr.endswith(last)
        assert request.refused is (last != "5555")


def test_the_parts_of_a_message_belong_together() -> None:
    parts = [pdu for request, pdu in submits(1, 200) if request.kind == "part"]
    sets: dict[tuple[str, int], list[int]] = {}
    for pdu in parts:
        _, _, _, reference, total, number = pdu.short_message[:6]
        assert total == 3
        sets.setdefault((pdu.destination.addr, reference), []).append(number)
    assert list(sets.values()) == [[1, 2, 3]] * 10


def test_the_configuration_is_one() -> None:
    text = configuration({"smpp": 1, "callbacks": 2, "admin": 3, "api": 4, "smpp_tls": 5})
    settings = Settings.model_validate(tomllib.loads(text))
    assert settings.callbacks.public_url == "http://127.0.0.1:2"
    assert [account.window for account in settings.accounts] == [100, 100, 10, 10, 100]


def test_a_receipt_is_taken_once() -> None:
    tally = Tally()
    tally.accepted(b"one")
    tally.receipt(b"one")
    tally.receipt(b"one")
    assert (tally.asked, len(tally.awaited), tally.strange) == (1, 0, 1)
