"""What /metrics says, read with as little as possible."""

from __future__ import annotations

from collections.abc import Mapping

LAG = "smppgw_reactor_lag_seconds_bucket"


def samples(text: str) -> dict[str, float]:
    """Every sample as it is written, `name{label="value"}`, by its value."""
    lines = (line.rpartition(" ") for line in text.splitlines() if line and line[0] != "#")
    return {name: float(value) for name, _, value in lines}


def total(found: Mapping[str, float], name: str) -> float:
    """The sum over the labels of a metric; 0 when there is none."""
    return sum(v for sample, v in found.items() if sample.partition("{")[0] == name)


def buckets(found: Mapping[str, float], name: str = LAG) -> dict[float, float]:
    """The cumulative counts of a histogram without labels, by their upper bounds in order."""
    begin = f'{name}{{le="'
    read = {float(s[len(begin) : -2]): v for s, v in found.items() if s.startswith(begin)}
    return dict(sorted(read.items()))


def quantile(
    before: Mapping[float, float], after: Mapping[float, float], share: float
) -> float | None:
    """Of what was observed between two looks, the bound that `share` of it does not exceed.

    It is a bound of the histogram, so the true value is below; None when nothing was observed.
    """
    counts = {bound: count - before.get(bound, 0) for bound, count in after.items()}
    observed = max(counts.values(), default=0)
    if observed <= 0:
        return None
    return next(bound for bound, count in counts.items() if count >= share * observed)
