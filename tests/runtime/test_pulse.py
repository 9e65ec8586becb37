"""What the screen's `ok` says of the engine's thread."""

import asyncio
from types import SimpleNamespace

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


def test_without_a_file_descriptor_it_stays_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_PULSE_S", 0.0)
    monkeypatch.setattr(health, "_MEMORY_EVERY", 1)
    pulse = Pulse()
    before = memory(pulse)

    def none() -> float:
        raise OSError(24, "too many open files")

    monkeypatch.setattr(health, "memory_mb", none)
    asyncio.run(pulse.beat(0))
    assert memory(pulse) == before > 0


def test_what_is_done_between_two_beats_is_lag_too(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((1.0, 1.1, 1.6))
    pulse = Pulse()
    monkeypatch.setattr(health, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(health, "asyncio", SimpleNamespace(sleep=lambda _: asyncio.sleep(0)))

    async def beats() -> None:
        await pulse.beat(0)
        await pulse.beat(0)

    asyncio.run(beats())
    assert pulse.lag_ms == pytest.approx(400.0)
