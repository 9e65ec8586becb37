"""Starting, waiting and ending."""

import time
from collections.abc import Callable

from nexus_engine.model.view import View, ViewRequest
from nexus_engine.runtime import Options, Runtime

READY_S = 30.0


def wait_until(true: Callable[[], object], within_s: float = 10.0) -> float:
    """Wait for a condition; how long it took, in seconds."""
    began_s = time.monotonic()
    while not true():
        took_s = time.monotonic() - began_s
        assert took_s < within_s, f"not within {within_s} s"
        time.sleep(0.005)
    return time.monotonic() - began_s


def started(options: Options) -> Runtime:
    runtime = Runtime(options)
    runtime.start()
    wait_until(lambda: runtime.ready.is_set() or not runtime._thread.is_alive(), READY_S)
    assert runtime.ready.is_set(), runtime.failed
    return runtime


def ended(runtime: Runtime) -> None:
    runtime.stop()
    assert runtime.join(15.0)


def view_of(runtime: Runtime) -> View:
    """A View that was begun after this call."""
    called_ns = time.time_ns()
    found: list[View] = []

    def newer() -> bool:
        view = runtime.pull(ViewRequest())
        if view is not None and view.at_ns > called_ns:
            found.append(view)
        return bool(found)

    wait_until(newer)
    return found[-1]
