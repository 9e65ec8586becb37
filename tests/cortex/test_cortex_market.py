"""The whole cortex on the practice market: it fires where the market plays its pattern, and only there."""

from itertools import pairwise

from cortex_data import event

from nexus_engine.cortex.factory import Cortex
from nexus_engine.cortex.strategy import interval_ns
from nexus_engine.model.events import BarRow
from nexus_engine.model.signals import Quote
from nexus_engine.sim.market import Market
from nexus_engine.sim.scenarios import aligned_start

MINUTE_NS = interval_ns("1m")
STEP_NS = 2_000_000_000


def row_of(bar):
    return BarRow(bar.open_ns, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.trades)


def quote_of(market, symbol):
    best, tick = market.book(symbol, 1), float(market.specs[symbol].tick)
    return Quote(
        symbol=symbol,
        bid=best.bids[0][0] * tick,
        ask=best.asks[0][0] * tick,
        mark=market.mark(symbol),
        last=market.last(symbol),
        funding_rate=market.funding_rate(symbol),
        age_ms=0,
        valid=True,
    )


def drive(scenario, seed, minutes):
    """Signals as (market minutes since the start, signal), and the cortex."""
    start_ns = aligned_start(1_763_800_000_000_000_000)
    market, cortex = Market(seed=seed, scenario=scenario, start_ns=start_ns), Cortex({})
    nexts = {}
    for symbol in market.symbols:
        for interval in cortex.intervals:
            closed = market.bars(symbol, interval, limit=cortex.warmup_bars + 1)[:-1]
            cortex.history(symbol, interval, [row_of(bar) for bar in closed])
            nexts[symbol, interval] = closed[-1].open_ns + interval_ns(interval)
    found = []
    while market.now_ns < start_ns + minutes * MINUTE_NS:
        market.step(STEP_NS)
        for (symbol, interval), open_ns in nexts.items():
            if market.now_ns < open_ns + interval_ns(interval):
                continue
            (bar,) = market.bars(symbol, interval, start_ns=open_ns, end_ns=open_ns)
            closed = event(row_of(bar), interval, symbol=symbol)
            found += [
                ((market.now_ns - start_ns) / MINUTE_NS, signal)
                for signal in cortex.bar(closed, quote_of(market, symbol))
            ]
            nexts[symbol, interval] = open_ns + interval_ns(interval)
    assert cortex.needs_history() == []
    return found, cortex


def test_range_gives_a_signal_within_the_first_minute_and_then_about_every_ten():
    found, cortex = drive("range", 7, 122)
    minutes = [minute for minute, _ in found]
    assert minutes[0] < 1.0
    assert len(found) >= 7
    assert all(5 <= later - earlier <= 31 for earlier, later in pairwise(minutes))
    assert all(signal.target - signal.price >= signal.stop_distance for _, signal in found)
    assert all(signal.reasons[1] == "first close back up" for _, signal in found)
    assert cortex.counters["signals"] == len(found)


def test_the_same_seed_gives_the_same_signals():
    assert drive("range", 3, 25)[0] == drive("range", 3, 25)[0]


def test_calm_gives_none_in_twelve_hours():
    found, _ = drive("calm", 7, 12 * 60)
    assert [signal for _, signal in found if signal.strategy == "harpoon"] == []
