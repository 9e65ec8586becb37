"""A start in trouble: it can be ended, it keeps nothing away from what is held, and what is wrong is heard."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from runtime_help import READY_S, ended, started, wait_until

from nexus_engine.model.commands import Halt, SetMode
from nexus_engine.model.config import ConfigError, Directive, load
from nexus_engine.model.facts import OrderIntended
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.orders import Order, client_id
from nexus_engine.model.paths import journal_path
from nexus_engine.model.ports import Sink
from nexus_engine.model.turn import Turn
from nexus_engine.model.view import View, ViewRequest
from nexus_engine.model.words import AccountKind, Latch, Leg, Mode, OrderKind, Side, TradingState
from nexus_engine.runtime import Options, Runtime, memory
from nexus_engine.runtime.client import NoAnswer, ask
from nexus_engine.runtime.uplinks import Address, Need, Uplink, connect_binance
from nexus_engine.store.sqlite import SqliteJournal


def view_when(runtime: Runtime, holds: Callable[[View], object]) -> View:
    def held() -> bool:
        view = runtime.pull(ViewRequest(events=200))
        return view is not None and bool(holds(view))

    wait_until(held)
    view = runtime.pull(ViewRequest(events=200))
    assert view is not None
    return view


def tradable(runtime: Runtime) -> set[bool]:
    assert runtime._account is not None and runtime._account._engine is not None
    return {state.instrument.trading for state in runtime._account._engine.market.symbols.values()}


def test_a_start_that_waits_answers_and_ends_when_it_is_asked_to_over_the_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    read = memory.open_whole

    def slow(path: Path) -> Any:
        go_on.wait(READY_S)
        return read(path)

    monkeypatch.setattr(memory, "open_whole", slow)
    runtime = Runtime(Options(state=tmp_path, scenario="calm"))
    runtime.start()

    def answers() -> bool:
        try:
            return bool(ask(runtime.folder, {"op": "status"})["status"]["progress"] == "reading the journal")
        except NoAnswer:
            return False

    wait_until(answers, READY_S)
    assert ask(runtime.folder, {"op": "stop"}) == {"ok": True}
    go_on.set()
    assert runtime.join(10.0)
    assert (runtime.failed, runtime.ready.is_set()) == ("", False)


def test_a_symbol_that_the_venue_does_not_list_ends_the_start_in_one_line(tmp_path: Path) -> None:
    directive = Directive.model_validate({"binance": {"symbols": ["BTCUSDT", "FOOUSDT"]}})
    runtime = Runtime(Options(state=tmp_path, scenario="calm", directive=directive))
    runtime.start()
    assert runtime.join(READY_S)
    assert runtime.failed == "binance.symbols: the venue does not list FOOUSDT"
    with closing(SqliteJournal.open(journal_path(runtime.folder))) as journal:
        assert Ledger().fold(journal.facts()).ended  # a mistake in the directive is no crash


async def test_a_symbol_that_is_gone_while_something_of_ours_is_left_on_it_is_not_traded_and_the_rest_is(
    tmp_path: Path,
) -> None:
    directive = Directive.model_validate({"binance": {"symbols": ["BTCUSDT", "FOOUSDT"]}})
    runtime = Runtime(Options(state=tmp_path, scenario="calm", directive=directive))
    journal = SqliteJournal.open(runtime.folder / "journal.db")
    epoch = journal.claim("main", AccountKind.DEMO)
    left = Order(
        client_id=client_id(journal.instance, epoch, 1, Leg.ENTRY, 1),
        symbol="FOOUSDT", side=Side.BUY, kind=OrderKind.MARKET, leg=Leg.ENTRY, intent=1, qty=Decimal(1),
        created_ns=1, changed_ns=1,
    )  # fmt: skip
    await journal.append([OrderIntended(at_ns=1, order=left)])
    journal.close()
    runtime.start()
    assert await asyncio.to_thread(runtime.ready.wait, READY_S), runtime.failed
    view = await asyncio.to_thread(view_when, runtime, lambda view: "FOOUSDT" in view.problem)
    assert [row.symbol for row in view.watch] == ["BTCUSDT"]
    await asyncio.to_thread(wait_until, lambda: tradable(runtime) == {True})
    await asyncio.to_thread(ended, runtime)


def test_margin_and_leverage_keep_entries_away_and_nothing_else(tmp_path: Path) -> None:
    ready = threading.Event()

    async def connect(directive: Directive, where: Address, need: Need, clock: Any) -> Uplink:
        uplink: Any = await connect_binance(directive, where, need, clock)
        prepare = uplink.prepare

        async def slow(sink: Sink) -> None:
            if not ready.is_set():
                raise OSError("a network that is not there")
            await prepare(sink)

        uplink.prepare = slow
        found: Uplink = uplink
        return found

    runtime = Runtime(Options(state=tmp_path, scenario="calm"), connect)
    runtime.start()
    assert runtime.ready.wait(READY_S), runtime.failed
    view = view_when(runtime, lambda view: "no entries yet" in view.problem)
    assert any(row.text.startswith("reconciled") for row in view.events)
    assert tradable(runtime) == {False}
    ready.set()
    view_when(runtime, lambda view: "no entries yet" not in view.problem)
    wait_until(lambda: tradable(runtime) == {True})
    ended(runtime)


def test_halt_is_taken_however_many_commands_wait_for_the_start(tmp_path: Path) -> None:
    runtime = Runtime(Options(state=tmp_path, scenario="calm"))
    runtime.start()
    for _ in range(30):
        runtime.send(SetMode(mode=Mode.WATCHER))
    for _ in range(30):
        runtime.send(Halt(reason="now"))
    assert runtime.ready.wait(READY_S), runtime.failed
    assert runtime._account is not None and len(runtime._account._early) == 21
    assert view_when(runtime, lambda view: view.account.mode is Mode.WATCHER).account.state is TradingState.HALTED
    ended(runtime)


def test_an_engine_that_failed_is_heard_of_and_what_was_said_is_there_again_after_a_restart(tmp_path: Path) -> None:
    runtime = started(Options(state=tmp_path, scenario="calm", read_only=True))
    assert runtime._account is not None and runtime._account._engine is not None
    manager = runtime._account._engine.manager

    def breaks(turn: Turn) -> None:
        del manager.pulse
        raise ZeroDivisionError

    manager.pulse = breaks  # type: ignore[method-assign]
    told = "the engine failed on TimerFired; see the log"
    view = view_when(runtime, lambda view: view.problem == told)
    assert [row.by for row in view.events if row.text == told] == ["carrier"]
    refused = ask(runtime.folder, {"op": "stop", "how": "flatten"})
    assert "--read-only" in refused["error"]
    assert "error" in ask(runtime.folder, {"op": "stop", "how": "at once"})
    ask(runtime.folder, {"op": "halt"})
    assert ask(runtime.folder, {"op": "stop"}) == {"ok": True}
    assert runtime.join(15.0)

    again = started(Options(state=tmp_path, scenario="calm"))
    view = view_when(again, lambda view: view.events)
    assert [row.by for row in view.events if row.text == told] == ["carrier"]
    assert [latch.latch for latch in view.account.latches] == [Latch.HALT]
    ended(again)


def test_a_swan_that_nobody_watches_is_a_mistake_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "nexus.toml"
    path.write_text('[binance]\nsymbols = ["SOLUSDT"]\n')
    with pytest.raises(ConfigError, match="swan_symbol = 'BTCUSDT'") as caught:
        load(path)
    assert "\n" not in str(caught.value)
    path.write_text('[binance]\nsymbols = ["SOLUSDT"]\n[shield]\nswan_symbol = "SOLUSDT"\n')
    assert load(path).shield.swan_symbol == "SOLUSDT"
