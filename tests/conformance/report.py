"""What a client script says of itself: one JSON line a capability, on stdout.

A script gets the venue's ready line as its argument, imports nothing of ours but this file, and tries every capability.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

SYMBOL = "BTCUSDT"
TRY_S = 25.0
CAPABILITIES = (
    "markets",
    "book",
    "book stream",
    "trades",
    "trades stream",
    "klines",
    "klines stream",
    "mark stream",
    "balance",
    "limit: place, query, cancel",
    "limit by WS API: place, query, cancel",
    "session logon (Ed25519)",
    "market order",
    "fill",
    "fill stream",
    "position",
    "position stream",
    "stop: place, query, cancel",
    "stop: triggers",
    "close",
)


class Report:
    def __init__(self) -> None:
        self.venue: dict[str, Any] = json.loads(sys.argv[1])

    async def check(self, capability: str, work: Callable[[], Awaitable[object]]) -> None:
        """Try it; what is raised, or an answer that is not there in time, is told and does not end the script."""
        try:
            async with asyncio.timeout(TRY_S):
                await work()
        except TimeoutError:
            self.say(capability, "fails", f"nothing within {TRY_S:.0f} s")
        except Exception as error:  # noqa: BLE001  whatever a foreign library raises is the finding
            self.say(capability, "fails", f"{type(error).__name__}: {error}")
        else:
            self.say(capability, "ok", "")

    def cannot(self, capability: str, why: str) -> None:
        """The client has no call for it, or none that works against the venue itself either."""
        self.say(capability, "cannot", why)

    def say(self, capability: str, outcome: str, why: str) -> None:
        assert capability in CAPABILITIES, capability
        line = {"capability": capability, "outcome": outcome, "why": " ".join(why.split())[:300]}
        print(json.dumps(line), flush=True)


class Heard:
    """Messages of a stream as they come, and waiting for one of them."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self._news = asyncio.Event()

    def __call__(self, message: Any) -> None:
        self.all.append(message)
        self._news.set()

    async def until(self, wanted: Callable[[Any], bool]) -> Any:
        seen = 0
        while True:
            for message in self.all[seen:]:
                if wanted(message):
                    return message
            seen = len(self.all)
            self._news.clear()
            await self._news.wait()


class Price(Protocol):
    async def __call__(self) -> float: ...


async def place_near(price: Price, place: Callable[[str], Awaitable[Any]], refused: Callable[[Exception], bool]) -> Any:
    """Place a sell stop as near below the price as the venue takes it, so that it triggers soon."""
    for distance in (1e-4, 2e-4, 4e-4, 8e-4):
        try:
            return await place(f"{await price() * (1 - distance):.1f}")
        except Exception as error:
            if not refused(error):
                raise
    raise AssertionError("every trigger price was refused")


def expect(truth: object, what: str) -> None:
    if not truth:
        raise AssertionError(what)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a script to its last line and no further: what a library leaves open may wait for long."""

    async def whole() -> None:
        try:
            await main
        finally:
            sys.stdout.flush()
        os._exit(0)

    asyncio.run(whole())
