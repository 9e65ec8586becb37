"""A live account that systemd starts: nobody types a thing. It protects what is held, and enters nothing."""

import asyncio
import socket
import threading
from decimal import Decimal
from pathlib import Path

import pytest
from test_kinds import directive, running, seen, until
from venue_host import KEY, SECRET, Host, host

from nexus_engine.credentials import CREDENTIAL
from nexus_engine.model.commands import Adopt, SetMode
from nexus_engine.model.secret import Secret
from nexus_engine.model.words import AccountKind, Mode
from nexus_engine.runtime import Options, Runtime, Supervisor, with_key
from nexus_engine.runtime.client import ask
from nexus_engine.sim.orders import NewOrder
from nexus_engine.vault import ApiKey, Vault
from nexus_tui.__main__ import main

SYMBOL = "BTCUSDT"
PHRASE = "correct horse battery"
PEOPLE = {"ana": {"role": "owner"}, "cy": {"role": "viewer", "voice": "deadpan"}}


@pytest.fixture
def sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder with a vault; its passphrase is a credential of the service."""
    state, credentials = tmp_path / "state", tmp_path / "credentials"
    state.mkdir(mode=0o700)
    credentials.mkdir(mode=0o700)
    key = ApiKey(name="real", kind=AccountKind.LIVE, api_key=Secret(KEY), secret=Secret(SECRET))
    Vault.create(state / "vault", Secret(PHRASE), work=2).add(key)
    (credentials / CREDENTIAL).write_text(f"{PHRASE}\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    monkeypatch.setattr("sys.stdin", None)
    return state


def options(venue: Host, state: Path) -> Options:
    told = directive(venue, AccountKind.LIVE, people=PEOPLE)
    return with_key(Options(kind=AccountKind.LIVE, state=state, directive=told, person="ana"))


def by_hand(venue: Host) -> None:
    """A person buys on the venue's own page."""
    order = NewOrder(symbol=SYMBOL, side="BUY", type="MARKET", quantity=Decimal("0.010"), client_id="web_1")
    venue.venue.account.place(order, venue.venue.market.now_ns // 1_000_000, venue.venue)


async def test_it_protects_at_once_feeds_the_watchdog_and_stays_locked(sealed: Path) -> None:
    async with host() as venue:
        by_hand(venue)
        async with running(options(venue, sealed)) as runtime:
            view = await seen(runtime, lambda view: view.differences and view.differences[0].price)
            found = view.differences[0]
            adopt = Adopt(symbol=SYMBOL, qty=found.foreign, stop=Decimal(round(found.price * 0.97)))
            while not (await seen(runtime, lambda view: True)).positions:
                runtime.send(adopt)  # refused until the venue has told a mark
                await asyncio.sleep(0.2)
            await seen(runtime, lambda view: [each for each in view.positions if each.stop_state == "ok"])
        conditionals = venue.venue.account.conditionals
        for algo in list(conditionals.open.values()):
            conditionals.cancel(algo.algo_id, None, 1)
        assert not conditionals.open
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(sealed / "notify"))
            manager.setblocking(False)
            runtime = Runtime(options(venue, sealed))
            runtime.supervisor = Supervisor(str(sealed / "notify"), 300_000)
            runtime.start()
            try:
                await until(lambda: conditionals.open, 30.0)
                ok = await seen(runtime, lambda view: [one for one in view.positions if one.stop_state == "ok"])
                assert [(algo.symbol, algo.side_buy) for algo in conditionals.open.values()] == [(SYMBOL, False)]
                assert ok.account.lease_ms == 0 and ok.account.blocked
                await seen(runtime, lambda view: "LIVE entries are locked; `unlock`" in view.account.blocked)
                await until(lambda: "STATUS=runs" in heard(manager))
                assert said[0].startswith("STATUS=") and said.count("READY=1") == 1
                assert said.index("READY=1") < said.index("WATCHDOG=1")
                await a_stuck_loop_starves_the_watchdog(runtime, manager)
            finally:
                runtime.stop()
                assert await asyncio.to_thread(runtime.join, 15.0)
            assert heard(manager)[-1] == "STOPPING=1"


said: list[str] = []


def heard(manager: socket.socket) -> list[str]:
    """All that the service has told so far."""
    while True:
        try:
            said.append(manager.recv(4096).decode())
        except BlockingIOError:
            return said


async def a_stuck_loop_starves_the_watchdog(runtime: Runtime, manager: socket.socket) -> None:
    stuck, free = threading.Event(), threading.Event()

    def hang() -> None:
        stuck.set()
        free.wait(10.0)

    assert runtime._loop is not None
    runtime._loop.call_soon_threadsafe(hang)
    await asyncio.to_thread(stuck.wait, 5.0)
    fed = heard(manager).count("WATCHDOG=1")
    await asyncio.sleep(0.5)  # the whole of the watchdog's time, and more
    assert heard(manager).count("WATCHDOG=1") == fed
    free.set()
    await until(lambda: heard(manager).count("WATCHDOG=1") > fed)


async def test_over_the_socket_each_is_who_they_say_and_hears_their_own_voice(sealed: Path) -> None:
    async with host() as venue, running(options(venue, sealed)) as runtime:
        folder = runtime.folder
        view = await seen(runtime, lambda view: any(row.text.startswith("reconciled:") for row in view.events))
        assert not any(row.before or row.after for row in view.events)
        down = {"type": "SetMode", "mode": "WATCHER"}
        assert await asyncio.to_thread(ask, folder, {"op": "send", "command": down, "by": "cy"}) == {"ok": True}
        refused = "mode down refused: cy is a viewer; it takes a trader"
        view = await seen(runtime, lambda view: any(row.text == refused for row in view.events))
        assert view.outcome is None and [row.by for row in view.events if row.text == refused] == ["cy"]
        answer = await asyncio.to_thread(ask, folder, {"op": "view", "request": {"events": 50}, "by": "cy"})
        rows = [row for row in answer["view"]["events"] if row["text"].startswith("reconciled:")]
        assert rows and all(row["after"] or row["before"] for row in rows)
        assert answer["view"]["outcome"]["text"] == refused
        for by in ("cy", "root", "you"):
            answer = await asyncio.to_thread(ask, folder, {"op": "stop", "how": "quit", "by": by})
            assert "quit refused: " in answer["error"]
        runtime.send(SetMode(mode=Mode.WATCHER))
        view = await seen(runtime, lambda view: view.account.mode is Mode.WATCHER)
        assert any((row.by, row.text) == ("ana", "mode WATCHER") for row in view.events)
        assert await asyncio.to_thread(ask, folder, {"op": "halt"}) == {"ok": True}


@pytest.mark.parametrize(
    ("phrase", "told"),
    [
        (None, "no terminal to ask for the passphrase: use --passphrase-fd, or a systemd credential nexus-vault"),
        (b"", "credential nexus-vault: holds no passphrase"),
        (b"\xff\xfe", "credential nexus-vault: holds no passphrase"),
        (b"something else\n", "wrong passphrase"),
    ],
)
def test_a_passphrase_that_cannot_be_had_ends_the_start_in_one_line(
    sealed: Path, phrase: bytes | None, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = sealed.parent / "credentials" / CREDENTIAL
    file.unlink() if phrase is None else file.write_bytes(phrase)
    assert main(["--headless", "--live", "--state", str(sealed)]) == 2
    err = capsys.readouterr().err
    assert told in err and err.count("\n") == 1 and err.startswith("nexus: ")
    assert "Traceback" not in err and PHRASE not in err
