"""Market data as Binance USD-M writes it: the values, and the events of the streams, one function a shape.

Numbers are strings, times milliseconds; market events carry market time. Shapes: the official SDK's examples.
"""

# fmt: off  (a shape reads better in rows of keys than one key a line)
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from nexus_engine.sim.bars import Bar
from nexus_engine.sim.specs import SymbolSpec

Json = dict[str, Any]
Levels = Sequence[tuple[int, int]]
Day = Mapping[str, float]  # the last 24 hours, as `Market.ticker` describes them
MS = 1_000_000


class Diff(msgspec.Struct, frozen=True, gc=False):
    """Changed levels between two update ids; quantities are absolute lots, 0 removes."""

    first_id: int
    last_id: int
    previous_id: int
    bids: Levels
    asks: Levels
    at_ns: int


class Trade(msgspec.Struct, frozen=True, gc=False):
    """A public trade, or several of one price and side: `first_id` to `last_id` are the trades in it."""

    trade_id: int
    price_ticks: int
    lots: int
    first_id: int
    last_id: int
    buyer_is_maker: bool
    at_ns: int


class Scale:
    """Writes a symbol's ticks and lots as the venue prints them."""

    __slots__ = ("lots", "price_format", "qty_format", "spec", "ticks")

    def __init__(self, spec: SymbolSpec) -> None:
        self.spec = spec
        self.ticks = float(10**spec.tick_digits)
        self.lots = float(10**spec.step_digits)
        self.price_format = f".{spec.price_precision}f"
        self.qty_format = f".{spec.qty_precision}f"

    def price(self, ticks: int) -> str:
        return format(ticks / self.ticks, self.price_format)

    def qty(self, lots: int) -> str:
        return format(lots / self.lots, self.qty_format)

    def at(self, price: float) -> str:
        """A price that is a float already (of a bar)."""
        return format(price, self.price_format)

    def amount(self, quantity: float) -> str:
        return format(quantity, self.qty_format)

    def levels(self, levels: Levels) -> list[tuple[str, str]]:
        ticks, lots, price, qty = self.ticks, self.lots, self.price_format, self.qty_format
        return [(format(t / ticks, price), format(q / lots, qty)) for t, q in levels]


class FundingPaid(msgspec.Struct, frozen=True):
    symbol: str
    rate: float
    mark: float
    at_ns: int


def plain(value: Decimal, digits: int = 8) -> str:
    """A Decimal without exponent, as the venue writes money."""
    return format(value, f".{digits}f")


def depth_update(scale: Scale, diff: Diff) -> Json:
    at_ms = diff.at_ns // MS
    symbol = scale.spec.symbol
    return {
        "e": "depthUpdate",
        "E": at_ms,
        "T": at_ms,
        "s": symbol,
        "U": diff.first_id,
        "u": diff.last_id,
        "pu": diff.previous_id,
        "b": scale.levels(diff.bids),
        "a": scale.levels(diff.asks),
        "ps": symbol,
        "st": 1,
    }


def book_ticker(scale: Scale, update_id: int, bid: tuple[int, int], ask: tuple[int, int], at_ns: int) -> Json:
    at_ms = at_ns // MS
    symbol = scale.spec.symbol
    return {
        "e": "bookTicker",
        "u": update_id,
        "s": symbol,
        "ps": symbol,
        "b": scale.price(bid[0]),
        "B": scale.qty(bid[1]),
        "a": scale.price(ask[0]),
        "A": scale.qty(ask[1]),
        "T": at_ms,
        "E": at_ms,
        "st": 1,
    }


def trade(scale: Scale, row: Trade) -> Json:
    at_ms = row.at_ns // MS
    return {
        "e": "trade",
        "E": at_ms,
        "T": at_ms,
        "s": scale.spec.symbol,
        "t": row.trade_id,
        "p": scale.price(row.price_ticks),
        "q": scale.qty(row.lots),
        "X": "MARKET",
        "m": row.buyer_is_maker,
    }


def agg_trade(scale: Scale, row: Trade, at_ns: int) -> Json:
    quantity = scale.qty(row.lots)
    return {
        "e": "aggTrade",
        "E": at_ns // MS,
        "s": scale.spec.symbol,
        "a": row.trade_id,
        "p": scale.price(row.price_ticks),
        "q": quantity,
        "nq": quantity,
        "f": row.first_id,
        "l": row.last_id,
        "T": row.at_ns // MS,
        "m": row.buyer_is_maker,
        "st": 1,
    }


def _bar(scale: Scale, bar: Bar, interval: str) -> Json:
    return {
        "t": bar.open_ns // MS,
        "T": bar.close_ns // MS,
        "i": interval,
        "f": 0,
        "L": 0,
        "o": scale.at(bar.open),
        "c": scale.at(bar.close),
        "h": scale.at(bar.high),
        "l": scale.at(bar.low),
        "v": scale.amount(bar.volume),
        "n": bar.trades,
        "x": bar.closed,
        "q": f"{bar.quote_volume:.5f}",
        "V": scale.amount(bar.taker_buy_volume),
        "Q": f"{bar.taker_buy_quote_volume:.5f}",
        "B": "0",
    }


def kline(scale: Scale, bar: Bar, interval: str, at_ns: int) -> Json:
    symbol = scale.spec.symbol
    return {"e": "kline", "E": at_ns // MS, "s": symbol, "k": {"s": symbol, **_bar(scale, bar, interval)}, "st": 1}


def continuous_kline(scale: Scale, bar: Bar, interval: str, at_ns: int) -> Json:
    return {
        "e": "continuous_kline",
        "E": at_ns // MS,
        "ps": scale.spec.symbol,
        "ct": "PERPETUAL",
        "k": _bar(scale, bar, interval),
    }


def mark_price(symbol: str, mark: float, index: float, rate: float, next_funding_ns: int, at_ns: int) -> Json:
    price = f"{mark:.8f}"
    return {
        "e": "markPriceUpdate",
        "E": at_ns // MS,
        "s": symbol,
        "p": price,
        "ap": price,
        "P": price,
        "i": f"{index:.8f}",
        "r": f"{rate:.8f}",
        "T": next_funding_ns // MS,
        "st": 1,
    }


def ticker(scale: Scale, day: Day) -> Json:
    return {
        "e": "24hrTicker",
        "E": int(day["close_ns"]) // MS,
        "s": scale.spec.symbol,
        "ps": scale.spec.symbol,
        "st": 1,
        "p": scale.at(day["change"]),
        "P": f"{day['change_pct']:.3f}",
        "w": scale.at(day["weighted_avg"]),
        "c": scale.at(day["last"]),
        "Q": scale.amount(day["last_qty"]),
        "o": scale.at(day["open"]),
        "h": scale.at(day["high"]),
        "l": scale.at(day["low"]),
        "v": scale.amount(day["volume"]),
        "q": f"{day['quote_volume']:.2f}",
        "O": int(day["open_ns"]) // MS,
        "C": int(day["close_ns"]) // MS,
        "F": 0,
        "L": 0,
        "n": int(day["count"]),
    }


def mini_ticker(scale: Scale, day: Day) -> Json:
    full = ticker(scale, day)
    return {key: full[key] for key in ("E", "s", "ps", "st", "c", "o", "h", "l", "v", "q")} | {"e": "24hrMiniTicker"}
