"""Query counts and a latency histogram, in the text format of Prometheus."""

from __future__ import annotations

import threading

BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0)
_HISTOGRAM = "ClickHouseHistogramMetrics_QueryDurationSeconds"


class QueryMetrics:
    """Counts what the front did; the engine in process keeps no such numbers."""

    def __init__(self) -> None:
        """Start at zero."""
        self._lock = threading.Lock()
        self._counts = {"Query": 0, "SelectQuery": 0, "InsertQuery": 0, "FailedQuery": 0}
        self._buckets = [0] * len(BUCKETS)
        self._sum = 0.0

    def observe(self, keyword: str, seconds: float, *, failed: bool) -> None:
        """Count one finished query; `keyword` is its first word in lower case."""
        kinds = {"select": "SelectQuery", "with": "SelectQuery", "insert": "InsertQuery"}
        with self._lock:
            self._counts["Query"] += 1
            self._counts["FailedQuery"] += int(failed)
            if keyword in kinds:
                self._counts[kinds[keyword]] += 1
            self._sum += seconds
            for index, bound in enumerate(BUCKETS):
                self._buckets[index] += int(seconds <= bound)

    def render(self, gauges: dict[str, float], events: dict[str, float]) -> str:
        """Return the page: own counts and histogram, then the engine's metrics (gauges) and events (counters)."""
        with self._lock:
            counts = {**events, **self._counts}
            buckets, total, seconds = list(self._buckets), self._counts["Query"], self._sum
        lines = []
        for name, value in sorted(counts.items()):
            lines += [f"# TYPE ClickHouseProfileEvents_{name} counter", f"ClickHouseProfileEvents_{name} {value:g}"]
        for name, value in sorted(gauges.items()):
            lines += [f"# TYPE ClickHouseMetrics_{name} gauge", f"ClickHouseMetrics_{name} {value:g}"]
        lines.append(f"# TYPE {_HISTOGRAM} histogram")
        lines += [
            f'{_HISTOGRAM}_bucket{{le="{bound:g}"}} {count}' for bound, count in zip(BUCKETS, buckets, strict=True)
        ]
        lines += [f'{_HISTOGRAM}_bucket{{le="+Inf"}} {total}', f"{_HISTOGRAM}_sum {seconds:g}"]
        lines.append(f"{_HISTOGRAM}_count {total}")
        return "\n".join(lines) + "\n"
