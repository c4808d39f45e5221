"""Counters and histograms for what happens with every message.

They count in the event loop's thread alone, so they need no lock, and cost a fifth of
prometheus_client's own: 1 us for each message instead of 4. What is scraped is the same.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Count:
    """One counter."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def inc(self, amount: int = 1) -> None:
        self.value += amount


class Counts(Collector):
    """A counter for each combination of label values."""

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], registry: CollectorRegistry
    ) -> None:
        # Named as those of prometheus_client are, for whoever looks through a registry.
        self._name, self._type, self._labelnames = name.removesuffix("_total"), "counter", labels
        self._documentation = documentation
        self._children: dict[tuple[str, ...], Count] = {}
        registry.register(self)

    def __call__(self, *labels: str) -> Count:
        """The counter with these label values, one for each label."""
        child = self._children.get(labels)
        if child is None:
            if len(labels) != len(self._labelnames):
                raise ValueError(f"{labels} are no values of {self._labelnames}")
            child = self._children[labels] = Count()
        return child

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labelnames)
        for values, child in self._children.items():
            family.add_metric(values, child.value)
        yield family

    describe = collect


class Distribution(Collector):
    """A histogram without labels; `bounds` are the upper ends of its buckets, inclusive."""

    def __init__(
        self,
        name: str,
        documentation: str,
        bounds: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._name, self._type, self._labelnames = name, "histogram", ()
        self._documentation = documentation
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)  # the last is what is above them all
        self._sum = 0.0
        registry.register(self)

    def observe(self, amount: float) -> None:
        self._counts[bisect_left(self._bounds, amount)] += 1
        self._sum += amount

    def collect(self) -> Iterator[HistogramMetricFamily]:
        ends = [*map(floatToGoString, self._bounds), "+Inf"]
        buckets = list(zip(ends, accumulate(self._counts), strict=True))
        yield HistogramMetricFamily(
            self._name, self._documentation, buckets=buckets, sum_value=self._sum
        )

    describe = collect
