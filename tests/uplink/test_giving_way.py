"""A socket that never runs dry gives way to the loop: an exit needs several of its turns to leave."""

import asyncio
import random
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from uplink_data import HandClock

from nexus_engine.uplink import stream as streams
from nexus_engine.uplink.stream import SLICE_NS, Stream

COST_NS = 100_000
"""Of a message, for whoever listens."""


class Full:
    """A socket that has had so many messages of that length come already; then it closes."""

    def __init__(self, count: int, length: int) -> None:
        self.left, self._body = count, b"x" * length

    async def receive(self) -> Any:
        self.left -= 1
        if self.left < 0:
            return SimpleNamespace(type=aiohttp.WSMsgType.CLOSED, data=None)
        return SimpleNamespace(type=aiohttp.WSMsgType.TEXT, data=self._body)

    close_code = 1000


async def listen(count: int, length: int) -> tuple[list[int], list[bool]]:
    """How many messages were read between two turns of the loop; and whether it was behind, after each whole run."""
    clock, turns, behind = HandClock(), [0], []

    def heard(data: bytes, at_ns: int, mono_ns: int) -> None:
        turns[-1] += 1
        clock.passed_ns += COST_NS

    async def nowhere() -> str:
        return ""

    stream = Stream(
        url=nowhere, frame=heard, down=lambda _: None, clock=clock, rng=random.Random(1),
        passed=lambda: behind.append(stream.behind),
    )  # fmt: skip

    async def turn() -> None:
        while True:
            await asyncio.sleep(0)
            turns.append(0)

    other = asyncio.create_task(turn())
    await asyncio.sleep(0)
    with pytest.raises(streams.StreamDown):
        await stream._read(Full(count, length))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    other.cancel()
    assert sum(turns) == count
    return turns, behind


async def test_nobody_waits_longer_for_a_turn_than_a_slice() -> None:
    turns, _ = await listen(5_000, 150)
    assert max(turns) <= SLICE_NS // COST_NS + 2


async def test_a_run_that_was_cut_is_still_one_run_and_long_ones_mean_behind() -> None:
    _, behind = await listen(5_000, 150)
    # 64 KiB are 434 messages of 151 bytes, in slices of 21
    assert len(behind) == pytest.approx(5_000 / 440, abs=2)
    assert behind[2:-1] == [True] * len(behind[2:-1]) and not any(behind[:2])


async def test_a_short_run_is_passed_on_once_and_is_no_backlog() -> None:
    turns, behind = await listen(15, 150)
    assert max(turns) == 15 and behind == [False]
