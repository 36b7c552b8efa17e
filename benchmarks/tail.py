"""`Tail`: how long the many and the unlucky wait."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Tail:
    """Median, 95th and 99th percentile, and the worst of them all."""

    median: float
    p95: float
    p99: float
    worst: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Tail:
        """Of at least two values."""
        cuts = statistics.quantiles(values, n=100, method="inclusive")
        return cls(statistics.median(values), cuts[94], cuts[98], max(values))

    def rounded(self) -> dict[str, float]:
        """As such numbers are told: more digits would be noise."""
        return {name: float(f"{value:.4g}") for name, value in asdict(self).items()}
