"""A socket that never runs dry gives way to the loop: an exit needs several of its turns to leave."""

import asyncio
import random

from uplink_data import HandClock

from nexus_engine.uplink.stream import SLICE_NS, Stream

READ_BYTES = 100_000
COST_NS = 100_000
"""Of a message, for whoever listens."""


class Full:
    """A socket on which so many messages wait; a read brings all that fit into its buffer."""

    def __init__(self, count: int, length: int) -> None:
        self._left, self._body, self._paused = count, b"x" * length, False

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        asyncio.get_running_loop().call_soon(self._read_on)  # it is read when the loop has looked at its sockets again

    def _read_on(self) -> None:
        self._paused = False

    async def pour(self, stream: Stream) -> None:
        while self._left:
            for _ in range(0 if self._paused else min(self._left, READ_BYTES // len(self._body))):
                self._left -= 1
                stream._text(self._body)
            await asyncio.sleep(0)


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
    socket = Full(count, length)
    stream._ended = asyncio.get_running_loop().create_future()
    stream._opened(socket)  # type: ignore[arg-type]
    await socket.pour(stream)
    for _ in range(READ_BYTES // length):
        await asyncio.sleep(0)
    other.cancel()
    assert sum(turns) == count
    return turns, behind


async def test_nobody_waits_longer_for_a_turn_than_a_slice() -> None:
    turns, _ = await listen(5_000, 150)
    assert max(turns) <= SLICE_NS // COST_NS + 2


async def test_a_run_that_was_cut_is_still_one_run_and_long_ones_mean_behind() -> None:
    _, behind = await listen(5_000, 150)
    # a read is 666 messages, in slices of 21
    assert len(behind) == 8
    assert behind[2:-1] == [True] * len(behind[2:-1]) and not any(behind[:2])


async def test_a_short_run_is_passed_on_once_and_is_no_backlog() -> None:
    turns, behind = await listen(15, 150)
    assert max(turns) == 15 and behind == [False]
