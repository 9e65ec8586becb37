"""Dominance and total cap as CoinMarketCap (with a key) and CoinGecko (without one) answer for them.

Shapes: CoinMarketCap's global metrics v1 and CoinGecko's v3, as their pages and public clients have them. Their times
are the market's.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Protocol

from nexus_engine.sim.past import MACRO_NS, Macro
from nexus_engine.sim.rules import VenueError
from nexus_engine.sim.spoil import Reply
from nexus_engine.sim.wire import Json

LATEST: Final = "/v1/global-metrics/quotes/latest"
HISTORICAL: Final = "/v1/global-metrics/quotes/historical"
GLOBAL: Final = "/api/v3/global"
PATHS: Final = (LATEST, HISTORICAL, GLOBAL)
KEY_HEADER: Final = "X-CMC_PRO_API_KEY"
_COUNT: Final = 10
_MOST: Final = 10_000


class Source(Protocol):
    """A market that knows its dominance and cap."""

    def macro(self) -> list[Macro]: ...
    def macro_now(self) -> Macro: ...


class KeyCheck(Protocol):
    def check(self, key: str) -> None: ...


def answer(path: str, params: Mapping[str, str], key: str, keys: KeyCheck, market: object) -> Reply:
    """What a request is told. A market that knows no macro (a recording) has no such service."""
    if not (hasattr(market, "macro") and hasattr(market, "macro_now")):
        return Reply({"status": _status(404, "Not Found")}, 404)
    source: Source = market
    if path == GLOBAL:
        return Reply(_gecko(source.macro()[-1]))
    try:
        keys.check(key)
    except VenueError:
        code, text = (1002, "API key missing.") if not key else (1001, "This API Key is invalid.")
        return Reply({"status": _status(code, text)}, 401)
    if path == LATEST:
        return Reply({"status": _status(0, None), "data": _quote(source.macro_now(), "last_updated")})
    if params.get("interval", "1d") != "10m":
        return Reply({"status": _status(400, '"interval" must be 10m here')}, 400)
    try:
        count = int(params.get("count", _COUNT))
    except ValueError:
        count = 0
    if not 0 < count <= _MOST:
        return Reply({"status": _status(400, '"count" must be between 1 and 10000')}, 400)
    rows = [row for row in source.macro() if row[0] % MACRO_NS == 0][-count:]
    return Reply({"status": _status(0, None), "data": {"quotes": [_quote(row, "timestamp") for row in rows]}})


def _status(code: int, text: str | None) -> Json:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "timestamp": now, "error_code": code, "error_message": text, "elapsed": 10, "credit_count": 0 if code else 1,
        "notice": None,
    }  # fmt: skip


def _quote(row: Macro, stamp: str) -> Json:
    at_ns, dominance, cap = row
    at = datetime.fromtimestamp(at_ns / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    usd = {
        "total_market_cap": cap, "total_volume_24h": cap * 0.04, "altcoin_market_cap": cap * (1 - dominance / 100),
        stamp: at,
    }  # fmt: skip
    return {"btc_dominance": dominance, "eth_dominance": 12.0, stamp: at, "quote": {"USD": usd}}


def _gecko(row: Macro) -> Json:
    at_ns, dominance, cap = row
    return {
        "data": {
            "active_cryptocurrencies": 17_000, "markets": 1_200, "total_market_cap": {"usd": cap},
            "total_volume": {"usd": cap * 0.04}, "market_cap_percentage": {"btc": dominance, "eth": 12.0},
            "market_cap_change_percentage_24h_usd": 0.0, "updated_at": at_ns // 1_000_000_000,
        }
    }  # fmt: skip
