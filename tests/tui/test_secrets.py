"""A planted key, its secret and the passphrase of the vault that it came from, and everything that can fail, failing:
none of them is anywhere that a person or a file shows.

The venue repeats what it was sent in its refusals, pages and messages, as some proxies do.
"""

import asyncio
import io
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from msgspec.structs import replace
from tui_driving import cockpit
from wishes import Wishes

from nexus_engine import keys
from nexus_engine.core.engine import Engine
from nexus_engine.model.commands import ClosePosition
from nexus_engine.model.config import Directive
from nexus_engine.model.view import ViewRequest
from nexus_engine.model.words import AccountKind, Mode, Side
from nexus_engine.runtime import Options, Runtime, with_key
from nexus_engine.runtime.logs import log_to
from nexus_engine.sim.faults import Fault, Faults
from nexus_engine.sim.keys import Keys
from nexus_engine.sim.market import Market
from nexus_engine.sim.server import Server
from nexus_engine.sim.venue import Venue
from nexus_engine.uplink.binance.user import UserFeed
from nexus_engine.vault import Scheme

KEY, SECRET = "CANARY-KEY-7f3a9d" + "k" * 40, "CANARY-SECRET-51c2e8" + "s" * 40
PHRASE, FRESH = "CANARY-phrase correct horse", "CANARY-fresh better battery"
SIGNATURE = "0123456789abcdef"
SYMBOL, READY_S = "SOLUSDT", 30.0


@dataclass
class Planted:
    """What nobody must see; `secret` is what it is signed with: text, or a private key in PEM."""

    key: str
    secret: str

    @property
    def pem(self) -> bool:
        return self.secret.startswith("-----BEGIN")

    @property
    def all(self) -> list[str]:
        lines = [line for line in self.secret.splitlines() if not line.startswith("-")]
        return [self.key, *lines, PHRASE, FRESH, SIGNATURE]


def faults(planted: Planted) -> tuple[Fault, ...]:
    key, secret = planted.key, planted.secret
    echo = f"bad request: X-MBX-APIKEY: {key} secret {secret} ?symbol=SOLUSDT&signature={SIGNATURE}&timestamp=1"
    return (
        Fault(on="POST /fapi/v1/order", kind="refuse", code=-2019, msg=echo),
        Fault(on="POST /fapi/v1/algoOrder", kind="refuse", code=-1102, msg=echo, count=2),
        Fault(on="DELETE /fapi/v1/algoOrder", kind="refuse", code=-1000, msg=echo),
        Fault(on="GET /fapi/v1/openOrders", kind="refuse", code=-1022, msg=echo, after=1),
        Fault(on="GET /fapi/v1/*rder", kind="garbage", body=echo),
        Fault(on="GET /fapi/v3/balance", kind="html"),
        Fault(on="POST /fapi/v1/leverage", kind="refuse", code=-4028, msg=echo),
        Fault(on="POST /fapi/v1/listenKey", kind="refuse", code=-2015, msg=echo),
        Fault(on="user", kind="garbage", body=echo),
        Fault(on="user", kind="numbers", value=secret, match={"e": "ORDER_TRADE_UPDATE"}),
        Fault(on="stream /public", kind="garbage", body=echo, after=20, count=3),
        Fault(on="stream /market", kind="edit", edit={"e": key}, after=20, count=3),
    )


class Hostile:
    """A venue on its own thread. With a private key it knows the account by that one, too."""

    def __init__(self, private: Ed25519PrivateKey | None = None) -> None:
        self.ready = threading.Event()
        self.listen_keys: set[str] = set()
        self._public = None if private is None else private.public_key()
        self.planted = Planted(KEY, SECRET)
        if private is not None:
            pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode().strip()
            self.planted = Planted(Keys(KEY, SECRET, self._public).ed25519_key, pem)
        self.faults = Faults(faults(self.planted))
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
            store=lambda: self.listen_keys.add(server.hub.listen_key), faults=self.faults, public_key=self._public,
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


@pytest.fixture(params=["HMAC", "Ed25519"])
def hostile(request: pytest.FixtureRequest) -> Iterator[Hostile]:
    venue = Hostile(Ed25519PrivateKey.generate() if request.param == "Ed25519" else None)
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


def sealed(root: Path, planted: Planted) -> None:
    """The planted key in a vault, through the command that a person uses; and its passphrase changed."""
    file = root.parent / "key.pem"
    file.write_text(planted.secret)
    sys.stdin = io.StringIO(f"{planted.key}\n")
    try:
        for words, phrases in (
            (("add", "real", "--testnet", "--ed25519", str(file)), (FRESH,)),
            (("passphrase",), (FRESH, PHRASE)),
            (("list",), (FRESH,)),  # which opens it no more
        ):
            fds = [piped(phrase) for phrase in phrases]
            named = [f"{flag}={fd}" for flag, fd in zip(("--passphrase-fd", "--new-passphrase-fd"), fds, strict=False)]
            assert keys.main([*words, "--state", str(root), *named]) == (words == ("list",))
    finally:
        sys.stdin = sys.__stdin__
        file.unlink()


def piped(text: str) -> int:
    read_fd, write_fd = os.pipe()
    os.write(write_fd, text.encode())
    os.close(write_fd)
    return read_fd


async def test_a_planted_key_is_in_no_log_traceback_journal_screen_recording_or_snapshot(
    hostile: Hostile,
    whole_log: logging.Logger,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    wishes, broken = Wishes(), 0
    monkeypatch.setattr("nexus_engine.core.engine.Cortex", lambda *_: wishes)
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
    line, planted = tmp_path / "ready.json", hostile.planted
    rest, ws = f"http://127.0.0.1:{hostile.port}", f"ws://127.0.0.1:{hostile.port}"
    line.write_bytes(msgspec.json.encode({"rest": rest, "ws": ws, "api_key": KEY, "api_secret": SECRET, "pid": 1}))
    directive = Directive.model_validate(
        {
            "demo": {"venue": str(line)},
            "account": {"mode": Mode.PILOT},
            "binance": {"rest_url": rest, "ws_url": ws, "sapi_url": rest},
        }
    )
    state, tape = tmp_path / "state", tmp_path / "tape"
    options = Options(state=state, directive=directive, record=tape)
    if planted.pem:
        sealed(state, planted)
        options = with_key(replace(options, kind=AccountKind.TESTNET), piped(PHRASE))
        assert options.key is not None and options.key.scheme is Scheme.ED25519
    runtime = Runtime(options)
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

    shown = [failed, repr(options), *capfd.readouterr(), *map(repr, pictures[-50:])]
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
    for secret in (*planted.all, *filter(None, hostile.listen_keys)):
        assert not [name for name, held in found.items() if secret.encode() in held], secret
        assert not [text for text in shown if secret in text], secret
