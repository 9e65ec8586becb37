"""nautilus_trader: a strategy object a symbol on the BacktestEngine, its own indicators.

A market order that is sent when a bar closes fills there and then. `bars`: so it stays, and the entry is the signal's
close. `opens`: a quote at each bar's open is given beside the bars, and an entry waits for it. Inside a bar its high
comes before its low.
"""

from decimal import Decimal
from typing import Any, NamedTuple

import pandas as pd
from _backtest_rules import (
    CASH,
    DIGITS,
    FAST,
    FEE,
    MINUTE_S,
    RSI,
    RSI_BELOW,
    SLOW,
    START_S,
    WARMUP,
    Bars,
    Trade,
    stop_of,
    target_of,
)
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, StrategyConfig
from nautilus_trader.indicators import ExponentialMovingAverage, MovingAverageType, RelativeStrengthIndex
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import Bar, BarType, QuoteTick
from nautilus_trader.model.enums import AccountType, CurrencyType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Currency, Money, Price, Quantity
from nautilus_trader.persistence.wranglers import BarDataWrangler, QuoteTickDataWrangler
from nautilus_trader.trading.strategy import Strategy

VENUE = Venue("SIM")
SECOND_NS = 1_000_000_000


class Fill(NamedTuple):
    at_ns: int
    price: float
    fee: float


class Settings(StrategyConfig, frozen=True):
    bar_type: BarType
    opens: bool


class Common(Strategy):
    def __init__(self, config: Settings) -> None:
        super().__init__(config)
        self.fast, self.slow = ExponentialMovingAverage(FAST), ExponentialMovingAverage(SLOW)
        self.strength = RelativeStrengthIndex(RSI, MovingAverageType.WILDER)
        self.of = config.bar_type.instrument_id
        self.qty = Quantity.from_int(1)
        self.opens = config.opens
        self.bars, self.above, self.held = 0, False, False
        self.waiting = False
        self.exits: tuple[Any, ...] = ()
        self.fills: list[Fill] = []

    def on_start(self) -> None:
        for indicator in (self.fast, self.slow, self.strength):
            self.register_indicator_for_bars(self.config.bar_type, indicator)
        self.subscribe_bars(self.config.bar_type)
        if self.opens:
            self.subscribe_quote_ticks(self.of)

    def on_bar(self, bar: Bar) -> None:
        self.bars += 1
        above = self.fast.value > self.slow.value
        if above == self.above:
            return
        self.above = above
        if above and self.strength.value * 100 < RSI_BELOW and self.bars > WARMUP and not self.held:
            if self.opens:
                self.waiting = True
            else:
                self.enter()

    def on_quote_tick(self, tick: QuoteTick) -> None:
        if self.waiting:
            self.waiting = False
            self.enter()

    def enter(self) -> None:
        self.submit_order(self.order_factory.market(self.of, OrderSide.BUY, self.qty))

    def on_order_filled(self, event: Any) -> None:
        price = event.last_px.as_double()
        self.fills.append(Fill(event.ts_event, price, event.commission.as_double()))
        self.held = event.order_side == OrderSide.BUY
        if self.held:
            stop = self.order_factory.stop_market(
                self.of, OrderSide.SELL, self.qty, Price(stop_of(price), DIGITS), reduce_only=True
            )
            target = self.order_factory.limit(
                self.of, OrderSide.SELL, self.qty, Price(target_of(price), DIGITS), reduce_only=True
            )
            self.exits = (stop, target)
            self.submit_order(stop)
            self.submit_order(target)
        else:
            for order in self.exits:
                if order.client_order_id != event.client_order_id and not order.is_closed:
                    self.cancel_order(order)


def instrument(symbol: str) -> CurrencyPair:
    base = Currency(symbol, 0, 0, symbol, CurrencyType.CRYPTO)
    return CurrencyPair(
        instrument_id=InstrumentId(Symbol(f"{symbol}USDT"), VENUE), raw_symbol=Symbol(f"{symbol}USDT"),
        base_currency=base, quote_currency=USDT, price_precision=DIGITS, size_precision=0,
        price_increment=Price(0.1, DIGITS), size_increment=Quantity.from_int(1), lot_size=None, max_quantity=None,
        min_quantity=None, max_notional=None, min_notional=None, max_price=None, min_price=None, margin_init=Decimal(0),
        margin_maint=Decimal(0), maker_fee=Decimal(str(FEE)), taker_fee=Decimal(str(FEE)), ts_event=0, ts_init=0,
    )  # fmt: skip


class Given(NamedTuple):
    engine: BacktestEngine
    strategies: list[Common]


def prepare(bars: list[Bars], variant: str) -> Given:
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), run_analysis=False))
    engine.add_venue(VENUE, OmsType.NETTING, AccountType.MARGIN, [Money(CASH, USDT)], base_currency=USDT)
    strategies = []
    for each in bars:
        pair = instrument(each.symbol)
        engine.add_instrument(pair)
        kind = BarType.from_str(f"{pair.id}-1-MINUTE-LAST-EXTERNAL")
        closes = pd.to_datetime(each.open_s + MINUTE_S, unit="s", utc=True)
        # not copied: pandas would hand its wrangler one block, which is read-only, and it wants to write
        frame = pd.DataFrame({name: getattr(each, name) for name in Bars._fields[1:]}, index=closes, copy=False)
        engine.add_data(BarDataWrangler(kind, pair).process(frame), sort=False)
        if variant == "opens":
            # a nanosecond after the bar before closed
            opens = pd.to_datetime(each.open_s * SECOND_NS + 1, unit="ns", utc=True)
            quotes = pd.DataFrame({"bid_price": each.open, "ask_price": each.open}, index=opens)
            engine.add_data(QuoteTickDataWrangler(pair).process(quotes), sort=False)
        strategies.append(Common(Settings(bar_type=kind, opens=variant == "opens", order_id_tag=each.symbol)))
    engine.sort_data()
    engine.add_strategies(strategies)
    return Given(engine, strategies)


def run(given: Given) -> Any:
    given.engine.run()
    return given.strategies


def trades(raw: list[Common], _given: Any) -> list[Trade]:
    def bar_of(fill: Fill, leaves: bool) -> int:
        """A bar's end is the next one's begin; what leaves inside a bar is stamped with its end."""
        number, rest = divmod(fill.at_ns - START_S * SECOND_NS, MINUTE_S * SECOND_NS)
        return number - (leaves and rest == 0)

    rows = []
    for number, strategy in enumerate(raw):
        pairs = zip(strategy.fills[::2], strategy.fills[1::2], strict=False)
        for entry, leave in pairs:
            net = leave.price - entry.price - entry.fee - leave.fee
            rows.append(Trade(number, bar_of(entry, False), bar_of(leave, True), entry.price, leave.price, net))
    return rows
