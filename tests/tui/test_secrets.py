"""A planted key and secret, and everything that can fail, failing: neither is anywhere that a person or a file shows.

The venue repeats what it was sent in its refusals, pages and messages, as some proxies do.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from tui_driving import cockpit
from wishes import Wishes

from nexus_engine.core.engine import Engine
from nexus_engine.model.commands import ClosePosition
from nexus_engine.model.config import Directive
from nexus_engine.model.view import ViewRequest
from nexus_engine.model.words import Mode, Side
from nexus_engine.runtime import Options, Runtime
from nexus_engine.runtime.logs import log_to
from nexus_engine.sim.faults import Fault, Faults
from nexus_engine.sim.market import Market
from nexus_engine.sim.server import Server
from nexus_engine.sim.venue import Venue
from nexus_engine.uplink.binance.user import UserFeed

KEY, SECRET = "CANARY-KEY-7f3a9d" + "k" * 40, "CANARY-SECRET-51c2e8" + "s" * 40
ECHO = f"bad request: X-MBX-APIKEY: {KEY} secret {SECRET} ?symbol=SOLUSDT&signature=0123456789abcdef&timestamp=1"
SYMBOL, READY_S = "SOLUSDT", 30.0
FAULTS = (
    Fault(on="POST /fapi/v1/order", kind="refuse", code=-2019, msg=ECHO),
    Fault(on="POST /fapi/v1/algoOrder", kind="refuse", code=-1102, msg=ECHO, count=2),
    Fault(on="DELETE /fapi/v1/algoOrder", kind="refuse", code=-1000, msg=ECHO),
    Fault(on="GET /fapi/v1/openOrders", kind="refuse", code=-1022, msg=ECHO, after=1),
    Fault(on="GET /fapi/v1/*rder", kind="garbage", body=ECHO),
    Fault(on="GET /fapi/v3/balance", kind="html"),
    Fault(on="POST /fapi/v1/leverage", kind="refuse", code=-4028, msg=ECHO),
    Fault(on="POST /fapi/v1/listenKey", kind="refuse", code=-2015, msg=ECHO),
    Fault(on="user", kind="garbage", body=ECHO),
    Fault(on="user", kind="numbers", value=SECRET, match={"e": "ORDER_TRADE_UPDATE"}),
    Fault(on="stream /public", kind="garbage", body=ECHO, after=20, count=3),
    Fault(on="stream /market", kind="edit", edit={"e": KEY}, after=20, count=3),
)


class Hostile:
    """A venue on its own thread."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.listen_keys: set[str] = set()
        self.faults = Faults(FAULTS)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    def start(self) -> None:
        self._thread.start()
        assert self.ready.wait(READY_S)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._end = asyncio.Event()
        venue = Venue(Market(seed=7, scenario="calm", start_ns=time.time_ns()))
        server = Server(
            venue, api_key=KEY, api_secret=SECRET, drive=lambda: venue.advance(100_000_000, time.time_ns()),
            store=lambda: self.listen_keys.add(server.hub.listen_key), faults=self.faults,
        )  # fmt: skip
        runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        clock = asyncio.create_task(server.run_clock())
        self.ready.set()
        await self._end.wait()
        clock.cancel()
        await asyncio.gather(clock, return_exceptions=True)
        server.hub.close_all()
        await runner.cleanup()


@pytest.fixture
def hostile() -> Iterator[Hostile]:
    venue = Hostile()
    venue.start()
    yield venue
    venue.stop()


@pytest.fixture
def whole_log() -> Iterator[logging.Logger]:
    """The root logger, as it was before when it is over."""
    root = logging.getLogger()
    level, handlers, raising = root.level, root.handlers[:], logging.raiseExceptions
    yield root
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.setLevel(level)
    root.handlers, logging.raiseExceptions = handlers, raising


def wait_until(true: Callable[[], object], within_s: float) -> None:
    deadline_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline_s, f"not within {within_s} s"
        time.sleep(0.02)


async def test_a_planted_key_is_in_no_log_traceback_journal_screen_recording_or_snapshot(
    hostile: Hostile,
    whole_log: logging.Logger,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    wishes, broken = Wishes(), 0
    monkeypatch.setattr("nexus_engine.core.engine.Cortex", lambda _: wishes)
    order, algo = Engine._cancelled, UserFeed._algo

    def bug(self: Engine, turn: Any, event: Any) -> None:
        order(self, turn, event)
        raise RuntimeError("planted in a turn")

    def worse(self: UserFeed, *args: Any) -> None:
        nonlocal broken
        broken += 1
        if broken == 1:
            raise RuntimeError("planted in the feed")  # over the heads of the rest client and its keys
        algo(self, *args)

    monkeypatch.setattr(Engine, "_cancelled", bug)
    monkeypatch.setattr(UserFeed, "_algo", worse)
    line = tmp_path / "ready.json"
    url = f"127.0.0.1:{hostile.port}"
    told = {"rest": f"http://{url}", "ws": f"ws://{url}", "api_key": KEY, "api_secret": SECRET, "pid": 1}
    line.write_bytes(msgspec.json.encode(told))
    directive = Directive()
    directive = directive.model_copy(
        update={
            "demo": directive.demo.model_copy(update={"venue": str(line)}),
            "account": directive.account.model_copy(update={"mode": Mode.PILOT}),
        }
    )
    state, tape = tmp_path / "state", tmp_path / "tape"
    runtime = Runtime(Options(state=state, directive=directive, record=tape))
    log_to(runtime.folder)
    whole_log.setLevel(logging.DEBUG)
    runtime.start()
    pictures = []

    def seen(what: Any) -> bool:
        picture = runtime.pull(ViewRequest(events=200, books=(SYMBOL,), why="P1"))
        if picture is not None:
            pictures.append(picture)
            if not picture.positions and not wishes.queue:
                wishes.queue.append((SYMBOL, Side.BUY, {"target_pct": None}))
        return picture is not None and bool(what(picture))

    wait_until(lambda: seen(lambda view: view.positions and view.positions[0].stop_state == "ok"), 60.0)
    runtime.send(ClosePosition(symbol=SYMBOL))
    wait_until(lambda: seen(lambda _: all(hits for _, hits in hostile.faults.seen())), 60.0)
    runtime.stop()
    assert runtime.join(20.0)
    failed = runtime.failed

    shown = [failed, *capfd.readouterr(), *map(repr, pictures[-50:])]
    for picture in (pictures[len(pictures) // 2], pictures[-1]):
        async with cockpit(picture, size=(120, 40)) as driven:
            shown += [driven.text, driven.app.export_screenshot()]
            await driven.press("5")
            shown += [driven.text]
    files = [path for path in (*state.rglob("*"), tape) if path.is_file()]
    found = {path.name: path.read_bytes() for path in files if path != line}
    log = found["nexus.log"].decode()
    assert "planted in a turn" in log and "planted in the feed" in log and "Traceback" in log
    assert {"journal.db", "tape"} <= found.keys()
    assert "bad request: X-MBX-APIKEY: ***" in "".join(shown)
    struck = {fault.on: hits for fault, hits in hostile.faults.seen() if not hits}
    assert not struck, f"these did not fail: {struck}"
    for secret in (KEY, SECRET, "0123456789abcdef", *filter(None, hostile.listen_keys)):
        assert not [name for name, held in found.items() if secret.encode() in held], secret
        assert not [text for text in shown if secret in text], secret
