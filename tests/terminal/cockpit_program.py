"""The cockpit on a hand-made engine, as a program of its own. argv: where to write what it saw.

The pictures move ten times a second; `lag_ms` is the longest that the app's loop stood still.
"""

import asyncio
import json
import logging
import signal
import sys
import time
from pathlib import Path

from msgspec.structs import replace
from tui_views import FakeLink, view

from nexus_engine.model.view import View, ViewRequest
from nexus_tui.app import NexusApp


class Moving(FakeLink):
    """Every pull finds a newer picture: all sizes of the book and the clock have moved."""

    def pull(self, request: ViewRequest) -> View | None:
        picture = super().pull(request)
        if picture is None:
            return None
        step = int(time.time() * 10)
        books = tuple(
            replace(
                book,
                bids=tuple((price, float(1 + (price * 7 + step * 13) % 997)) for price, _ in book.bids),
                asks=tuple((price, float(1 + (price * 11 + step * 17) % 997)) for price, _ in book.asks),
            )
            for book in picture.books
        )
        return replace(picture, seq=step, at_ns=time.time_ns(), books=books)


class Program(NexusApp):
    lag_ms = 0.0

    def on_ready(self) -> None:
        self._watch = asyncio.create_task(self._watch_lag())

    async def _watch_lag(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.02)
            self.lag_ms = max(self.lag_ms, (time.monotonic() - before - 0.02) * 1e3)


def main() -> None:
    logging.basicConfig(filename=f"{sys.argv[1]}.log")
    link = Moving(view())
    app = Program(link)
    signal.signal(signal.SIGHUP, lambda *_: app.hangup())
    signal.signal(signal.SIGTERM, lambda *_: app.terminate())
    result = app.run()
    said = {
        "result": result,
        "lag_ms": app.lag_ms,
        "frames": app.drain.sent,
        "sent": [type(each).__name__ for each in link.sent],
    }
    Path(sys.argv[1]).write_text(json.dumps(said), encoding="utf-8")


if __name__ == "__main__":
    main()
