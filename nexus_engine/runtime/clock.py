"""The machine's two clocks."""

import time


class SystemClock:
    """UTC for the record, monotonic for durations; integer nanoseconds."""

    def utc_ns(self) -> int:
        return time.time_ns()

    def mono_ns(self) -> int:
        return time.monotonic_ns()
