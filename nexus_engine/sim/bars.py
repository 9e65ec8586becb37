"""Bars: the intervals, the row every bar is kept as, and the candles of one symbol as trades arrive."""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec
import numpy as np
import numpy.typing as npt

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS

INTERVALS: Mapping[str, int] = MappingProxyType(
    {
        name: minutes * MINUTE_NS
        for name, minutes in {
            "1m": 1,
            "3m": 3,
            "5m": 5,
            "15m": 15,
            "30m": 30,
            "1h": 60,
            "2h": 120,
            "4h": 240,
            "6h": 360,
            "8h": 480,
            "12h": 720,
            "1d": 1440,
        }.items()
    }
)

# A row keeps ticks and lots, so that sums are exact and every interval agrees with every other to the last digit.
OPEN, HIGH, LOW, CLOSE, LOTS, QUOTE, COUNT, TAKER_LOTS, TAKER_QUOTE = range(9)
COLUMNS = 9
Row = list[int]
Rows = npt.NDArray[np.int64]

KEPT = 1600  # closed bars of an interval that are always there: more than the 1,500 one request may ask for


class Bar(msgspec.Struct, frozen=True, gc=False):
    """A kline. Prices in USDT, volumes in base units, quote volumes in USDT, times integer ns of market time."""

    open_ns: int
    close_ns: int  # the last millisecond of the bar, as the venue writes it
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    trades: int
    taker_buy_volume: float
    taker_buy_quote_volume: float
    closed: bool


def merge(into: Row, row: Row) -> None:
    """Add a later row to an earlier one, in place."""
    into[HIGH] = max(into[HIGH], row[HIGH])
    into[LOW] = min(into[LOW], row[LOW])
    into[CLOSE] = row[CLOSE]
    for column in range(LOTS, COLUMNS):
        into[column] += row[column]


class _Series:
    """The closed bars of one interval: a block of rows that grows to twice KEPT and then forgets its older half."""

    __slots__ = ("first_ns", "rows", "size", "step_ns")

    def __init__(self, step_ns: int, end_ns: int, past: Rows) -> None:
        self.step_ns = step_ns
        self.size = len(past)
        self.first_ns = end_ns - self.size * step_ns
        self.rows: Rows = np.empty((2 * KEPT, COLUMNS), dtype=np.int64)
        self.rows[: self.size] = past

    def append(self, row: Row) -> None:
        if self.size == len(self.rows):
            self.rows[:KEPT] = self.rows[-KEPT:]
            self.first_ns += (self.size - KEPT) * self.step_ns
            self.size = KEPT
        self.rows[self.size] = row
        self.size += 1

    @property
    def end_ns(self) -> int:
        return self.first_ns + self.size * self.step_ns


class Candles:
    """Bars of one symbol in every interval.

    `past` maps an interval to its closed rows, oldest first; `partial` maps it to the row of the minutes already
    closed inside its bar in progress, or None at a boundary. Both end at `minute_ns`, where the tape begins.
    """

    __slots__ = ("_lots", "_open", "_partial", "_series", "_ticks", "forming_row")

    def __init__(
        self,
        *,
        minute_ns: int,
        past: Mapping[str, Rows],
        partial: Mapping[str, Row | None],
        last_ticks: int,
        tick_digits: int,
        step_digits: int,
    ) -> None:
        self._series = {
            name: _Series(step_ns, minute_ns // step_ns * step_ns, past[name][-KEPT:])
            for name, step_ns in INTERVALS.items()
        }
        self._partial = dict(partial)
        self._open = minute_ns
        self._ticks = float(10**tick_digits)
        self._lots = float(10**step_digits)
        self.forming_row: Row = [last_ticks] * 4 + [0] * 5

    def trade(self, ticks: int, lots: int, taker_buys: bool) -> None:
        """Count one trade in the minute in progress."""
        row = self.forming_row
        row[CLOSE] = ticks
        if ticks > row[HIGH]:
            row[HIGH] = ticks
        elif ticks < row[LOW]:
            row[LOW] = ticks
        row[LOTS] += lots
        row[QUOTE] += ticks * lots
        row[COUNT] += 1
        if taker_buys:
            row[TAKER_LOTS] += lots
            row[TAKER_QUOTE] += ticks * lots

    def close_minute(self) -> None:
        """Close the minute in progress, and every longer bar that ends with it."""
        row = self.forming_row
        self._open += MINUTE_NS
        for name, series in self._series.items():
            held = self._partial[name]
            if held is None:
                held = row.copy()
            else:
                merge(held, row)
            if self._open % series.step_ns == 0:
                series.append(held)
                held = None
            self._partial[name] = held
        self.forming_row = [row[CLOSE]] * 4 + [0] * 5

    def forming(self, interval: str) -> Bar:
        """The bar in progress."""
        held = self._partial[interval]
        if held is None:
            row = self.forming_row
        else:
            row = held.copy()
            merge(row, self.forming_row)
        series = self._series[interval]
        return self._bar(series.end_ns, series.step_ns, row, closed=False)

    def bars(self, interval: str, start_ns: int | None, end_ns: int | None, limit: int) -> list[Bar]:
        """Bars whose open lies in [start_ns, end_ns], oldest first, the one in progress included.

        As on the venue: with a start the first `limit` of them, without one the last.
        """
        series = self._series[interval]
        step_ns, first = series.step_ns, series.first_ns
        low = 0 if start_ns is None else max(0, -((first - start_ns) // step_ns))
        high = series.size + 1 if end_ns is None else max(0, min(series.size, (end_ns - first) // step_ns) + 1)
        if start_ns is None:
            low = max(low, high - limit)
        else:
            high = min(high, low + limit)
        closed = series.rows[low : min(high, series.size)].tolist()
        out = [self._bar(first + (low + i) * step_ns, step_ns, row, closed=True) for i, row in enumerate(closed)]
        if low <= series.size < high:
            out.append(self.forming(interval))
        return out

    def closes(self, interval: str, count: int) -> list[float]:
        """The last `count` closes of closed bars, oldest first."""
        series = self._series[interval]
        return [ticks / self._ticks for ticks in series.rows[series.size - count : series.size, CLOSE].tolist()]

    def day(self) -> tuple[int, Row]:
        """The last 24 hours as one row, and when they began."""
        minutes = self._series["1m"]
        block = minutes.rows[minutes.size - 1439 : minutes.size]
        row = [int(block[0, OPEN]), int(block[:, HIGH].max()), int(block[:, LOW].min()), 0]
        row += block[:, LOTS:].sum(axis=0).tolist()
        merge(row, self.forming_row)
        return minutes.end_ns - 1439 * MINUTE_NS, row

    def ticker(self, now_ns: int) -> dict[str, float]:
        """Of the day that forms, as a market without a past tells it; names as in Market.ticker."""
        day = self.forming("1d")
        return {
            "open_ns": day.open_ns, "close_ns": now_ns, "open": day.open, "high": day.high, "low": day.low,
            "last": day.close, "last_qty": 0.0, "change": day.close - day.open,
            "change_pct": (day.close / day.open - 1.0) * 100.0,
            "weighted_avg": day.quote_volume / day.volume if day.volume else day.close, "volume": day.volume,
            "quote_volume": day.quote_volume, "count": day.trades,
        }  # fmt: skip

    def price(self, ticks: int) -> float:
        """USDT of a price in ticks, correctly rounded."""
        return ticks / self._ticks

    def volume(self, lots: int) -> float:
        """Base units of a quantity in lots."""
        return lots / self._lots

    def quote(self, ticks_lots: int) -> float:
        """USDT of a sum of ticks x lots."""
        return ticks_lots / self._ticks / self._lots

    def _bar(self, open_ns: int, step_ns: int, row: Row, *, closed: bool) -> Bar:
        price, lots = self._ticks, self._lots
        return Bar(
            open_ns,
            open_ns + step_ns - 1_000_000,
            row[OPEN] / price,
            row[HIGH] / price,
            row[LOW] / price,
            row[CLOSE] / price,
            row[LOTS] / lots,
            row[QUOTE] / price / lots,
            row[COUNT],
            row[TAKER_LOTS] / lots,
            row[TAKER_QUOTE] / price / lots,
            closed,
        )
