"""How an account starts, is refused, is restarted and ends."""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from runtime_help import READY_S, ended, started, view_of, wait_until

from nexus_engine.model.commands import Halt, SetMode
from nexus_engine.model.config import Directive
from nexus_engine.model.orders import ExitPlan
from nexus_engine.model.paths import latch_path
from nexus_engine.model.positions import Position
from nexus_engine.model.view import ViewRequest
from nexus_engine.model.words import AccountKind, Latch, Mode, TradingState
from nexus_engine.runtime import AccountBusy, Options, Runtime, StartError, StateError, check, with_key
from nexus_engine.runtime.client import UNANSWERED, NoAnswer, ask, asked, halt
from nexus_engine.runtime.uplinks import Uplink, address, connect_binance
from nexus_engine.store.sqlite import SqliteJournal
from nexus_engine.uplink.binance.broker import BinanceBroker
from nexus_engine.uplink.binance.settings import UplinkError
from nexus_tui.__main__ import _end

ROOT = Path(__file__).resolve().parents[2]
HELD = Position(
    symbol="BTCUSDT",
    intent=1,
    qty=Decimal("0.042"),
    entry=Decimal("96000.0"),
    strategy="",
    by="you",
    plan=ExitPlan(stop=Decimal("95000.0")),
    first_stop=Decimal("95000.0"),
    opened_ns=1,
)


def test_a_second_engine_on_an_account_is_refused_by_the_first_ones_process(demo: Runtime) -> None:
    with pytest.raises(AccountBusy) as busy:
        Runtime(demo.options)
    assert busy.value.pid == os.getpid()


def test_pull_never_waits_and_views_come_at_most_ten_a_second(demo: Runtime) -> None:
    first = view_of(demo)
    wait_until(lambda: (view := demo.pull(ViewRequest())) is not None and view.seq >= first.seq + 5)
    last = demo.pull(ViewRequest())
    assert last is not None
    assert (last.at_ns - first.at_ns) / 1e9 >= 0.095 * (last.seq - first.seq)


def test_halt_asked_before_the_engine_runs_holds_and_survives_the_restart(tmp_path: Path) -> None:
    runtime = Runtime(Options(state=tmp_path, scenario="calm"))
    runtime.start()
    runtime.send(Halt(reason="at once"))
    assert runtime.ready.wait(READY_S), runtime.failed
    view = view_of(runtime)
    assert view.account.state is TradingState.HALTED
    ended(runtime)
    journal = SqliteJournal.open(runtime.folder / "journal.db")
    instance, facts = journal.instance, list(journal.facts())
    journal.close()
    assert facts

    again = started(Options(state=tmp_path, scenario="calm", read_only=True))
    assert [latch.latch for latch in view_of(again).account.latches] == [Latch.HALT]
    again.send(SetMode(mode=Mode.WATCHER))  # read-only: not taken
    assert view_of(again).account.mode is Mode.COPILOT
    ended(again)
    journal = SqliteJournal.open(again.folder / "journal.db")
    assert journal.instance == instance
    assert journal.claim("main", AccountKind.DEMO) == 3
    journal.close()


def by_file(folder: Path) -> None:
    latch_path(folder).touch()


def by_cockpit(folder: Path) -> None:
    assert halt(folder, "you").startswith(UNANSWERED)


@pytest.mark.parametrize(
    ("leave", "by", "reason"),
    [
        (by_file, "nexus kill", "asked by nexus kill"),
        (by_cockpit, "you", "asked in a cockpit that no engine answered"),
    ],
)
def test_a_latch_left_before_the_start_halts_before_anything_can_leave(
    tmp_path: Path, leave: Callable[[Path], None], by: str, reason: str
) -> None:
    runtime = Runtime(Options(state=tmp_path, scenario="calm"))
    leave(runtime.folder)
    runtime.start()
    assert runtime.ready.wait(READY_S), runtime.failed
    account = view_of(runtime).account
    assert account.state is TradingState.HALTED
    assert [(latch.by, latch.reason) for latch in account.latches] == [(by, reason)]
    ended(runtime)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", ("nexus kill", "asked by nexus kill")),
        (b"nexus kill\n", ("nexus kill", "asked by nexus kill")),
        (b"\xff\nasked\nby\n", ("\N{REPLACEMENT CHARACTER}", "asked")),
        (b"you\n", ("you", "asked by you")),
        (b"\x1b[2Jeve" + b"x" * 1_000 + b"\n\x07\n", ("?[2Jeve" + "x" * 57, "?")),
    ],
)
def test_whatever_a_latch_says_it_is_one_and_its_words_are_plain(
    tmp_path: Path, content: bytes, said: tuple[str, str]
) -> None:
    latch = tmp_path / "halt"
    latch.write_bytes(content)
    assert asked(latch) == said
    latch.unlink()
    latch.mkdir()
    assert asked(latch) == ("nexus kill", "asked by nexus kill")


def test_a_start_can_be_given_up_and_leaves_the_account_free(tmp_path: Path) -> None:
    runtime = Runtime(Options(state=tmp_path))
    runtime.start()
    wait_until(lambda: runtime.progress == "demo venue starting", READY_S)
    runtime.stop()
    assert runtime.join(10.0)
    assert runtime.failed == ""
    assert not _children(runtime.folder)
    Runtime(Options(state=tmp_path))._lock.release()


def test_a_directive_of_another_venue_and_missing_keys_end_the_start_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    monkeypatch.delenv("NEXUS_BINANCE_API_KEY", raising=False)
    missing = Directive.model_validate({"demo": {"venue": str(tmp_path / "nothing")}})
    for options, told in (
        (Options(state=tmp_path, directive=missing), "demo.venue"),
        (Options(state=tmp_path, kind=AccountKind.TESTNET), "NEXUS_BINANCE_API_KEY"),
        (Options(state=tmp_path, config=tmp_path / "no.toml"), "no.toml"),
        (Options(state=tmp_path, scenario="calm", record=tmp_path / "no" / "where"), "no/where"),
    ):
        runtime = Runtime(options)
        runtime.start()
        assert runtime.join(READY_S)
        assert told in runtime.failed
        assert "\n" not in runtime.failed
        assert not runtime.ready.is_set()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (Options(kind=AccountKind.TESTNET, seed=1), "--seed"),
        (Options(scenario="riot"), "unknown scenario 'riot'; known: "),
        (Options(seed=-1), "--seed -1"),
        (Options(speed=0.0), "--speed 0"),
        (Options(speed=float("nan")), "--speed nan"),
        (Options(replay=Path("nothing.gz")), "nothing.gz"),
        (Options(record=Path("no/where/rec")), "no/where/rec"),
    ],
)
def test_bad_options_are_told_early_in_one_line(options: Options, told: str) -> None:
    with pytest.raises(StartError) as error:
        check(options)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_state_folder_that_cannot_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="cannot be created"):
        Runtime(Options(state=tmp_path / "file" / "state"))


def test_the_environment_forgets_keys_once_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXUS_BINANCE_API_KEY", "key-1")
    monkeypatch.setenv("NEXUS_BINANCE_API_SECRET", "secret-1")
    options = with_key(Options(state=tmp_path, kind=AccountKind.TESTNET))
    found = address(options.resolve(), options.key)
    assert found.api_secret.reveal() == "secret-1"
    assert "secret-1" not in repr(found)
    assert not {"NEXUS_BINANCE_API_KEY", "NEXUS_BINANCE_API_SECRET"} & set(os.environ)


@pytest.mark.parametrize("how", ["flatten", "quit"])
def test_a_flatten_on_the_way_out_that_did_not_succeed_is_said(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("_FLATTEN_S", "_CALM_S", "_DRAIN_S"):
        monkeypatch.setattr(f"nexus_engine.runtime.account.{name}", 0.2)
    runtime = started(Options(state=tmp_path, scenario="calm"))
    (venue,) = _children(runtime.folder)
    os.kill(venue, signal.SIGSTOP)
    account = runtime._account
    assert account is not None
    account._ledger.positions["BTCUSDT"] = HELD
    carrier = account._carrier
    assert carrier is not None
    take, entries = carrier.command, []

    def flattened(*command: Any, **more: Any) -> None:
        entries.append(carrier.entries)
        take(*command, **more)

    monkeypatch.setattr(carrier, "command", flattened)
    runtime.stop(how)
    assert runtime.join(15.0)
    assert entries == ([False] if how == "flatten" else []), "nothing new may be entered while it flattens"
    assert _end(runtime) == (how == "flatten")
    said = capsys.readouterr().err
    assert ("not flat" in said and "BTCUSDT 0.042, stop 95000.0" in said) == (how == "flatten")


def test_flatten_and_quit_of_a_start_that_waits_for_its_venue_says_that_nothing_was_closed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = threading.Event()

    async def connect(*given: Any) -> Uplink:
        uplink = await connect_binance(*given)

        async def nobody(sink: Any) -> tuple[str, ...]:
            asked.set()
            raise UplinkError("nobody there")

        uplink.introduce = nobody  # type: ignore[method-assign]
        return uplink

    runtime = Runtime(Options(state=tmp_path, scenario="calm"), connect)
    runtime.start()
    assert asked.wait(READY_S)
    assert runtime._account is not None
    runtime._account._ledger.positions["BTCUSDT"] = HELD
    runtime.stop("flatten")
    assert runtime.join(15.0)
    assert _end(runtime) == 1
    assert "nothing was sent before the start was over: BTCUSDT 0.042" in capsys.readouterr().err


def test_flatten_and_quit_by_who_may_not_leaves_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    people = Directive.model_validate({"people": {"cy": {"role": "viewer"}, "ana": {"role": "owner"}}})
    runtime = started(Options(state=tmp_path, scenario="calm", directive=people, person="cy"))
    runtime.stop("flatten")
    assert runtime.join(15.0)
    assert _end(runtime) == 1
    assert "nothing was closed: flatten refused: cy is a viewer" in capsys.readouterr().err


def test_the_venue_is_set_to_the_leverage_that_a_card_shows(demo: Runtime) -> None:
    account = demo._account
    assert account is not None and account._uplink is not None and account._engine is not None
    broker = account._uplink.broker
    assert isinstance(broker, BinanceBroker)
    assert broker._settings.leverage == account._engine.directive.risk.leverage == 2


# ---- the venue's process ---------------------------------------------------------------------------------------------


def test_a_venue_that_dies_is_started_again_on_the_same_books(tmp_path: Path) -> None:
    runtime = started(Options(state=tmp_path, scenario="calm"))
    (venue,) = _children(runtime.folder)
    os.kill(venue, signal.SIGKILL)
    wait_until(lambda: "venue" in view_of(runtime).problem)
    wait_until(lambda: _children(runtime.folder) not in ([], [venue]))
    wait_until(lambda: "venue" not in view_of(runtime).problem, 20.0)
    wait_until(lambda: all(feed.up for feed in view_of(runtime).feeds), 20.0)
    ended(runtime)


def test_a_demo_whose_books_were_lost_says_that_a_new_account_began(tmp_path: Path) -> None:
    def events() -> str:
        return " ".join(event.text for event in view_of(runtime).events)

    runtime = started(Options(state=tmp_path, scenario="calm"))
    assert "new practice account" not in events()
    ended(runtime)
    runtime = started(Options(state=tmp_path, scenario="calm"))
    assert "new practice account" not in events()
    ended(runtime)
    (runtime.folder / "venue" / "venue.json").write_text("{")
    runtime = started(Options(state=tmp_path, scenario="calm"))
    assert "new practice account" in events()
    ended(runtime)


def test_the_venue_dies_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    engine, venue = _headless(tmp_path)
    engine.kill()
    engine.wait()
    wait_until(lambda: not _alive(venue), 5.0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_headless_engine_asked_to_end_leaves_in_order_and_a_hangup_does_not_end_it(
    tmp_path: Path, number: signal.Signals
) -> None:
    engine, venue = _headless(tmp_path)
    engine.send_signal(signal.SIGHUP)
    assert ask(tmp_path / "main-demo", {"op": "status"}, within_s=5.0)
    engine.send_signal(number)
    assert engine.wait(15) == 0
    assert not _alive(venue)
    with pytest.raises(NoAnswer):
        ask(tmp_path / "main-demo", {"op": "status"})


def _headless(state: Path) -> tuple["subprocess.Popen[bytes]", int]:
    command = [sys.executable, "-m", "nexus_tui", "--headless", "--state", str(state), "--scenario", "calm"]
    engine = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)

    def running() -> bool:
        assert engine.poll() is None
        try:
            return bool(ask(state / "main-demo", {"op": "status"})["status"]["state"])
        except NoAnswer:
            return False

    wait_until(running, READY_S)
    (venue,) = _children(state / "main-demo")
    return engine, venue


def _children(folder: Path) -> list[int]:
    """The venues that keep their books in an account's folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if f"{folder}/venue" in entry.joinpath("cmdline").read_text():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def _alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_an_engine_that_nobody_looks_at_enters_nothing_and_a_status_bar_is_nobody(tmp_path: Path) -> None:
    directive = Directive.model_validate({"account": {"unattended_min": 0.04}})
    runtime = started(Options(state=tmp_path, scenario="calm", directive=directive))
    try:
        wait_until(lambda: "unattended" in ask(runtime.folder, {"op": "status"})["status"]["blocked"])
        wait_until(lambda: "unattended" not in view_of(runtime).account.blocked)
    finally:
        ended(runtime)
