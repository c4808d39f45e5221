"""What a soak is judged by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.exposition import quantile
from bench.soak.samples import Sample
from bench.soak.tally import Tally
from bench.soak.trend import levels, trend

RSS_LIMIT = 1.0  # MB an hour
DESCRIPTORS_LIMIT = 5  # guests come and go: their number is not quite the same in each third
SETTLED = ("left", "closed", "gone")  # how a visit may end


@dataclass(frozen=True)
class Judged:
    """One line of the result; `passed` None is told and not judged."""

    what: str
    passed: bool | None
    bound: str
    measured: str

    @property
    def word(self) -> str:
        return "told" if self.passed is None else "PASS" if self.passed else "MISS"


@dataclass
class Ending:
    """What was found when the load had ended."""

    baseline: Sample | None = None  # before the load, when a client had come and gone
    last: Sample | None = None  # when all had left
    exit_code: int | None = None
    trouble: Sequence[str] = ()  # lines of the log that are errors, or no log lines at all
    events: Mapping[str, int] = field(default_factory=dict)


def warmed_up(samples: Sequence[Sample], begun: float, warm_up: float) -> list[Sample]:
    return [sample for sample in samples if sample.at - begun >= warm_up]


def judge(samples: Sequence[Sample], tally: Tally, ending: Ending) -> list[Judged]:
    """Judge the samples after the warm-up, and how it ended."""
    if len(samples) < 2:
        return [Judged("samples after the warm-up", False, ">= 2", str(len(samples)))]
    return [
        _memory(samples),
        _descriptors(samples),
        _threads(samples),
        *_load(samples),
        *_counts(tally),
        *_ended(ending),
    ]


def _memory(samples: Sequence[Sample]) -> Judged:
    found = trend([(sample.at, sample.rss_mb) for sample in samples])
    measured = f"{found.slope:+.2f} MB/hour, 95 %: {found.low:+.2f} to {found.high:+.2f}"
    passed = found.slope < RSS_LIMIT  # NaN is a miss
    if passed is not (found.high < RSS_LIMIT if passed else found.low < RSS_LIMIT):
        measured += "; too short to be sure"
    return Judged("RSS slope", passed, f"< {RSS_LIMIT:g} MB/hour", measured)


def _descriptors(samples: Sequence[Sample]) -> Judged:
    values = [sample.own_descriptors for sample in samples]
    first, last = levels(values)
    return Judged(
        "descriptors, median of the last third - of the first",
        last - first <= DESCRIPTORS_LIMIT,
        f"<= {DESCRIPTORS_LIMIT}",
        f"{last - first:+g} (first {values[0]}, last {values[-1]}, most {max(values)})",
    )


def _threads(samples: Sequence[Sample]) -> Judged:
    values = [sample.threads for sample in samples]
    first, last = levels(values)
    return Judged(
        "threads, median of the last third - of the first",
        last <= first,
        "<= 0",
        f"{last - first:+g} (first {values[0]}, last {values[-1]}, most {max(values)})",
    )


def _load(samples: Sequence[Sample]) -> list[Judged]:
    begin, end = samples[0], samples[-1]
    lag = quantile(begin.lag, end.lag, 0.99)
    cpu = (end.cpu - begin.cpu) / (end.at - begin.at) * 100
    rss = [sample.rss_mb for sample in samples]
    words = "none observed" if lag is None else f"<= {lag * 1e3:g} ms"
    return [
        Judged("RSS", None, "", f"{rss[0]:.1f} to {rss[-1]:.1f} MB, most {max(rss):.1f}"),
        Judged("connections to the API, most", None, "", str(max(s.to_api for s in samples))),
        Judged("connections of the API, most", None, "", str(max(s.of_api for s in samples))),
        Judged("reactor lag, p99", None, "", "> 5 s" if lag == math.inf else words),
        Judged("CPU of the gateway", None, "", f"{cpu:.0f} % of a core"),
        Judged("sessions, most", None, "", str(max(s.sessions for s in samples))),
        Judged("in flight, most", None, "", str(max(s.in_flight for s in samples))),
        Judged("receipts pending, most", None, "", str(max(s.receipts_pending for s in samples))),
    ]


def _counts(tally: Tally) -> list[Judged]:
    wrong = {
        visit: count
        for visit, count in tally.guests.items()
        if visit.partition(": ")[2] not in SETTLED
    }
    return [
        Judged("requests of the steady clients", None, "", f"{tally.sent:,}"),
        Judged("answered ESME_ROK", None, "", f"{tally.ok:,}"),
        Judged("refused, as was meant", None, "", _listed(tally.refused)),
        _none("answers that were not meant", tally.surprises),
        _zero("requests without an answer", tally.lost),
        Judged("messages that asked for a receipt", None, "", f"{tally.asked:,}"),
        _zero("receipts that did not come", len(tally.awaited)),
        Judged("receipts that came twice", None, "", f"{tally.strange:,}"),
        Judged("visits of guests", None, "", f"{sum(tally.guests.values()):,}"),
        _none("visits that ended as they should not", wrong),
    ]


def _ended(ending: Ending) -> list[Judged]:
    found = [
        _none("errors in the log", {line[:300]: 1 for line in ending.trouble}),
        Judged("exit code", ending.exit_code == 0, "0", str(ending.exit_code)),
    ]
    if ending.baseline is None or ending.last is None:
        return found
    before, after = ending.baseline, ending.last
    own, left = before.own_descriptors, after.own_descriptors
    words = f"{left} ({after.to_api} more to the API, {after.of_api} of it)"
    return [
        Judged("descriptors when all had left", left <= own, f"<= {own}, as before", words),
        _zero("connections when all had left", after.connections),
        Judged("RSS when all had left", None, "", f"{after.rss_mb:.1f} MB"),
        *found,
    ]


def _zero(what: str, count: int) -> Judged:
    return Judged(what, not count, "0", f"{count:,}")


def _none(what: str, found: Mapping[str, int]) -> Judged:
    return Judged(what, not found, "none", _listed(found))


def _listed(found: Mapping[str, int]) -> str:
    return ", ".join(f"{name} x {count:,}" for name, count in sorted(found.items())) or "none"


def as_json(judged: Sequence[Judged], tally: Tally, ending: Ending) -> dict[str, Any]:
    """The last line of a machine's output."""
    return {
        "passed": all(one.passed is not False for one in judged),
        "judged": [
            {"what": j.what, "word": j.word, "bound": j.bound, "measured": j.measured}
            for j in judged
        ],
        "guests": dict(sorted(tally.guests.items())),
        "events": dict(sorted(ending.events.items())),
        "trouble": list(ending.trouble),
    }
