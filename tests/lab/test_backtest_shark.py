"""The Shark in a backtest: it hunts by figures that were known then, beside a leader whose future it does not see."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from past import frame_of

from nexus_engine.cortex.targets import SQUEEZE_BARS, squeeze
from nexus_engine.lab import backtest
from nexus_engine.lab.around import Figures, figures, led, told
from nexus_engine.lab.backtest import BacktestOrder, run
from nexus_engine.lab.bars import SECOND_NS, Bars, BarsError, utc
from nexus_engine.lab.report import text
from nexus_engine.lab.result import Result
from nexus_engine.lab.venue import instrument_of
from nexus_engine.model.config import Directive, ShieldConfig
from nexus_engine.model.events import Bar, History, MacroSample
from nexus_engine.model.words import Side
from nexus_engine.sim.played import spec_of

HOUR_NS, DAY_NS = 3_600 * SECOND_NS, 86_400 * SECOND_NS
BEGIN_NS = 19_000 * DAY_NS
WARM, HOURS = 1_200, 2_400
ALT, LEADER = "SOLUSDT", "BTCUSDT"
FAST = Directive(
    shield=ShieldConfig(max_spread_bp=50, exit_pause_min=0, stops_window_min=0, low_trades=0, max_funding_bp=100)
)


def bars(moves: np.ndarray, start: float, seed: int) -> Bars:
    rng = np.random.default_rng(seed)
    closes = start * np.exp(np.cumsum(moves))
    opens = np.concatenate(([start], closes[:-1]))
    wicks = np.abs(rng.normal(0, 0.001, (2, len(moves))))
    ohlc = np.stack(
        (opens, np.maximum(opens, closes) * (1 + wicks[0]), np.minimum(opens, closes) * (1 - wicks[1]), closes), axis=1
    )
    open_ns = BEGIN_NS + np.arange(len(moves), dtype=np.int64) * HOUR_NS
    return Bars(open_ns, ohlc, np.full(len(moves), 5e6), HOUR_NS)


@cache
def market() -> tuple[Bars, Bars, Figures]:
    """Fifty days of calm, then fifty in which all bleeds into a bitcoin that falls itself, with rests."""
    rng = np.random.default_rng(8)
    drift = np.where(np.arange(HOURS) < WARM, 0.0, -0.0009)
    both = rng.normal(0, 0.003, HOURS) + drift
    alt = 1.1 * both + rng.normal(0, 0.004, HOURS)
    days = HOURS // 24 + 20
    bleeding = np.where((np.arange(days) >= WARM // 24 + 20) & (np.arange(days) // 6 % 2 == 0), 1.0, 0.0)
    dominance = 45 + np.cumsum(0.2 * bleeding + rng.normal(0, 0.1, days))
    cap = 1e12 * np.exp(np.cumsum(-0.02 * bleeding + rng.normal(0, 0.008, days)))
    end_ns = BEGIN_NS + (np.arange(days, dtype=np.int64) - 19) * DAY_NS
    return bars(alt, 100.0, 1), bars(both, 20_000.0, 2), Figures(end_ns, dominance, cap)


def dated(found: Figures) -> pl.DataFrame:
    dates = [datetime.fromtimestamp(end / 1e9 - 86_400, UTC).date() for end in found.end_ns.tolist()]
    return pl.DataFrame({"date": dates, "btc_dominance": found.dominance, "total_cap_usd": found.cap})


def played(
    folder: Path, *, alt: Bars | None = None, lead: Bars | None = None, days: Figures | None = None, **more: Any
) -> Result:
    own, leader, figure = market()
    frame_of(own if alt is None else alt).write_parquet(folder / "alt.parquet")
    frame_of(leader if lead is None else lead).write_parquet(folder / "leader.parquet")
    dated(figure if days is None else days).write_parquet(folder / "macro.parquet")
    order = {
        "data": (folder / "alt.parquet",), "symbol": ALT, "strategy": "shark", "directive": FAST,
        "macro": (folder / "macro.parquet",), "leader": (folder / "leader.parquet",),
    }  # fmt: skip
    return run(BacktestOrder(**order | more))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return played(tmp_path_factory.mktemp("whole"))


def test_it_sells_where_all_bleeds_and_nowhere_else(whole: Result) -> None:
    assert len(whole.trades) >= 3
    assert {trade.side for trade in whole.trades} == {Side.SELL}
    opened = [utc(trade.opened_ns) for trade in whole.trades]
    assert all(any(begin <= at <= end for begin, end in whole.sangria) for at in opened)
    bled = utc(BEGIN_NS + WARM * HOUR_NS)
    assert sum(begin > bled for begin, _ in whole.sangria) >= 3
    assert f"SANGRIA {len(whole.sangria)} times" in text(whole)
    assert whole.signals["approved by you"] == whole.signals["proposed"]
    assert not any("cannot activate" in note for note in whole.notes)


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ({"macro": ()}, "no macro series: Shark cannot activate; --macro FILE"),
        ({"leader": ()}, "no bars of BTCUSDT, which it follows: Shark cannot activate; --leader FILE"),
        ({"symbol": LEADER}, "Shark sells what falls with BTCUSDT: it enters nothing on BTCUSDT itself"),
    ],
)
def test_what_it_lacks_is_said_in_one_line(missing: dict[str, Any], words: str, tmp_path: Path) -> None:
    result = played(tmp_path, **missing)
    assert not result.trades
    assert sum(words in note for note in result.notes) == 1


def test_the_run_that_skips_is_the_run_that_steps(whole: Result, tmp_path: Path) -> None:
    pairs = [(whole, played(tmp_path, skipping=False))]
    pairs.append((played(tmp_path, strategy="auto"), played(tmp_path, strategy="auto", skipping=False)))
    for skipped, stepped in pairs:
        assert skipped.trades == stepped.trades
        assert skipped.decisions_hash == stepped.decisions_hash
        assert skipped.regimes == stepped.regimes


def test_a_start_that_is_later_hunts_on_with_the_weeks_before_it(whole: Result, tmp_path: Path) -> None:
    later = played(tmp_path, since=BEGIN_NS + WARM * HOUR_NS)
    begin = BEGIN_NS + WARM * HOUR_NS
    assert [one.opened_ns for one in later.trades] == [one.opened_ns for one in whole.trades if one.opened_ns > begin]


# ---- nobody sees the future ------------------------------------------------------------------------------------------


def before(result: Result, at_ns: int) -> list[Any]:
    return [msgspec.structs.replace(one, reason="") for one in result.trades if one.closed_ns < at_ns]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_days_figure_changes_nothing_before_an_hour_after_its_end(whole: Result, number: int, tmp_path: Path) -> None:
    figure = market()[2]
    opened_ns = whole.trades[number].opened_ns
    # the figures of the very day of an entry, and of all after it
    at = int(np.searchsorted(figure.end_ns, opened_ns, side="right"))
    assert figure.end_ns[at] - DAY_NS <= opened_ns < figure.end_ns[at]
    dominance = figure.dominance.copy()
    dominance[at:] -= 2.5
    other = played(tmp_path, days=Figures(figure.end_ns, dominance, figure.cap))
    entries = [[one.opened_ns for one in each.trades if one.opened_ns <= opened_ns] for each in (whole, other)]
    assert entries[0] == entries[1] and len(entries[0]) == number + 1
    assert before(other, opened_ns) == before(whole, opened_ns)


def test_a_figure_that_were_known_a_day_early_would_decide_otherwise(whole: Result, tmp_path: Path) -> None:
    figure = market()[2]
    early = played(tmp_path, days=Figures(figure.end_ns - DAY_NS, figure.dominance, figure.cap))
    assert [one.opened_ns for one in early.trades] != [one.opened_ns for one in whole.trades]


def test_the_leaders_future_and_ones_own_leave_the_past_as_it_was(whole: Result, tmp_path: Path) -> None:
    own, leader, _ = market()
    turn = int((whole.trades[-1].opened_ns - BEGIN_NS) // HOUR_NS) + 1
    order = np.concatenate((np.arange(turn), np.random.default_rng(0).permutation(np.arange(turn, HOURS))))
    alt, lead = (Bars(each.open_ns, each.ohlc[order], each.volume[order], HOUR_NS) for each in (own, leader))
    other = played(tmp_path, alt=alt, lead=lead)
    turned_ns = BEGIN_NS + turn * HOUR_NS
    assert before(other, turned_ns) == before(whole, turned_ns) != []
    assert other.decisions_hash != whole.decisions_hash


def test_what_was_decided_on_a_part_is_decided_on_the_whole(whole: Result, tmp_path: Path) -> None:
    part = [one for one in played(tmp_path, until=BEGIN_NS + 2_000 * HOUR_NS).trades if one.reason != "open"]
    assert part and part == list(whole.trades)[: len(part)]


def test_no_sample_is_told_before_it_is_known() -> None:
    figure = market()[2]
    start_ns = BEGIN_NS + 30 * DAY_NS
    events = list(told(figure, start_ns, BEGIN_NS + 60 * DAY_NS))
    assert len(events) == 14 + 30
    for at_ns, event in events:
        assert isinstance(event, MacroSample)
        assert all(row.venue_ns <= at_ns - HOUR_NS for row in event.rows)
    assert [at_ns for at_ns, _ in events[14:]] == [start_ns + day * DAY_NS + HOUR_NS for day in range(30)]


def test_a_missing_day_makes_the_state_unknown_until_it_can_be_seen_again(whole: Result, tmp_path: Path) -> None:
    figure = market()[2]
    opened_ns = whole.trades[0].opened_ns
    at = int(np.searchsorted(figure.end_ns, opened_ns, side="right")) - 1
    keep = np.arange(len(figure.end_ns)) != at
    holed = played(tmp_path, days=Figures(*(column[keep] for column in figure)))
    assert opened_ns not in [one.opened_ns for one in holed.trades]


# ---- the leader's half hour ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [HOUR_NS, 300 * SECOND_NS])
def test_the_leaders_half_hour_is_what_its_bars_say(step: int) -> None:
    lead = market()[1].cut(0, BEGIN_NS + 300 * HOUR_NS)
    if step < HOUR_NS:  # five minutes that rise by 3 % in the last of each hour
        count = 12 * 300
        opens = np.full(count, 20_000.0)
        closes = np.where(np.arange(count) % 12 == 11, 20_600.0, 20_000.0)
        ohlc = np.stack((opens, closes, opens, closes), axis=1)
        lead = Bars(BEGIN_NS + np.arange(count, dtype=np.int64) * step, ohlc, np.full(count, 1.0), step)
    instrument = instrument_of(spec_of(LEADER, 20_000.0))
    start_ns = BEGIN_NS + 250 * HOUR_NS
    events = [event for _, event in led(instrument, lead, start_ns, 100)]
    halves = [one for one in events if isinstance(one, History) and one.interval == "5m"]
    hours = [one for one in events if isinstance(one, Bar)]
    assert len(halves) == len(hours) == 50
    for half, hour in zip(halves, hours, strict=True):
        assert len(half.bars) == SQUEEZE_BARS
        assert half.bars[-1].open_ns + 300 * SECOND_NS == half.at_ns == hour.open_ns + HOUR_NS == hour.at_ns
        assert half.bars[-1].close == pytest.approx(hour.close)
        assert all(hour.low - 1e-6 <= row.low <= row.high <= hour.high + 1e-6 for row in half.bars)
        said = squeeze(half.bars, hour.close)
        assert said == ("BTC +3.0% in 30 min" if step < HOUR_NS else "quiet")


def test_a_squeeze_keeps_it_out(whole: Result, tmp_path: Path) -> None:
    leader = market()[1]
    ohlc = leader.ohlc.copy()
    at = int((whole.trades[0].opened_ns - BEGIN_NS) // HOUR_NS) - 1
    ohlc[at, 2] = ohlc[at, 3] * 0.9  # it fell by a tenth within the hour, and rose again in its second half
    ohlc[at, 0] = ohlc[at, 1] = max(ohlc[at, 0], ohlc[at, 1]) * 1.12
    squeezed = played(tmp_path, lead=Bars(leader.open_ns, ohlc, leader.volume, HOUR_NS))
    assert whole.trades[0].opened_ns not in [one.opened_ns for one in squeezed.trades]


# ---- files -----------------------------------------------------------------------------------------------------------


def test_days_are_put_in_order_and_those_that_cannot_be_are_missing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "date,btc_dominance,total_cap_usd\n2024-01-03,51.5,2e12\n2024-01-01,50.5,1e12\n2024-01-02,,1e12\n2024-01-04,52,0\n"
    )
    (tmp_path / "b.csv").write_text("date,btc_dominance,total_cap_usd\n2024-01-03,51.0,3e12\n")
    found = figures([tmp_path / "a.csv", tmp_path / "b.csv"])
    first = int(datetime(2024, 1, 2, tzinfo=UTC).timestamp()) * SECOND_NS
    assert found.end_ns.tolist() == [first, first + 2 * DAY_NS]
    assert found.dominance.tolist() == [50.5, 51.0] and found.cap.tolist() == [1e12, 3e12]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("date,btc_dominance\n2024-01-01,50\n", "has no column total_cap_usd"),
        ("date,btc_dominance,total_cap_usd\nyesterday,50,1e12\n", "a date is not like 2024-01-31"),
        ("date,btc_dominance,total_cap_usd\n2024-01-01,many,1e12\n", "not a number"),
        ("date,btc_dominance,total_cap_usd\n2024-01-01,101,1e12\n", "holds no day with dominance and cap"),
    ],
)
def test_a_macro_file_that_is_none_is_one_line(
    table: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "macro.csv").write_text(table)
    with pytest.raises(BarsError, match=words):
        figures([tmp_path / "macro.csv"])
    own, leader, _ = market()
    for name, each in (("alt", own), ("leader", leader)):
        frame_of(each).write_parquet(tmp_path / f"{name}.parquet")
    given = ["--data", "alt.parquet", "--macro", "macro.csv", "--leader", "leader.parquet"]
    words_ = [str(tmp_path / each) if "." in each else each for each in given]
    assert backtest.main([*words_, "--symbol", ALT, "--strategy", "shark"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_directive_names_both_files_as_seen_from_its_folder_and_the_command_line_wins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Any, Any]] = []

    def looked(order: BacktestOrder, progress: Any) -> Result:
        seen.append((order.macro, order.leader))
        raise KeyboardInterrupt

    monkeypatch.setattr(backtest, "run", looked)
    (tmp_path / "home").mkdir()
    config = tmp_path / "home" / "nexus.toml"
    config.write_text('[lab]\nmacro = "macro.csv"\nleader = "../lead.csv"\n')
    words = ["--data", "alt.csv", "--symbol", ALT, "--config", str(config)]
    assert backtest.main(words) == backtest.main([*words, "--macro", "a.csv", "b.csv"]) == 1
    (macro, leader), (given, same) = seen
    assert macro == (tmp_path / "home" / "macro.csv",)
    assert [path.resolve() for path in leader] == [tmp_path / "lead.csv"] and same == leader
    assert given == (Path("a.csv"), Path("b.csv"))
    capsys.readouterr()
