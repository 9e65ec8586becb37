"""`crash_engine.py --forge | --hasty | --plain WORDS`: the headless engine with a strategy that always wants something.

With `--forge` it has everything imported and waits: `start` on its standard input forks an engine, which is then a
process of its own, and prints its pid. What is measured in a thousand lives is then an engine and not Python's imports.
A hasty one, as those of the forge are, does without what a life of a second has no time for; a plain one is the program
as it is. While a file `quiet` lies beside the state folder, the strategy wants nothing.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from msgspec.structs import replace
from wishes import Wishes, _signal

from nexus_engine.core import engine
from nexus_engine.model.events import Bar
from nexus_engine.model.signals import Quote, Signal
from nexus_engine.model.words import Side
from nexus_engine.runtime import account, uplinks  # noqa: F401
from nexus_engine.servos import asking
from nexus_engine.uplink.binance import limits
from nexus_tui.__main__ import main

EAGERNESS = 0.5
"""Of the bars that come, several a second on each symbol."""


class Busy(Wishes):
    """Wants to be in the market all the time, either way, in orders that cross and orders that rest."""

    quiet = Path()

    def __init__(self, strategies: Mapping[str, Mapping[str, Any]], *_: object) -> None:
        super().__init__()
        self._rng = Random(os.getpid())

    def bar(self, bar: Bar, quote: Quote, context: object = None) -> tuple[Signal, ...]:
        rng = self._rng
        if rng.random() > EAGERNESS or self.quiet.exists():
            return ()
        stop_pct = rng.uniform(0.15, 0.6)
        signal = _signal(
            bar.symbol,
            rng.choice((Side.BUY, Side.SELL)),
            quote,
            bar.venue_ns,
            stop_pct=stop_pct,
            target_pct=rng.choice((None, stop_pct * 0.3, stop_pct)),
            limit_pct=rng.choice((0.1, 0.1, 0.0, -0.02)),
            time_stop_ns=rng.choice((0, 5, 15, 40)) * 1_000_000_000,
            risk_pct=0.1,
        )
        # a strategy for each symbol: the streaks of one that pays for every trade are soon too long
        return (replace(signal, strategy=f"wish {bar.symbol}"),)


def forge(words: list[str]) -> None:
    asyncio.run(uplinks.warm())
    # The kernel buries what was forked.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        if line != "start\n":
            continue
        pid = os.fork()
        if not pid:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, 0)
            os.dup2(2, 1)
            os._exit(main(words))
        print(pid, flush=True)


def hasten() -> None:
    # Starts follow each other faster than an address may ask: here neither side counts.
    limits.DEFAULT_LIMIT = 1_000_000  # type: ignore[misc]
    # No life has the ten seconds that prove an order absent; on loopback what a dead process sent has long arrived.
    asking.NOT_FOUND_TWICE_NS = 300_000_000  # type: ignore[misc]
    asking.AGAIN_MS = 300  # type: ignore[misc]


if __name__ == "__main__":
    how, words = sys.argv[1], sys.argv[2:]
    engine.Cortex = Busy  # type: ignore[misc, assignment]
    Busy.quiet = Path(words[words.index("--state") + 1]).with_name("quiet")
    if how != "--plain":
        hasten()
    if how == "--forge":
        forge(words)
    else:
        raise SystemExit(main(words))
