"""The venue of a backtest: one contract whose price is put where the bars say, and an account that trades at it.

Who takes pays the spread, and slips by the largest of a tick, a fixed part of the price, and the square root of what
the order is of a day's volume (Toth et al. 2011, "Anomalous price impact"). Who rests is filled when the price trades
through, never at a touch. What each fill cost beyond the price is written down beside it.

All of the account's orders together get at most a share of a bar's volume; what is left of them gets its part of the
next bars. A liquidation alone is whole at once: the margin is gone, and what no book takes of it is the venue's.
"""

from collections.abc import Mapping
from decimal import Decimal
from math import ceil, floor, inf, sqrt
from typing import Final

import msgspec
import numpy as np

from nexus_engine.lab.bars import Floats
from nexus_engine.model.instruments import Instrument
from nexus_engine.model.words import Venue
from nexus_engine.sim.account import Account
from nexus_engine.sim.bar_share import SHARE, BarShare
from nexus_engine.sim.ledger import Ledger, decimal_price, liquidation_price
from nexus_engine.sim.orders import ZERO, Fill, OrderEvent, UserEvent
from nexus_engine.sim.played import FUNDING_RATE, spec_of
from nexus_engine.sim.specs import SymbolSpec

MAJORS: Final = frozenset({"BTCUSDT"})
IMPACT: Final = 0.5
"""What a whole day's volume in one order would move the price by, in ranges of a day."""
KEPT_ROWS: Final = 500


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """What trading costs beside the venue's fees, which the account itself takes (5 bp a taker, 2 bp a maker).

    Basis points of the price: the whole spread, and the slip of each taken side. `share`: of a bar's volume, at most.
    """

    spread_bp: float
    slippage_bp: float
    impact: float = IMPACT
    share: float = SHARE

    @classmethod
    def of(cls, symbol: str) -> "Costs":
        """Measured on majors and alts of a USD-M venue."""
        return cls(spread_bp=0.2, slippage_bp=1.0) if symbol in MAJORS else cls(spread_bp=1.0, slippage_bp=3.0)


class Paid(msgspec.Struct, frozen=True):
    """What a fill cost beyond the price at its moment, in quote currency; a maker pays neither."""

    spread: float
    slippage: float


NOTHING: Final = Paid(0.0, 0.0)


class BarVenue:
    """Practice and Liquidity of one symbol. Its price is moved from outside; times are ns, UTC."""

    def __init__(
        self,
        symbol: str,
        price: float,
        *,
        wallet: Decimal,
        leverage: int,
        costs: Costs,
        funding: Mapping[int, float] | None = None,
    ) -> None:
        self.symbol = symbol
        self.spec = spec_of(symbol, price)
        self.tick, self.step = float(self.spec.tick), float(self.spec.step)
        self._hair = self.tick / 1_000
        """Prices are floats: so near to a level they are looked at."""
        self.costs = costs
        self.account = Account({symbol: self.spec}, Ledger(start=wallet, wallet=wallet), market_rests=True)
        self.account.ledger.isolated.add(symbol)
        self.account.ledger.leverage[symbol] = min(leverage, self.spec.max_leverage)
        self.price = price
        self.day_range = self.day_volume = 0.0
        """Of the last 24 hours, in quote and in base currency: what an order's impact is measured by."""
        self.paid: dict[int, Paid] = {}
        """By trade id."""
        self.funded = 0.0
        """What funding has paid so far; negative where it was owed."""
        self.bars = 0
        """How many have begun to be played."""
        self.volume = inf
        """Of the one that is played, in base units; infinite where nobody knows."""
        self._rates = funding
        self._share = BarShare(self.step, costs.share)
        self._short = False
        """An order wanted more of this bar than there was left."""
        self._waits = False
        self._resting = False
        self._up, self._down, self._gone = inf, 0.0, 0.0
        self._known = False

    @property
    def instrument(self) -> Instrument:
        """The contract as the engine is told of it."""
        return instrument_of(self.spec)

    @property
    def lots(self) -> int:
        """What is held, signed."""
        position = self.account.ledger.positions.get(self.symbol)
        return 0 if position is None else position.lots

    def equity(self, price: float) -> float:
        """Wallet and open profit, in quote currency, if the price were that."""
        ledger = self.account.ledger
        position = ledger.positions.get(self.symbol)
        if position is None or not position.lots:
            return float(ledger.wallet)
        return float(ledger.wallet) + position.lots * self.step * price - float(position.cost)

    def equities(self, prices: Floats) -> Floats:
        """The same at many prices."""
        ledger = self.account.ledger
        position = ledger.positions.get(self.symbol)
        if position is None or not position.lots:
            return np.full(len(prices), float(ledger.wallet))
        return float(ledger.wallet) + position.lots * self.step * prices - float(position.cost)

    # ---- the market moves --------------------------------------------------------------------------------------------

    def opens(self, volume: float) -> None:
        """A bar begins, of so many base units; infinite where nobody knows."""
        self.bars, self.volume = self.bars + 1, volume
        self._share.opens(volume)
        if self._short:
            self._short = self._known = False

    @property
    def waits(self) -> bool:
        """An order could be filled where the price is, and waits for the next bar's volume."""
        self.levels()
        return self._waits

    @property
    def leaves(self) -> bool:
        """An exit at market works on, bar after bar."""
        return any(
            order.type == "MARKET" and order.reduce_only and not order.algo_id
            for order in self.account.resting.values()
        )

    def levels(self) -> tuple[float, float]:
        """The nearest prices above and below at which something of the account's happens."""
        if not self._known:
            self._up, self._down = self._nearest()
            self._known = True
        return self._up, self._down

    def _nearest(self) -> tuple[float, float]:
        up, down = inf, 0.0
        self._waits = False
        for algo in self.account.conditionals.open.values():
            if algo.status == "NEW":
                at = algo.trigger_ticks * self.tick
                up, down = (min(up, at), down) if algo.fires_upwards else (up, max(down, at))
        for order in self.account.resting.values():
            if not order.price_ticks or (self._short and self._through(order.side_buy, order.price_ticks)):
                self._waits = True
            elif order.side_buy:
                down = max(down, (order.price_ticks - 1) * self.tick)
            else:
                up = min(up, (order.price_ticks + 1) * self.tick)
        self._gone = 0.0
        if lots := self.lots:
            # isolated: nothing of the account's but what this position has locked bears on it
            position, step = self.account.ledger.positions[self.symbol], self.spec.step
            bracket = self.spec.bracket(lots * step * decimal_price(self.price))
            gone = float(liquidation_price(lots, step, position.cost, bracket, position.isolated_wallet, ZERO))
            if gone > 0:
                # a tick beyond: exactly there its margin still carries it
                self._gone = gone - self.tick if lots > 0 else gone + self.tick
                up, down = (up, max(down, self._gone)) if lots > 0 else (min(up, self._gone), down)
        return up, down

    def settle(self, now_ns: int) -> None:
        """The account meets the price where it is now: the margin first where it is gone, then stops, then what
        rests."""
        now_ms = now_ns // 1_000_000
        account, ticks = self.account, self.price / self.tick
        up, down = self.levels()
        if not self._waits and down + self._hair < self.price < up - self._hair:
            return
        if self._gone and (self.price - self._gone) * self.lots <= 0:
            account.liquidation.check(now_ms, self)
        if account.resting:
            account.work(now_ms, self)
        if account.conditionals.open:
            account.conditionals.trigger(self.symbol, ticks, ticks, now_ms, self)
        if account.resting:
            self._resting = True
            account.match(self.symbol, [], now_ms, self)
            self._resting = False

    def fund(self, stamp_ns: int) -> None:
        """A settlement of what is held."""
        before = self.account.ledger.funding
        self.account.fund(self.symbol, self.rate_at(stamp_ns), stamp_ns // 1_000_000, self)
        self.funded += float(self.account.ledger.funding - before)

    def rate_at(self, stamp_ns: int) -> float:
        """What is settled then, as a fraction: by the given rates (0 where they name none), else the usual one."""
        return FUNDING_RATE if self._rates is None else self._rates.get(stamp_ns, 0.0)

    def take_events(self) -> list[UserEvent]:
        """What happened on the account since the last call; to be called before the price moves on."""
        events, self.account.events = self.account.events, []
        if events:
            self._known = False
            self.account.ledger.shorten(KEPT_ROWS)
            for event in events:
                if isinstance(event, OrderEvent) and event.fill is not None:
                    self.paid[event.fill.trade_id] = NOTHING if event.fill.maker else self._cost(event.fill)
        return events

    def _cost(self, fill: Fill) -> Paid:
        """Of a taken fill: how far from the price the touch was, and how far beyond it the fill."""
        sign = 1 if fill.side_buy else -1
        qty = fill.lots * self.step
        bid, ask = self.touch(self.symbol)
        touch = (ask if fill.side_buy else bid) * self.tick
        return Paid(
            spread=sign * (touch - self.price) * qty, slippage=sign * (fill.price_ticks * self.tick - touch) * qty
        )

    # ---- liquidity for the account -----------------------------------------------------------------------------------

    def touch(self, symbol: str) -> tuple[int, int]:
        """Best bid and ask in ticks, around the price."""
        ticks = self.price / self.tick
        spread = max(1, round(self.costs.spread_bp * 1e-4 * ticks))
        bid = max(1, floor(ticks - (spread - 1) / 2 + 1e-6))
        return bid, bid + spread

    def consume(self, symbol: str, side_buy: bool, qty_lots: int, limit_ticks: int | None) -> list[tuple[int, int]]:
        """What is left of the bar's share, at one price, or nothing. Without a limit, which is how the venue itself
        closes an account, all of it."""
        if self._resting:
            if limit_ticks is None or not self._through(side_buy, limit_ticks):
                return []
            return self._parted(limit_ticks, qty_lots)
        bid, ask = self.touch(symbol)
        best = ask if side_buy else bid
        if limit_ticks is not None and (best > limit_ticks if side_buy else best < limit_ticks):
            return []
        lots = qty_lots if limit_ticks is None else min(qty_lots, self._share.left)
        slip = self.slip(lots)
        ticks = best + slip if side_buy else max(1, best - slip)
        if limit_ticks is None:
            return [(ticks, lots)]
        return self._parted(min(ticks, limit_ticks) if side_buy else max(ticks, limit_ticks), qty_lots)

    def _parted(self, ticks: int, qty_lots: int) -> list[tuple[int, int]]:
        """As much of it as the bar has left."""
        lots = self._share.take(qty_lots)
        if lots < qty_lots:
            self._short, self._known = True, False
        return [(ticks, lots)] if lots else []

    def _through(self, side_buy: bool, limit_ticks: int) -> bool:
        """The price has traded through a limit."""
        # prices are floats: a hair short of through is through
        ticks = self.price / self.tick
        return ticks <= limit_ticks - 1 + 1e-6 if side_buy else ticks >= limit_ticks + 1 - 1e-6

    def slip(self, qty_lots: int) -> int:
        """How far beyond the touch an order of that size is filled, in ticks."""
        ticks = self.price / self.tick
        share = min(1.0, qty_lots * self.step / self.day_volume) if self.day_volume > 0 else 0.0
        impact = self.costs.impact * self.day_range / self.tick * sqrt(share)
        return max(1, ceil(max(self.costs.slippage_bp * 1e-4 * ticks, impact) - 1e-9))

    def available(self, symbol: str, side_buy: bool, limit_ticks: int) -> int:
        """Lots that a taker could have at that price or better."""
        bid, ask = self.touch(symbol)
        return self._share.left if (ask <= limit_ticks if side_buy else bid >= limit_ticks) else 0

    def mark(self, symbol: str) -> float:
        return self.price

    def last(self, symbol: str) -> float:
        return self.price


def instrument_of(spec: SymbolSpec) -> Instrument:
    """A contract of the venue's as the engine is told of it."""
    return Instrument(
        symbol=spec.symbol,
        venue=Venue.BINANCE,
        base=spec.base,
        tick=spec.tick,
        step=spec.step,
        min_qty=spec.min_qty,
        max_qty=spec.max_qty,
        market_max_qty=spec.market_max_qty,
        min_notional=spec.min_notional,
    )
