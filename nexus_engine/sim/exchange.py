"""`nexus exchange`: the practice venue as a process of its own, for the demo and for any client.

Prints one JSON line when it is ready. Ends on SIGTERM, SIGINT, or when its parent's end of `--parent-fd` closes, which
happens also when the parent is killed.
"""

import argparse
import asyncio
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import msgspec
from aiohttp import web
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from nexus_engine.sim.faults import FaultFileError, Faults, manual
from nexus_engine.sim.faults import load as load_faults
from nexus_engine.sim.keys import load_public
from nexus_engine.sim.ledger import Ledger
from nexus_engine.sim.market import Market
from nexus_engine.sim.replay import Player, RecordingError, ReplayMarket, ReplayVenue
from nexus_engine.sim.replay import load as load_recording
from nexus_engine.sim.scenarios import SCENARIOS, aligned_start
from nexus_engine.sim.server import Server
from nexus_engine.sim.streams import RECORDED_KINDS, TICK_MS
from nexus_engine.sim.venue import Venue
from nexus_engine.sim.wire import MS

HOST = "127.0.0.1"
STATE_FILE = "venue.json"
STATE_VERSION = 1
KEPT_ROWS = 500
FASTEST = 1000.0
KEEP_S = 5.0
"""How often the market's prices and time are stored while nothing happens on the account."""
ALIGNED_NS = 300_000_000_000


class ExchangeError(ValueError):
    """The venue cannot start; the message is one line that says why."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    port: int = 0
    scenario: str = "calm"
    replay: Path | None = None
    seed: int = 1
    speed: float = 1.0  # of market time; inf plays a recording as fast as its clients read
    faults: Path | None = None
    state: Path | None = None
    parent_fd: int | None = None
    public_key: Path | None = None


class Kept(msgspec.Struct, kw_only=True):
    """What a venue keeps between two lives. `prices` are the market's, in USDT, at `market_ns` of its own time."""

    version: int = STATE_VERSION
    api_key: str = msgspec.field(default_factory=lambda: secrets.token_hex(32))
    api_secret: str = msgspec.field(default_factory=lambda: secrets.token_hex(32))
    prices: dict[str, float] = {}
    market_ns: int = 0
    ledger: Ledger = msgspec.field(default_factory=Ledger)


def load_state(folder: Path) -> Kept | None:
    """The kept account, None for a new one. A file that cannot be read is moved aside, which is said on stderr."""
    path = folder / STATE_FILE
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        kept = msgspec.json.decode(raw, type=Kept)
        if kept.version == STATE_VERSION:
            return kept
        reason = f"it has version {kept.version}, this program knows {STATE_VERSION}"
    except msgspec.DecodeError as error:
        reason = str(error)
    aside = path.with_name(f"{STATE_FILE}.{time.time_ns() // MS}.bad")
    path.rename(aside)
    print(f"nexus exchange: {STATE_FILE} moved to {aside.name}: {reason}; a new account begins", file=sys.stderr)
    return None


def save_state(folder: Path, kept: Kept) -> None:
    """Replace the file whole, readable by its owner only."""
    path = folder / STATE_FILE
    fresh = folder / f"{STATE_FILE}.new"
    raw = msgspec.json.encode(msgspec.structs.replace(kept, ledger=kept.ledger.trimmed(KEPT_ROWS)))
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(raw)
    fresh.replace(path)


class _Keeper:
    """Stores the account after every change. A folder that cannot be written stops a start, not a running venue."""

    def __init__(self, folder: Path, kept: Kept, venue: Venue) -> None:
        self._folder, self._kept, self._venue = folder, kept, venue
        self._failing = False
        self._save()

    def _save(self) -> None:
        market = self._venue.market
        self._kept.prices = market.prices() or self._kept.prices
        self._kept.market_ns = market.now_ns
        save_state(self._folder, self._kept)

    def __call__(self) -> None:
        try:
            self._save()
            self._failing = False
        except OSError as error:
            if not self._failing:
                print(f"nexus exchange: the account is not kept: {error.strerror}", file=sys.stderr)
            self._failing = True


def _keep_nothing() -> None:
    """Without a state folder an account lives as long as its venue."""


def _watch_parent(descriptor: int, stop: asyncio.Event) -> None:
    """Stop at EOF of an inherited pipe."""
    loop = asyncio.get_running_loop()

    def readable() -> None:
        if not os.read(descriptor, 4096):
            loop.remove_reader(descriptor)
            stop.set()

    loop.add_reader(descriptor, readable)


async def run(options: Options) -> int:
    """Serve until told to stop; ExchangeError, FaultFileError or RecordingError when it cannot start."""
    faults = load_faults(options.faults) if options.faults else Faults()
    kept: Kept | None = None
    if options.state:
        try:
            options.state.mkdir(parents=True, exist_ok=True)
            kept = load_state(options.state)
        except OSError as error:
            raise ExchangeError(f"--state {options.state}: {error.strerror}") from error
    account = "new" if kept is None else "kept"
    kept = kept or Kept()
    venue = _venue(options, kept)
    store: Callable[[], None] = _keep_nothing
    if options.state:
        try:
            store = _Keeper(options.state, kept, venue)
        except OSError as error:
            raise ExchangeError(f"--state {options.state}: {error.strerror}") from error

    tick_ns = 0 if options.replay else int(options.speed * TICK_MS * MS)

    def drive() -> None:
        if tick_ns:
            venue.advance(tick_ns, time.time_ns())
        else:
            venue.settle(time.time_ns())

    server = Server(
        venue, api_key=kept.api_key, api_secret=kept.api_secret, drive=drive, store=store, faults=faults,
        recorded=RECORDED_KINDS if options.replay else frozenset(), public_key=_public_key(options),
    )  # fmt: skip
    return await _serve(options, server, kept, account, store)


def _public_key(options: Options) -> Ed25519PublicKey | None:
    if options.public_key is None:
        return None
    try:
        return load_public(options.public_key.read_bytes())
    except OSError as error:
        raise ExchangeError(f"--public-key {options.public_key}: {error.strerror}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ExchangeError(f"--public-key {options.public_key}: not an Ed25519 public key in PEM") from error


def _venue(options: Options, kept: Kept) -> Venue:
    if options.replay:
        return ReplayVenue(ReplayMarket(load_recording(options.replay)), kept.ledger)
    # A market that ran fast is ahead of the clock: it goes on from there, since time never runs backwards for a client.
    start_ns = aligned_start(max(time.time_ns(), kept.market_ns + ALIGNED_NS if kept.market_ns else 0))
    try:
        market = Market(seed=options.seed, scenario=options.scenario, start_ns=start_ns, opening=kept.prices)
    except ValueError as error:
        raise ExchangeError(f"--scenario: {error}") from error
    return Venue(market, kept.ledger)


async def _keep(store: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(KEEP_S)
        store()


async def _serve(options: Options, server: Server, kept: Kept, account: str, store: Callable[[], None]) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if options.parent_fd is not None:
        _watch_parent(options.parent_fd, stop)
    runner = web.AppRunner(server.app(), access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, options.port).start()
    except OSError as error:
        await runner.cleanup()
        raise ExchangeError(f"--port {options.port}: {os.strerror(error.errno or 0)}") from error
    port = runner.addresses[0][1]
    stopped = asyncio.create_task(stop.wait(), name="stop")
    tasks: set[asyncio.Task[Any]] = {stopped, asyncio.create_task(server.run_clock(), name="clock")}
    tasks.add(asyncio.create_task(_keep(store), name="keep"))
    market = server.venue.market
    if isinstance(market, ReplayMarket):
        tasks.add(asyncio.create_task(Player(market, server.hub, options.speed).run(), name="player"))
    ready = {
        "rest": f"http://{HOST}:{port}", "ws": f"ws://{HOST}:{port}", "api_key": kept.api_key,
        "api_secret": kept.api_secret, "pid": os.getpid(), "account": account,
        "scenario": "replay" if options.replay else options.scenario, "seed": options.seed,
        "speed": "max" if options.speed == float("inf") else options.speed,
    }  # fmt: skip
    if server.keys.ed25519_key:
        ready["ed25519_api_key"] = server.keys.ed25519_key
    print(json.dumps(ready), flush=True)
    try:
        while not stopped.done():
            done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # a recording ends; what else ends has failed, and is raised here
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        server.hub.close_all()
        await runner.cleanup()
        store()
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ExchangeError(message)


def _speed(text: str) -> float:
    speed = float("inf") if text == "max" else float(text)
    if not speed > 0:
        raise ValueError
    return speed


def parse(argv: Sequence[str]) -> Options:
    """Options of a command line; ExchangeError says what is wrong with it."""
    parser = _Parser(
        prog="nexus exchange", description="A loopback Binance USD-M venue to practise on.", epilog=manual(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--port", type=int, default=0, help="TCP port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--scenario", help=f"what the generated market plays (calm): {', '.join(SCENARIOS)}")
    parser.add_argument("--replay", type=Path, help="play this recording instead of a generated market")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speed", type=_speed, default=1.0, help="of market time; 'max' for a recording")
    parser.add_argument("--faults", type=Path, help="TOML file of faults to commit")
    parser.add_argument("--state", type=Path, help="folder that keeps the account")
    parser.add_argument("--public-key", type=Path, help="Ed25519 public key (PEM): a second API key, named when ready")
    parser.add_argument("--parent-fd", type=int, help="end when this inherited descriptor reaches EOF")
    given = parser.parse_args(argv)
    if given.replay and given.scenario:
        raise ExchangeError("--replay and --scenario exclude each other")
    if not given.replay and given.speed > FASTEST:
        raise ExchangeError(f"--speed of a generated market: allowed are numbers up to {FASTEST:g}")
    if not 0 <= given.port < 1 << 16:
        raise ExchangeError(f"--port {given.port}: allowed are 0 to 65535")
    values = {name: value for name, value in vars(given).items() if value is not None}
    return Options(**values)


def main(argv: Sequence[str] | None = None) -> int:
    """The command: 0 after a clean end, 2 with one line on stderr when it could not start."""
    try:
        options = parse(sys.argv[1:] if argv is None else argv)
        return asyncio.run(run(options))
    except ExchangeError as error:
        reason = str(error)
    except FaultFileError as error:
        reason = f"--faults: {error}"
    except RecordingError as error:
        reason = f"--replay: {error}"
    print(f"nexus exchange: {reason}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
