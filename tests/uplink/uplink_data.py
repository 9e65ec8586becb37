"""Clocks, symbols and messages for the uplink's tests."""

from decimal import Decimal
from typing import Any

import msgspec

from nexus_engine.model.instruments import Instrument
from nexus_engine.model.secret import Secret
from nexus_engine.uplink.binance.settings import BinanceSettings

KEY, SECRET = "visible-key-" + "k" * 20, "visible-secret-" + "s" * 20


class HandClock:
    """Stands still until it is moved."""

    def __init__(self, at_ns: int = 1_700_000_040_000_000_000) -> None:
        self.at_ns = at_ns
        self.passed_ns = 1_000_000_000

    def utc_ns(self) -> int:
        return self.at_ns

    def mono_ns(self) -> int:
        return self.passed_ns

    def pass_s(self, seconds: float) -> None:
        self.at_ns += int(seconds * 1e9)
        self.passed_ns += int(seconds * 1e9)


def instrument(symbol: str = "BTCUSDT", tick: str = "0.1") -> Instrument:
    return Instrument(
        symbol=symbol,
        tick=Decimal(tick),
        step=Decimal("0.001"),
        min_qty=Decimal("0.001"),
        max_qty=Decimal(1000),
        market_max_qty=Decimal(100),
        min_notional=Decimal(5),
    )


def settings(rest_url: str = "http://127.0.0.1:9", ws_url: str = "ws://127.0.0.1:9", **changes: Any) -> BinanceSettings:
    given = {
        "rest_url": rest_url,
        "ws_url": ws_url,
        "api_key": Secret(KEY),
        "api_secret": Secret(SECRET),
        "symbols": ("BTCUSDT",),
        "intervals": ("1m",),
        "warmup_bars": 50,
        "leverage": 3,
    }
    return BinanceSettings(**(given | changes))  # type: ignore[arg-type]


def order_message(**changes: Any) -> bytes:
    """ORDER_TRADE_UPDATE of a market order that filled at once."""
    body = {
        "s": "BTCUSDT", "c": "nxab-1-1e1", "S": "BUY", "o": "MARKET", "f": "GTC", "q": "0.010", "p": "0",
        "ap": "100.00", "sp": "0", "x": "TRADE", "X": "FILLED", "i": 77, "l": "0.010", "z": "0.010", "L": "100.0",
        "N": "USDT", "n": "0.0005", "T": 1_700_000_000_000, "t": 9001, "m": False, "R": False, "ps": "BOTH",
        "rp": "0", "er": "0",
    }  # fmt: skip
    return msgspec.json.encode({"e": "ORDER_TRADE_UPDATE", "E": 1_700_000_000_001, "T": 1, "o": body | changes})


def algo_message(**changes: Any) -> bytes:
    """ALGO_UPDATE of a stop."""
    body = {
        "caid": "nxab-1-1s1", "aid": 501, "at": "CONDITIONAL", "o": "STOP_MARKET", "s": "BTCUSDT", "S": "SELL",
        "ps": "BOTH", "f": "GTC", "q": "0.010", "X": "NEW", "ai": "", "tp": "95.0", "p": "0", "R": True,
    }  # fmt: skip
    return msgspec.json.encode({"e": "ALGO_UPDATE", "E": 1_700_000_000_002, "T": 2, "o": body | changes})
