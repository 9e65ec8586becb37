"""What the screen's `ok` says of the engine's thread."""

import asyncio

import pytest

from nexus_engine.runtime import health
from nexus_engine.runtime.health import Pulse


def memory(pulse: Pulse) -> float:
    return next(reading.value for reading in pulse.readings() if reading.name == "memory")


def test_memory_is_looked_at_now_and_then_and_not_with_every_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter((100.0, 200.0, 300.0))
    monkeypatch.setattr(health, "memory_mb", lambda: next(looks))
    monkeypatch.setattr(health, "_PULSE_S", 0.0)
    monkeypatch.setattr(health, "_MEMORY_EVERY", 2)

    async def beats(pulse: Pulse) -> list[float]:
        seen = [memory(pulse)]
        for _ in range(3):
            await pulse.beat(0)
            seen += [memory(pulse), memory(pulse)]
        return seen

    assert asyncio.run(beats(Pulse())) == [100.0, 100.0, 100.0, 200.0, 200.0, 200.0, 200.0]
