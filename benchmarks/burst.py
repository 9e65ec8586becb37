"""A cascade: aggTrade frames, encoded beforehand, as fast as one core can send them for 5 seconds.

A process of its own sends over loopback; here the real market feed, carrier and engine take them. Nothing may die. The
table tells how fast it was sent and heard, what was joined on the way to the engine, the CPU of it, how late the loop
and the data were, and when all was as before.
"""

import asyncio
import json
import random
import sys
import time
from typing import Any

import msgspec
from aiohttp import web

SECONDS, CALM_S = 5.0, 2.0
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
FRAMES, BUFFER = 2_000, 4 << 20
CALM_EVERY_S = 0.1


# ---- the sender ------------------------------------------------------------------------------------------------------


def frame(stream: str, data: dict[str, Any]) -> bytes:
    from nexus_engine.sim.hub import frame as framed

    return framed(msgspec.json.encode({"stream": stream, "data": data}))


def mark(symbol: str) -> bytes:
    """A fresh one: its E is when it was sent, in ms."""
    now_ms = time.time_ns() // 1_000_000
    data = {"e": "markPriceUpdate", "E": now_ms, "s": symbol, "p": "100.0", "i": "100.0", "r": "0.0001", "T": now_ms}
    return frame(f"{symbol.lower()}@markPrice@1s", data)


def trades() -> bytes:
    rng, now_ms, out = random.Random(1), time.time_ns() // 1_000_000, []
    for number in range(FRAMES):
        symbol = rng.choice(SYMBOLS)
        price = f"{100 + rng.gauss(0, 0.05):.2f}"
        data = {
            "e": "aggTrade", "E": now_ms, "a": 26_129_000 + number, "s": symbol, "p": price, "q": "0.113",
            "nq": "0.113", "f": 100, "l": 105, "T": now_ms, "m": rng.random() < 0.5,
        }  # fmt: skip
        out.append(frame(f"{symbol.lower()}@aggTrade", data))
    return b"".join(out)


async def send(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    transport = request.transport
    assert transport is not None
    blob, sent = trades(), 0

    async def calm() -> None:
        until_s = time.monotonic() + CALM_S
        while time.monotonic() < until_s:
            transport.write(b"".join(map(mark, SYMBOLS)))
            await asyncio.sleep(CALM_EVERY_S)

    await calm()
    until_s, cpu_s = time.monotonic() + SECONDS, time.process_time()
    transport.set_write_buffer_limits(BUFFER)
    while time.monotonic() < until_s:
        if transport.get_write_buffer_size() < BUFFER:
            transport.write(blob + mark(SYMBOLS[0]))
            sent += FRAMES
        await asyncio.sleep(0)
    sys.stdout.write(f"{json.dumps({'sent': sent, 'cpu_s': time.process_time() - cpu_s})}\n")
    sys.stdout.flush()
    await calm()
    await calm()
    return socket


async def serve() -> None:
    async def nothing(_: web.Request) -> web.Response:
        return web.json_response([])

    app = web.Application()
    app.router.add_get("/market/stream", send)
    app.router.add_get("/fapi/v1/klines", nothing)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.sleep(SECONDS + 4 * CALM_S + 10)


# ---- the engine ------------------------------------------------------------------------------------------------------


async def take() -> dict[str, float]:
    from decimal import Decimal

    from nexus_engine.carrier import Carrier
    from nexus_engine.core.engine import Engine
    from nexus_engine.model.config import Directive
    from nexus_engine.model.events import AnyEvent, Instruments, Mark
    from nexus_engine.model.instruments import Instrument
    from nexus_engine.model.ledger import Ledger
    from nexus_engine.model.secret import Secret
    from nexus_engine.runtime.clock import SystemClock
    from nexus_engine.runtime.health import Pulse, memory_mb
    from nexus_engine.store.memory import MemoryJournal
    from nexus_engine.uplink.binance.market import MarketFeed
    from nexus_engine.uplink.binance.rest import BinanceRest
    from nexus_engine.uplink.binance.settings import BinanceSettings

    child = await asyncio.create_subprocess_exec(sys.executable, __file__, "serve", stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    port = int(await child.stdout.readline())
    clock, engine = SystemClock(), Engine(Directive(), Ledger())
    carrier = Carrier(engine, MemoryJournal(), {"BINANCE": None}, clock)  # type: ignore[dict-item]
    grids = [
        Instrument(
            symbol=symbol, tick=Decimal("0.01"), step=Decimal("0.001"), min_qty=Decimal("0.001"), max_qty=Decimal(1000),
            market_max_qty=Decimal(100), min_notional=Decimal(5),
        )
        for symbol in SYMBOLS
    ]  # fmt: skip
    carrier.post(Instruments(at_ns=clock.utc_ns(), mono_ns=clock.mono_ns(), instruments=tuple(grids)))
    url = f"127.0.0.1:{port}"
    settings = BinanceSettings(
        rest_url=f"http://{url}", ws_url=f"ws://{url}", api_key=Secret(""), api_secret=Secret(""), symbols=SYMBOLS,
        intervals=(), warmup_bars=1, leverage=3,
    )  # fmt: skip
    rest = BinanceRest(settings, clock)
    await rest.open()
    late: list[tuple[float, float]] = []

    def hear(event: AnyEvent) -> None:
        if type(event) is Mark:
            late.append((time.monotonic(), (time.time_ns() - event.venue_ns) / 1e6))
        carrier.post(event)

    feed, pulse = MarketFeed(rest, hear, random.Random(1)), Pulse()

    async def beat() -> None:
        while True:
            await pulse.beat(carrier.posted)

    tasks = [asyncio.create_task(feed.run()), asyncio.create_task(beat())]
    while not late:  # noqa: ASYNC110  a feed has no event to wait for
        await asyncio.sleep(0.05)
    memory, cpu_s, posted = memory_mb(), time.process_time(), carrier.posted
    told = json.loads(await child.stdout.readline())
    ended_s = time.monotonic()
    await asyncio.sleep(CALM_S)
    burst_cpu_s = time.process_time() - cpu_s
    alive = not any(task.done() for task in tasks)
    during = sorted(ms for at_s, ms in late if ended_s - SECONDS < at_s <= ended_s)
    caught_up = next((at_s for at_s, ms in late if at_s > ended_s and ms < 100), float("nan"))
    after = [ms for at_s, ms in late if at_s > ended_s + 1.0]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await rest.close()
    child.terminate()
    await child.wait()
    heard = feed.stream.received
    return {
        "sent": told["sent"],
        "heard": heard,
        "skipped": rest.counts.skipped,
        "sent_per_s": told["sent"] / SECONDS,
        "sender_cpu_pct": told["cpu_s"] / SECONDS * 100,
        "heard_per_s": heard / SECONDS,
        "to_the_engine": carrier.posted - posted,
        "conflated": rest.counts.conflated,
        "cpu_us_per_message": burst_cpu_s / heard * 1e6,
        "cpu_pct_of_a_core": burst_cpu_s / (SECONDS + CALM_S) * 100,
        "data_lag_p50_ms": during[len(during) // 2] if during else float("nan"),
        "data_lag_max_ms": during[-1] if during else float("nan"),
        "loop_lag_max_ms": pulse.worst_ms,
        "caught_up_after_ms": (caught_up - ended_s) * 1e3,
        "data_lag_afterwards_ms": max(after, default=float("nan")),
        "memory_grew_mb": memory_mb() - memory,
        "alive": float(alive and feed.stream.received > 0),
    }


def main() -> int:
    if sys.argv[1:] == ["serve"]:
        asyncio.run(serve())
        return 0
    found = asyncio.run(take())
    for name, value in found.items():
        sys.stdout.write(f"{name.replace('_', ' '):<24} {value:>14,.1f}\n")
    sys.stdout.write(f"{json.dumps({'benchmark': 'burst', **found})}\n")
    return 0 if found["alive"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
