"""What the venue's sockets are sent when a fault takes hold of it; and that nothing heaps up behind one."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import msgspec
import pytest

from nexus_engine.sim import hub as hubs
from nexus_engine.sim.faults import Fault, FaultFileError, Faults
from nexus_engine.sim.hub import Connection, Hub
from nexus_engine.sim.streams import home

STREAM = "btcusdt@depth@100ms"


class Ear:
    """A transport that keeps what was written to it, one unmasked frame after the other."""

    def __init__(self) -> None:
        self.raw = b""

    def write(self, data: bytes) -> None:
        self.raw += data

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    @property
    def heard(self) -> list[int]:
        """The numbers of the messages, in the order in which they came."""
        found, rest = [], self.raw
        while rest:
            size = rest[1]
            found.append(msgspec.json.decode(rest[2 : 2 + size])["n"])
            rest = rest[2 + size :]
        return found


def listening(*faults: Fault) -> tuple[Hub, Ear]:
    hub, ear = Hub(Faults(faults), home, lambda struck: None), Ear()
    hub.add(Connection(cast("asyncio.Transport", ear), "", False), [STREAM])
    return hub, ear


def tell(hub: Hub, numbers: range) -> None:
    for n in numbers:
        hub.publish(STREAM, {"n": n})
    hub.flush()


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 a hub says nothing when it has sent
            await asyncio.sleep(0)


async def test_one_message_changes_places_with_the_next() -> None:
    hub, ear = listening(Fault(on="stream", kind="reorder", after=1))
    tell(hub, range(5))
    assert ear.heard == [0, 2, 1, 3, 4]


async def test_a_stream_that_is_all_out_of_order_loses_nothing_and_holds_one_message_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub, ear = listening(Fault(on="stream", kind="reorder", count=0))
    monkeypatch.setattr(hubs, "HELD_S", 0.0)
    tell(hub, range(7))
    assert ear.heard == [1, 0, 3, 2, 5, 4]
    await until(lambda: ear.heard[6:] == [6])  # none came after it
    tell(hub, range(7, 9))
    assert ear.heard[7:] == [8, 7]
    assert not hub._held


async def test_what_was_held_for_a_key_that_died_is_told_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "HELD_S", 0.0)
    hub, _ = listening(Fault(on="user", kind="reorder"))
    hub.listen_key = "k" * 64
    ear = Ear()
    hub.add(Connection(cast("asyncio.Transport", ear), "private", False), [hub.listen_key])
    hub.user({"n": 1})
    hub.drop_listen_key()
    assert not hub._held
    for _ in range(5):
        await asyncio.sleep(0)
    assert ear.heard == []


def test_no_fault_file_holds_a_days_messages_back() -> None:
    with pytest.raises(FaultFileError, match="delay_ms = 86400000: allowed are numbers up to 600000"):
        Fault(on="stream", kind="delay", delay_ms=86_400_000).check()
