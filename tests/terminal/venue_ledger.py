"""What a practice venue itself holds of an account, read over its signed REST; and where a venue listens."""

import hashlib
import hmac
import json
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

Row = dict[str, Any]


class Ledger:
    """The account as the venue keeps it. Every call is one signed request, and counts in the venue's weight limit."""

    def __init__(self, rest_url: str, api_key: str, api_secret: str) -> None:
        self.rest_url = rest_url
        self._key, self.secret = api_key, api_secret

    def get(self, path: str, **params: str | int) -> Any:
        """GET `path`. Raises urllib.error.HTTPError for a refusal."""
        query = urlencode({**params, "timestamp": time.time_ns() // 1_000_000, "recvWindow": 5_000})
        signature = hmac.new(self.secret.encode(), query.encode(), hashlib.sha256).hexdigest()
        request = urllib.request.Request(
            f"{self.rest_url}{path}?{query}&signature={signature}", headers={"X-MBX-APIKEY": self._key}
        )
        with urllib.request.urlopen(request, timeout=5) as reply:
            return json.loads(reply.read())

    def positions(self) -> dict[str, float]:
        """Signed quantity by symbol, of what is not flat. Weight 5."""
        rows: list[Row] = self.get("/fapi/v3/positionRisk")
        return {row["symbol"]: float(row["positionAmt"]) for row in rows if float(row["positionAmt"])}

    def stops(self, symbol: str) -> list[Row]:
        """Conditional orders of a symbol that still wait and stop a loss. Weight 1."""
        rows: list[Row] = self.get("/fapi/v1/openAlgoOrders", symbol=symbol)
        return [row for row in rows if row["orderType"].startswith("STOP")]

    def open_orders(self, symbol: str) -> list[Row]:
        """Plain orders of a symbol that still work. Weight 1."""
        rows: list[Row] = self.get("/fapi/v1/openOrders", symbol=symbol)
        return rows

    def orders(self, symbol: str) -> list[Row]:
        """Every plain order that a symbol ever had. Weight 5."""
        rows: list[Row] = self.get("/fapi/v1/allOrders", symbol=symbol)
        return rows

    def trades(self, symbol: str) -> list[Row]:
        """Every fill of a symbol. Weight 5."""
        rows: list[Row] = self.get("/fapi/v1/userTrades", symbol=symbol)
        return rows

    def entries(self, symbols: tuple[str, ...]) -> list[Row]:
        """Every order that could have opened something. Weight 5 a symbol."""
        return [row for symbol in symbols for row in self.orders(symbol) if not row["reduceOnly"]]


def listening_port(pid: int) -> int:
    """The TCP port that a process listens on, 0 for none."""
    held = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            held.add(str(entry.readlink()))
        except OSError:
            continue
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in held:
            return int(fields[1].rpartition(":")[2], 16)
    return 0
