"""The same core on recorded bars: what is filled when and where, what it costs, and that nobody sees the future."""

import json
import math
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from past import MINUTE_NS, PLAIN, SOL, at, bars_of, flat, frame_of, walk, wishes, wishful, written

from nexus_engine.core.engine import Engine
from nexus_engine.lab import backtest, history, report
from nexus_engine.lab.backtest import BacktestOrder, main, run
from nexus_engine.lab.bars import Bars, BarsError
from nexus_engine.lab.drive import Drive
from nexus_engine.lab.record import OPEN, Record
from nexus_engine.lab.result import Result
from nexus_engine.lab.venue import BarVenue
from nexus_engine.model.config import Directive, RiskConfig, ShieldConfig
from nexus_engine.model.facts import DayOpened, LatchSet, Noted, Sealed
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.words import Side
from nexus_engine.sim.account import TAKER_FEE
from nexus_engine.sim.orders import NewAlgo, NewOrder
from nexus_engine.store.recording import EffectsHash

FAST = Directive(
    shield=ShieldConfig(max_spread_bp=50, exit_pause_min=0, stops_window_min=0, low_trades=0, min_day_volume=0),
    strategies={"flow": {"interval": "1h"}, "harpoon": {"interval": "1h", "set": "classic"}},
)


def played(bars: Bars, folder: Path, **more: Any) -> Result:
    order = {"symbol": SOL, "strategy": "flow", "directive": FAST} | more
    return run(BacktestOrder(data=(written(bars, folder / "past.parquet"),), **order))


# ---- where things are filled -----------------------------------------------------------------------------------------


def test_an_entry_is_filled_at_the_next_open_never_at_the_close_that_led_to_it() -> None:
    rows = [(100.0, 100.0, 100.0, 100.0), (100.05, 100.05, 100.05, 100.05), *flat(100.05, 10)]
    drive = wishful(bars_of(rows), [{"side": Side.BUY}])
    trade = drive.record.left_open(0, 100.05)
    assert trade is not None
    # the open, a tick of spread, a tick of slip
    assert trade.entry == pytest.approx(100.07)
    assert trade.opened_ns == at("2024-01-01T01:01") + 150_000_000


def test_an_entry_whose_limit_the_next_open_left_behind_is_not_filled() -> None:
    drive = wishful(bars_of([(100.0, 100.0, 100.0, 100.0), *flat(101.0, 10)]), [{"side": Side.BUY, "limit_pct": 0.2}])
    assert not drive.record.trades
    assert drive.record.left_open(0, 101.0) is None
    assert not drive.wire.busy


def test_a_stop_that_the_price_meets_is_filled_at_it_and_slips() -> None:
    rows = [*flat(100.0, 4), (100.0, 100.0, 98.0, 98.5), *flat(98.5, 4)]
    (trade,) = wishful(bars_of(rows), [{"side": Side.BUY, "target_pct": None}]).record.trades
    assert trade.reason == "stop"
    assert trade.exit == pytest.approx(trade.stop - 0.01)
    assert trade.mae_r == pytest.approx((trade.stop - trade.entry) / (trade.entry - trade.stop), abs=0.02)


def test_a_stop_that_a_gap_jumped_over_is_filled_at_the_open() -> None:
    rows = [*flat(100.0, 4), (95.0, 96.0, 94.0, 95.5), *flat(95.5, 4)]
    for gap in (0, 4):
        (trade,) = wishful(bars_of(rows, gap=gap), [{"side": Side.BUY, "target_pct": None}]).record.trades
        assert trade.exit == pytest.approx(95.0 - 0.01)
        assert trade.r < -4.5


@pytest.mark.parametrize(
    ("side", "touch"), [(Side.BUY, (100.0, 103.0, 98.0, 100.0)), (Side.SELL, (100.0, 102.0, 97.0, 100.0))]
)
def test_a_bar_that_touches_stop_and_target_met_the_stop(side: Side, touch: tuple[float, float, float, float]) -> None:
    (trade,) = wishful(bars_of([*flat(100.0, 4), touch, *flat(100.0, 4)]), [{"side": side}]).record.trades
    assert trade.reason == "stop"


def test_a_target_is_filled_when_the_price_trades_through_and_not_at_a_touch() -> None:
    target = 102.02
    touched = wishful(bars_of([*flat(100.0, 4), (100.0, target, 100.0, 100.0), *flat(100.0, 4)]), [{"side": Side.BUY}])
    assert not touched.record.trades
    through = wishful(
        bars_of([*flat(100.0, 4), (100.0, target + 0.05, 100.0, 100.0), *flat(100.0, 4)]), [{"side": Side.BUY}]
    )
    (trade,) = through.record.trades
    assert (trade.reason, trade.exit) == ("target", pytest.approx(trade.target))
    assert trade.slippage == pytest.approx(float(trade.qty) * 0.01)  # of the entry alone


@pytest.mark.parametrize(("side", "target"), [(Side.BUY, 102.02), (Side.SELL, 98.0)])
def test_a_bar_that_opens_at_a_target_has_not_traded_through_it(side: Side, target: float) -> None:
    rows = flat(100.0, 4) + flat(target, 2)
    drive = wishful(bars_of(rows), [{"side": side, "stop_pct": 4.0}])
    assert drive.wire.venue.lots
    beyond = target + side.sign * 0.01
    (trade,) = wishful(bars_of(rows + flat(beyond, 3)), [{"side": side, "stop_pct": 4.0}]).record.trades
    assert (trade.reason, trade.exit) == ("target", pytest.approx(target))


def test_a_position_is_left_when_its_time_is_over() -> None:
    wish = {"side": Side.BUY, "target_pct": None, "time_stop_ns": 5 * MINUTE_NS}
    (trade,) = wishful(bars_of(flat(100.0, 12)), [wish]).record.trades
    assert trade.reason == "time"
    assert 5 * MINUTE_NS <= trade.closed_ns - trade.opened_ns < 6 * MINUTE_NS


def test_the_black_swan_exits_longs_where_the_sentinel_sees_it_and_nowhere_else() -> None:
    fall = [(100.0, 100.0, 97.5, 97.5), (97.5, 97.5, 95.0, 95.0), (95.0, 95.0, 92.5, 92.5)]
    bars = bars_of([*flat(100.0, 20), *fall, *flat(92.5, 5)])
    wish = {"side": Side.BUY, "stop_pct": 12.0, "target_pct": None}
    (trade,) = wishful(bars, [wish], watched=True).record.trades
    assert trade.reason == "black swan"
    assert 93.5 < trade.exit < 96.0
    assert not wishful(bars, [wish]).record.trades
    short = wish | {"side": Side.SELL}
    assert not wishful(bars, [short], watched=True).record.trades


def venue_with_long(leverage: int, qty: str) -> BarVenue:
    venue = BarVenue(SOL, 100.0, wallet=Decimal(1_000), leverage=leverage, costs=PLAIN)
    venue.account.place(NewOrder(symbol=SOL, side="BUY", type="MARKET", quantity=Decimal(qty), client_id="a"), 0, venue)
    venue.take_events()
    return venue


def test_a_position_is_liquidated_on_the_mark_before_a_stop_that_is_farther() -> None:
    venue = venue_with_long(20, "50")
    stop = NewAlgo(
        symbol=SOL, side="SELL", type="STOP_MARKET", quantity=Decimal(50), trigger_price=Decimal(90),
        working_type="MARK_PRICE", reduce_only=True, client_id="s",
    )  # fmt: skip
    venue.account.conditionals.place(stop, 1, venue)
    venue.take_events()
    _, down = venue.levels()
    assert 95 < down < 97  # 5 % of margin less the maintenance
    venue.price = down
    venue.settle(2_000_000)
    assert not venue.lots
    assert venue.account.ledger.wallet < Decimal(1_000) - Decimal(180)


def test_fees_spread_slip_and_funding_are_what_is_reckoned_by_hand() -> None:
    rows = flat(100.0, 20)
    bars = bars_of(rows, start="2024-01-01T07:50")
    wish = {"side": Side.BUY, "target_pct": None, "time_stop_ns": 15 * MINUTE_NS}
    drive = wishful(bars, [wish], funding={at("2024-01-01T08:00"): 0.0003})
    (trade,) = drive.record.trades
    qty = float(trade.qty)
    assert (trade.entry, trade.exit) == (pytest.approx(100.02), pytest.approx(99.99))
    assert trade.fees == pytest.approx(qty * (100.02 + 99.99) * float(TAKER_FEE))
    assert trade.spread == pytest.approx(qty * 0.01)
    assert trade.slippage == pytest.approx(qty * 0.02)
    assert trade.funding == pytest.approx(-qty * 100.0 * 0.0003)
    assert trade.gross == pytest.approx(0.0, abs=1e-6)
    assert trade.net == pytest.approx(-qty * 0.03 - trade.fees + trade.funding)
    assert float(drive.venue.account.ledger.wallet) == pytest.approx(10_000 + trade.net)
    assert drive.record.curve.equity[-1] == pytest.approx(10_000 + trade.net)


def test_what_an_order_slips_grows_with_its_share_of_the_day() -> None:
    venue = BarVenue(SOL, 100.0, wallet=Decimal(1_000), leverage=3, costs=msgspec.structs.replace(PLAIN, impact=0.5))
    venue.day_range, venue.day_volume = 4.0, 1_000_000.0
    small, large = venue.slip(100), venue.slip(10_000_00)
    assert (small, large) == (1, 20)  # 0.5 * 4.00 * sqrt(10,000 / 1,000,000) is 0.20


# ---- nobody sees the future ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def past() -> Bars:
    return walk(11, 2_400, 3_600, swing=0.006)


@pytest.fixture(scope="module")
def whole(past: Bars, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return played(past, tmp_path_factory.mktemp("whole"))


def closed(result: Result) -> list[Any]:
    return [trade for trade in result.trades if trade.reason != OPEN]


def test_the_past_has_trades_to_speak_of(whole: Result) -> None:
    assert len(closed(whole)) >= 8
    assert {trade.side for trade in whole.trades} == {Side.BUY, Side.SELL}
    assert whole.bars == 2_400


@pytest.mark.parametrize("strategy", ["flow", "harpoon", "auto"])
def test_the_run_that_skips_is_the_run_that_steps_trade_by_trade(past: Bars, strategy: str, tmp_path: Path) -> None:
    bars = walk(5, 2_000, 3_600, swing=0.006, falls=12)
    skipped = played(bars, tmp_path, strategy=strategy)
    stepped = played(bars, tmp_path, strategy=strategy, skipping=False)
    assert skipped.trades == stepped.trades
    assert skipped.signals == stepped.signals
    assert skipped.decisions_hash == stepped.decisions_hash
    assert sum(skipped.signals.values()) > 5


TIGHT = RiskConfig(day_drawdown_pct=0.5, peak_drawdown_pct=1.0)


@pytest.mark.parametrize("skipping", [True, False], ids=["skips", "steps"])
@pytest.mark.parametrize("risk", [RiskConfig(), TIGHT], ids=["wide limits", "limits it meets"])
def test_the_looks_that_are_left_out_would_have_found_nothing(
    risk: RiskConfig, skipping: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts: list[Any] = []
    heard = Record.heard
    monkeypatch.setattr(Record, "heard", lambda record, fact: (facts.append(fact), heard(record, fact)))
    bars, directive = walk(7, 2_000, 3_600, swing=0.006, falls=6), FAST.model_copy(update={"risk": risk})
    left_out = played(bars, tmp_path, directive=directive, skipping=skipping)
    least, facts = facts, []
    monkeypatch.setattr(Engine, "calm", lambda engine, symbol: None)
    looked = played(bars, tmp_path, directive=directive, skipping=skipping)
    assert left_out.trades == looked.trades
    assert left_out.decisions_hash == looked.decisions_hash
    assert [_untimed(fact) for fact in least if _said(fact)] == [_untimed(fact) for fact in facts if _said(fact)]
    assert left_out.metrics["net"]["max_drawdown_pct"] == pytest.approx(looked.metrics["net"]["max_drawdown_pct"])
    assert (risk is TIGHT) == any(isinstance(fact, LatchSet) for fact in facts)


@pytest.mark.parametrize(
    ("strategy", "bars", "over"),
    [
        ("flow", walk(5, 2_000, 3_600, swing=0.006, falls=12), {"entry", "proposal"}),
        ("scalping", walk(2, 10_000, 300, swing=0.004), {"proposal"}),
    ],
    ids=["takers", "makers"],
)
def test_the_timers_that_are_not_waited_for_would_have_found_nothing(
    strategy: str, bars: Bars, over: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts: list[Any] = []
    heard = Record.heard
    monkeypatch.setattr(Record, "heard", lambda record, fact: (facts.append(fact), heard(record, fact)))
    spent = Engine.spent
    dropped: set[str] = set()

    def counted(engine: Engine, key: str) -> bool:
        found = spent(engine, key)
        if found:
            dropped.add(key.partition(":")[0])
        return found

    monkeypatch.setattr(Engine, "spent", counted)
    least = played(bars, tmp_path, strategy=strategy)
    without, facts = facts, []
    monkeypatch.setattr(Engine, "spent", lambda engine, key: False)
    waited = played(bars, tmp_path, strategy=strategy)
    assert least.trades == waited.trades
    assert least.decisions_hash == waited.decisions_hash
    assert without == facts
    assert len(least.trades) >= 3
    assert dropped == over


def _said(fact: Any) -> bool:
    # a day opens at the first look of it, and who is flat looks again when there is something to decide
    return not isinstance(fact, DayOpened | Sealed)


def _untimed(fact: Any) -> Any:
    return type(fact), fact.text if isinstance(fact, Noted) else fact


def test_what_the_sentinel_need_not_see_changes_nothing(tmp_path: Path) -> None:
    bars = walk(1, 2_500, 300, swing=0.002, falls=3)
    watchful = ShieldConfig(swan_symbol=SOL, max_spread_bp=50, exit_pause_min=0, stops_window_min=0, low_trades=0)
    directive = FAST.model_copy(update={"shield": watchful, "strategies": {"flow": {"interval": "1h"}}})
    results, ticks = [], []
    for skipping in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            tick, count = Drive._tick, [0]
            patch.setattr(Drive, "_tick", lambda drive, tick=tick, count=count: (count.append(0), tick(drive)))
            results.append(played(bars, tmp_path, strategy="auto", directive=directive, skipping=skipping))
            ticks.append(len(count))
    skipped, stepped = results
    assert skipped.trades == stepped.trades
    assert skipped.decisions_hash == stepped.decisions_hash
    assert 1 < ticks[0] < ticks[1]
    assert stepped.signals["swan"]


def test_bars_that_close_at_the_same_instant_are_told_in_the_same_order(tmp_path: Path) -> None:
    bars = walk(3, 4_500, 3_600, swing=0.006)
    slow = FAST.model_copy(update={"strategies": {}})  # Flow on 4h, and the regime's hours
    skipped, stepped = (played(bars, tmp_path, directive=slow, skipping=skipping) for skipping in (True, False))
    assert skipped.signals == stepped.signals
    assert skipped.decisions_hash == stepped.decisions_hash
    assert sum(skipped.signals.values()) > 10


def test_a_run_that_skips_knows_the_same_day_of_volume(tmp_path: Path) -> None:
    bars = walk(5, 2_000, 3_600, swing=0.006)
    limited = FAST.model_copy(update={"shield": FAST.shield.model_copy(update={"min_day_volume": 30.0})})
    skipped, stepped = (played(bars, tmp_path, directive=limited, skipping=skipping) for skipping in (True, False))
    assert skipped.signals == stepped.signals and skipped.decisions_hash == stepped.decisions_hash
    assert skipped.signals["volume"] > 0 and skipped.signals["proposed"] > 0


@pytest.mark.parametrize(
    ("exits", "reasons"),
    [({}, {"exit", "stop"}), ({"trail_atr": 3.0}, {"exit", "stop", "trail"}),
     ({"trail_atr": 3.0, "exit_channel": 0}, {"stop", "trail"})],
)  # fmt: skip
def test_flow_leaves_by_its_channel_or_its_trail_and_skipping_sees_it_too(
    exits: dict[str, float], reasons: set[str], tmp_path: Path
) -> None:
    bars = walk(5, 2_000, 3_600, swing=0.006)
    one = FAST.model_copy(update={"strategies": {"flow": {"interval": "1h"} | exits}})
    skipped, stepped = (played(bars, tmp_path, directive=one, skipping=skipping) for skipping in (True, False))
    assert skipped.trades == stepped.trades and skipped.decisions_hash == stepped.decisions_hash
    assert {trade.reason for trade in closed(skipped)} == reasons


def test_a_signal_at_a_settlement_of_funding_enters_when_it_is_over(tmp_path: Path) -> None:
    bars = walk(3, 4_500, 3_600, swing=0.006)
    slow = FAST.model_copy(update={"strategies": {}})  # half of Flow's bars close at one
    result = played(bars, tmp_path, directive=slow)
    after_s = [trade.opened_ns // 1_000_000_000 % (8 * 3_600) for trade in result.trades]
    assert result.signals["waits"] > 2 and any(each == 120 for each in after_s)
    assert not any(each < 120 for each in after_s)


def test_what_a_strategy_may_not_play_itself_is_approved_and_rests_as_a_maker(tmp_path: Path) -> None:
    bars = walk(2, 10_000, 300, swing=0.004)
    skipped = played(bars, tmp_path, strategy="scalping")
    stepped = played(bars, tmp_path, strategy="scalping", skipping=False)
    assert skipped.trades == stepped.trades
    assert skipped.decisions_hash == stepped.decisions_hash
    assert skipped.signals["approved by you"] >= len(skipped.trades) > 0
    assert "approved at once" in " ".join(skipped.notes)


def test_skipping_is_stepping_across_gaps_and_from_a_later_start(past: Bars, tmp_path: Path) -> None:
    keep = np.ones(len(past), bool)
    keep[[700, 701, 1_500]] = False
    bars = Bars(past.open_ns[keep], past.ohlc[keep], past.volume[keep], past.step_ns)
    since = int(past.open_ns[300])
    skipped, stepped = (played(bars, tmp_path, since=since, skipping=skipping) for skipping in (True, False))
    assert skipped.trades == stepped.trades
    assert skipped.decisions_hash == stepped.decisions_hash


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_what_was_decided_on_a_part_of_the_past_is_decided_on_the_whole(
    past: Bars, whole: Result, share: float, tmp_path: Path
) -> None:
    end = int(len(past) * share)
    part = closed(played(past.cut(0, int(past.open_ns[end])), tmp_path))
    assert part
    assert part == closed(whole)[: len(part)]


def test_another_future_leaves_the_past_as_it_was(past: Bars, whole: Result, tmp_path: Path) -> None:
    turn = 1_800
    order = np.random.default_rng(0).permutation(np.arange(turn, len(past)))
    places = np.concatenate([np.arange(turn), order])
    shuffled = Bars(past.open_ns, past.ohlc[places], past.volume[places], past.step_ns)
    other = played(shuffled, tmp_path)
    turned_ns = int(past.open_ns[turn])
    before = [trade for trade in closed(whole) if trade.closed_ns < turned_ns]
    assert before
    assert closed(other)[: len(before)] == before
    assert other.decisions_hash != whole.decisions_hash


def test_the_same_input_has_the_same_hash_whatever_the_process_hashes_like(
    past: Bars, whole: Result, tmp_path: Path
) -> None:
    path, config = written(past, tmp_path / "past.parquet"), tmp_path / "nexus.toml"
    config.write_text(
        "[shield]\nmax_spread_bp = 50\nexit_pause_min = 0\nstops_window_min = 0\nlow_trades = 0\nmin_day_volume = 0\n"
        '[strategies.flow]\ninterval = "1h"\n[strategies.harpoon]\ninterval = "1h"\nset = "classic"\n'
    )
    words = ["backtest", "--data", str(path), "--symbol", SOL, "--strategy", "flow", "--config", str(config), "--json"]
    ran = subprocess.run(
        [sys.executable, "-m", "nexus_engine.cli", *words],
        env={**os.environ, "PYTHONHASHSEED": "77"}, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    told = json.loads(ran.stdout)
    assert told["decisions_hash"] == whole.decisions_hash
    assert len(told["trades"]) == len(whole.trades)
    assert {"bars", "trades", "metrics", "costs", "regimes", "decisions_hash", "wall_s"} <= told.keys()
    assert {"net", "gross"} <= told["metrics"].keys()


def test_the_engine_of_a_backtest_replays_its_events_to_the_same_decisions() -> None:
    seen: list[tuple[str, tuple[Any, ...]]] = []
    made, again = EffectsHash(), EffectsHash()

    def wrap(engine: Engine) -> None:
        on, leap = engine.on, engine.leap

        def heard(event: Any) -> Any:
            seen.append(("on", (event,)))
            effects = on(event)
            made.update(effects)
            return effects

        def leapt(at_ns: int, mono_ns: int) -> None:
            seen.append(("leap", (at_ns, mono_ns)))
            leap(at_ns, mono_ns)

        engine.on, engine.leap = heard, leapt  # type: ignore[method-assign]

    rows = [*flat(100.0, 4), (100.0, 103.0, 99.5, 101.0), *flat(101.0, 4)]
    drive = wishful(bars_of(rows), [{"side": Side.BUY}], wrap=wrap)
    assert drive.record.trades
    engine = Engine(drive.engine.directive, Ledger())
    engine.cortex = wishes([{"side": Side.BUY}])  # type: ignore[assignment]
    for name, words in seen:
        again.update(getattr(engine, name)(*words) or ())
    assert again.hexdigest() == made.hexdigest()


# ---- files that nobody has seen --------------------------------------------------------------------------------------


def spoiled(tmp_path: Path, frame: pl.DataFrame) -> Path:
    frame.write_csv(tmp_path / "spoiled.csv")
    return tmp_path / "spoiled.csv"


def test_rows_in_disorder_doubled_or_without_numbers_are_mended_and_said(tmp_path: Path) -> None:
    frame = frame_of(walk(3, 300, 60))
    rows = pl.concat([frame[150:], frame[:150], frame[20:25]])
    rows = rows.with_columns(
        pl.when(pl.int_range(len(rows)) == 40).then(None).otherwise(pl.col("close")).alias("close"),
        pl.lit(0.0).alias("volume"),
    )
    bars, mended = history.gather([spoiled(tmp_path, rows)], SOL)
    assert len(bars) == 299
    assert (np.diff(bars.open_ns) > 0).all()
    assert (mended.unsorted, mended.duplicates, mended.not_numbers, mended.gaps) == (True, 5, 1, 1)
    assert len(mended.said()) == 4
    result = run(BacktestOrder(data=(spoiled(tmp_path, rows),), symbol=SOL))
    assert result.bars == 299
    assert mended.said()[0] in result.notes


@pytest.mark.parametrize("none", [None, math.nan], ids=["null", "nan"])
def test_bars_whose_volume_nobody_knows_among_others_are_said_since_nothing_is_filled_in_them(
    none: float | None, tmp_path: Path
) -> None:
    rows = frame_of(walk(3, 300, 60))
    holes = pl.when(pl.int_range(len(rows)) % 3 == 0).then(pl.lit(none, pl.Float64)).otherwise(pl.col("volume"))
    bars, mended = history.gather([spoiled(tmp_path, rows.with_columns(holes.alias("volume")))], SOL)
    assert (mended.unknown, int((bars.volume == 0).sum())) == (100, 100)
    assert mended.said() == ("100 bars hold no volume: as if nothing traded, so no order is filled in them",)
    every = rows.with_columns(pl.lit(none, pl.Float64).alias("volume"))
    assert history.gather([spoiled(tmp_path, every)], SOL)[1].said() == ()  # every order is filled whole then


def test_a_symbol_is_taken_out_of_a_file_of_many(tmp_path: Path) -> None:
    one, two = (frame_of(walk(seed, 50, 60)) for seed in (1, 2))
    path = tmp_path / "many.parquet"
    pl.concat([one.with_columns(symbol=pl.lit(SOL)), two.with_columns(symbol=pl.lit("ADAUSDT"))]).write_parquet(path)
    bars, _ = history.gather([path], "ADAUSDT")
    assert bars.ohlc[:, 3].tolist() == two["close"].to_list()
    with pytest.raises(BarsError, match="holds no bars of XRPUSDT; it holds ADAUSDT, SOLUSDT"):
        history.gather([path], "XRPUSDT")


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (frame_of(walk(1, 30, 86_400)), "bars of 86400 s; allowed are 1 s to 1 h"),
        (frame_of(walk(1, 30, 60)).drop("close"), "has no column close"),
        (frame_of(walk(1, 30, 60)).with_columns(low=pl.col("high") + 1), "open and close are not within"),
        (frame_of(walk(1, 30, 60)).with_columns(open=pl.lit(-1.0)), "a price is not above 0"),
        (frame_of(walk(1, 30, 60)).with_columns(volume=pl.lit(-1.0)), "the volume is below 0"),
        (frame_of(walk(1, 30, 60)).with_columns(volume=pl.lit(float("inf"))), "the volume is not below"),
        (frame_of(walk(1, 30, 60)).with_columns(pl.col("open", "high", "low", "close") * 1e200), "is not below 1e+12"),
        (frame_of(walk(1, 30, 60)).with_columns(close=pl.lit("x")), "a price or volume is not a number"),
        (frame_of(walk(1, 30, 60)).with_columns(symbol=pl.lit([1, 2])), "symbol is no column of names"),
        (frame_of(walk(1, 30, 60)).clear(), "holds no bars"),
        (frame_of(walk(1, 30, 60)).with_columns(close=pl.lit(None, pl.Float64)), "holds no bar of numbers"),
        (frame_of(walk(1, 30, 7)), "does not open on a whole 7 s"),
        (frame_of(walk(1, 30, 2_700)), "no strategy can run on it"),
    ],
)
def test_what_cannot_be_played_is_refused_with_one_line(
    frame: pl.DataFrame, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "odd.parquet"
    frame.write_parquet(path)
    assert main(["--data", str(path), "--symbol", SOL]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1
    assert err.startswith("nexus backtest: ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--symbol", "sol usdt"], "allowed are 2 to 20"),
        (["--symbol", SOL, "--strategy", "moon"], "there is none of that name"),
        (["--symbol", SOL, "--from", "soon"], "must be a date"),
        (["--symbol", SOL, "--from", "2024-02-01", "--to", "2024-01-01"], "must be after --from"),
        (["--symbol", SOL, "--from", "2030-01-01"], "holds no bar of SOLUSDT between"),
        (["--symbol", SOL, "--strategy", "harpoon"], "harpoon needs 5m bars, which 3600 s bars do not make"),
    ],
)
def test_a_wrong_command_is_one_line(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(walk(1, 30, 3_600), tmp_path / "hours.parquet")
    assert main(["--data", str(path), *words]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err


@pytest.mark.filterwarnings("error")
def test_a_market_that_stands_still_is_played_without_a_word(tmp_path: Path) -> None:
    still = bars_of(flat(5.0, 3_000), step_s=300)
    for strategy in ("harpoon", "scalping", "flow", "shark"):
        result = run(BacktestOrder(data=(written(still, tmp_path / "s.parquet"),), symbol=SOL, strategy=strategy))
        assert not result.trades


def test_a_file_is_the_one_that_is_named_and_no_pattern(tmp_path: Path) -> None:
    written(walk(2, 40, 60), tmp_path / "BTC1.csv")
    for name in ("BTC*.csv", "BTC[1].parquet", "BTC?.csv"):
        named = written(walk(1, 30, 60), tmp_path / name)
        assert len(history.gather([named], SOL)[0]) == 30


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_rates_that_are_no_file_are_refused_at_once(make: Any, tmp_path: Path) -> None:
    make(tmp_path / "rates.csv")
    with pytest.raises(BarsError, match=r"rates.csv: is not a file"):
        history.funding(tmp_path / "rates.csv", SOL)


def test_rates_of_symbols_that_are_numbers_are_of_nobody(tmp_path: Path) -> None:
    path = tmp_path / "rates.csv"
    path.write_text("funding_time,rate,symbol\n1609459200000,0.0001,7\n")
    with pytest.raises(BarsError, match="holds no funding of SOLUSDT"):
        history.funding(path, SOL)
    path = tmp_path / "odd.parquet"
    pl.DataFrame({"funding_time": [1_609_459_200_000], "rate": [[1.0]], "symbol": [SOL]}).write_parquet(path)
    with pytest.raises(BarsError, match="a rate is missing or not a number"):
        history.funding(path, SOL)


def test_what_a_file_holds_drives_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad\x1b[31m\nname.parquet"
    frame_of(walk(1, 30, 60)).with_columns(symbol=pl.lit("\x1b[2JX\u202e")).write_parquet(path)
    assert main(["--data", str(path), "--symbol", SOL]) == 2
    err = capsys.readouterr().err
    assert err.rstrip("\n").isprintable()
    assert "it holds ?[2JX?" in err


@pytest.mark.parametrize("where", ["nowhere/report.html", "."])
def test_a_page_that_cannot_be_written_is_said_before_the_work(
    where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(walk(1, 30, 300), tmp_path / "past.parquet")
    monkeypatch.setattr(backtest, "run", lambda *_: pytest.fail("it was run"))
    assert main(["--data", str(path), "--symbol", SOL, "--html", str(tmp_path / where)]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_what_was_found_is_told_even_where_its_page_is_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(walk(1, 400, 300), tmp_path / "past.parquet")
    before = backtest.run

    def run_and_lose_the_disk(order: BacktestOrder, progress: Any) -> Result:
        page.unlink(missing_ok=True)
        page.mkdir()
        return before(order, progress)

    page = tmp_path / "report.html"
    monkeypatch.setattr(backtest, "run", run_and_lose_the_disk)
    assert main(["--data", str(path), "--symbol", SOL, "--json", "--html", str(page)]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["symbol"] == SOL
    assert "report.html: cannot be written" in err


# ---- the report ------------------------------------------------------------------------------------------------------


def test_the_page_needs_nothing_from_elsewhere_and_escapes_what_it_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "<script>alert(1)</script>"
    folder.mkdir(parents=True)
    bars = walk(1, 400, 300)
    keep = np.ones(len(bars), bool)
    keep[50] = False
    path = written(Bars(bars.open_ns[keep], bars.ohlc[keep], bars.volume[keep], bars.step_ns), folder / "past.parquet")
    page = tmp_path / "report.html"
    assert main(["--data", str(path), "--symbol", SOL, "--json", "--html", str(page)]) == 0
    text = page.read_text("utf-8")
    assert "<svg" in text
    assert not any(word in text for word in ("<script", "http://", "https://", " src=", "@import"))
    told = json.loads(capsys.readouterr().out)
    assert told["metrics"]["net"]["sharpe"] is None  # nothing was traded


def test_what_a_thin_bar_could_not_fill_is_not_filled_and_is_said(past: Bars, whole: Result, tmp_path: Path) -> None:
    taken = whole.costs["participation"]
    assert taken["orders"] == 2 * len(closed(whole)) + (len(whole.trades) - len(closed(whole)))
    assert (taken["in_parts"], taken["given_up"], taken["most_bars"], taken["cost"]) == (0, 0, 1, 0.0)
    assert f"each of {taken['orders']} orders was filled by one bar" in report.text(whole)
    hit, thin = closed(whole)[0], past.volume.copy()
    at_bar = int(np.searchsorted(past.open_ns, hit.opened_ns, side="right")) - 1
    thin[at_bar] = 5 * float(hit.qty)
    other = played(Bars(past.open_ns, past.ohlc, thin, past.step_ns), tmp_path)
    taken = other.costs["participation"]
    assert (taken["in_parts"], taken["given_up"], taken["most_bars"]) == (1, 1, 1)
    assert taken["largest_pct"] == pytest.approx(10.0, rel=0.01)
    half = other.trades[0]
    assert (half.opened_ns, float(half.qty)) == (hit.opened_ns, pytest.approx(float(hit.qty) / 2, rel=0.01))
    assert half.r == pytest.approx(hit.r, rel=0.01)
    assert f"1 of {taken['orders']} orders were filled in parts" in report.text(other)


def test_costs_twice_as_high_take_what_they_cost_once_more(whole: Result) -> None:
    once, twice, gross = whole.costs["x1"], whole.costs["x2"], whole.metrics["gross"]
    assert once["profit"] == pytest.approx(whole.metrics["net"]["profit"])
    assert twice["profit"] == pytest.approx(once["profit"] - whole.costs["total"])
    assert gross["profit"] == pytest.approx(once["profit"] + whole.costs["total"] - whole.costs["funding"])
    assert sum(row["trades"] for row in whole.regimes.values()) == len(closed(whole))
    start, end = whole.metrics["net"]["start_equity"], whole.metrics["net"]["end_equity"]
    assert end - start == pytest.approx(sum(trade.net for trade in whole.trades), abs=0.5)
