"""Bitcoin's dominance and the whole market's cap: CoinMarketCap with a key, CoinGecko without one.

Asked every ten minutes. Whatever goes wrong, the last value stays where it is and grows old, and one line says why.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from math import isfinite
from types import MappingProxyType
from typing import Final, NamedTuple

import aiohttp
import msgspec

from nexus_engine.model.events import MacroSample
from nexus_engine.model.macro import MacroRow
from nexus_engine.model.ports import Clock, Sink
from nexus_engine.model.secret import Secret
from nexus_engine.model.verdicts import Reading
from nexus_engine.uplink.lost import lost
from nexus_engine.uplink.unreadable import UNREADABLE

POLL_S: Final = 600.0
AGAIN_S: Final = 60.0
"""After a first failure; twice as long after each further one, up to a poll."""
LONGEST_S: Final = 3600.0
"""However long a source asks to be left alone."""
DEADLINE_S: Final = 10.0
MOST_BYTES: Final = 4 << 20
PAST: Final = 96 * 6
"""Samples of the past that are asked for at most."""
NO_KEY: Final = Secret("")
_CONTROL: Final = dict.fromkeys((*range(32), *range(127, 160)))


class MacroError(Exception):
    """The source gave nothing that can be used; the message is one line. `wait_s`: how long it wants to be left."""

    def __init__(self, text: str, wait_s: float = 0.0) -> None:
        super().__init__(text)
        self.wait_s = wait_s


# ---- what the sources say --------------------------------------------------------------------------------------------


class _CmcUsd(msgspec.Struct):
    total_market_cap: float


class _CmcQuote(msgspec.Struct):
    USD: _CmcUsd


class _CmcRow(msgspec.Struct):
    btc_dominance: float
    quote: _CmcQuote
    last_updated: datetime | None = None
    timestamp: datetime | None = None


class _CmcStatus(msgspec.Struct):
    error_code: int | str = 0
    error_message: str | None = None


class _CmcLatest(msgspec.Struct):
    data: _CmcRow
    status: _CmcStatus = msgspec.field(default_factory=_CmcStatus)


class _CmcQuotes(msgspec.Struct):
    quotes: list[_CmcRow]


class _CmcPast(msgspec.Struct):
    data: _CmcQuotes


class _CmcFailed(msgspec.Struct):
    status: _CmcStatus


class _GeckoData(msgspec.Struct):
    total_market_cap: dict[str, float]
    market_cap_percentage: dict[str, float]
    updated_at: int


class _Gecko(msgspec.Struct):
    data: _GeckoData


def _cmc_row(row: _CmcRow) -> MacroRow:
    at = row.last_updated or row.timestamp
    if at is None or at.tzinfo is None:
        raise MacroError("it does not say of when its numbers are")
    return _checked(MacroRow(int(at.timestamp() * 1e6) * 1000, row.btc_dominance, row.quote.USD.total_market_cap))


def _cmc_latest(body: bytes) -> MacroRow:
    return _cmc_row(msgspec.json.decode(body, type=_CmcLatest).data)


def _cmc_past(body: bytes) -> tuple[MacroRow, ...]:
    rows = (_cmc_row(row) for row in msgspec.json.decode(body, type=_CmcPast).data.quotes)
    return tuple(sorted(rows, key=lambda row: row.venue_ns))


def _gecko_latest(body: bytes) -> MacroRow:
    data = msgspec.json.decode(body, type=_Gecko).data
    if "btc" not in data.market_cap_percentage or "usd" not in data.total_market_cap:
        raise MacroError("it has neither the percentage of btc nor the cap in usd any more")
    row = MacroRow(data.updated_at * 1_000_000_000, data.market_cap_percentage["btc"], data.total_market_cap["usd"])
    return _checked(row)


def _checked(row: MacroRow) -> MacroRow:
    if not (0.0 < row.dominance < 100.0 and isfinite(row.cap) and row.cap > 0.0 and row.venue_ns > 0):
        raise MacroError(f"its numbers cannot be: dominance {row.dominance:g}, cap {row.cap:g}")
    return row


class Api(NamedTuple):
    """How a source is asked."""

    title: str
    url: str
    latest: str
    query: Mapping[str, str]
    read: Callable[[bytes], MacroRow]
    key_header: str = ""
    past: str = ""


CMC, GECKO = "coinmarketcap", "coingecko"
APIS: Final[Mapping[str, Api]] = MappingProxyType(
    {
        CMC: Api(
            "CoinMarketCap", "https://pro-api.coinmarketcap.com", "/v1/global-metrics/quotes/latest",
            {"convert": "USD"}, _cmc_latest, "X-CMC_PRO_API_KEY", "/v1/global-metrics/quotes/historical",
        ),
        GECKO: Api("CoinGecko", "https://api.coingecko.com", "/api/v3/global", {}, _gecko_latest),
    }
)  # fmt: skip


class MacroFeed:
    """One source, asked for ever. `known_ns` is the source's time of the newest sample that the journal has of it, 0
    for none: with a key whose plan allows it, the time since is asked for once, four days at most."""

    def __init__(
        self, source: str, clock: Clock, *, url: str = "", key: Secret = NO_KEY, known_ns: int = 0,
        poll_s: float = POLL_S, deadline_s: float = DEADLINE_S,
    ) -> None:  # fmt: skip
        self.source = source
        self._api = APIS[source]
        self._url = (url or self._api.url).rstrip("/")
        self._key = key
        self._clock = clock
        self._known_ns = known_ns
        self._poll_s = poll_s
        self._deadline = aiohttp.ClientTimeout(total=deadline_s)
        self._deadline_s = deadline_s
        self._told = self._failed = 0
        self.problem = ""
        """What is wrong with the source, in one line; empty when all is well."""

    def readings(self) -> tuple[Reading, ...]:
        """What it counts, for the screen."""
        return (Reading("macro samples", self._told), Reading("macro polls failed", self._failed))

    async def run(self, sink: Sink) -> None:
        """Deliver until cancelled."""
        again_s = min(AGAIN_S, self._poll_s)
        async with aiohttp.ClientSession(timeout=self._deadline) as http:
            await self._tell_past(http, sink)
            while True:
                try:
                    self._tell(sink, (self._api.read(await self._ask(http, self._api.latest, self._api.query)),))
                    self.problem, again_s, wait_s = "", min(AGAIN_S, self._poll_s), self._poll_s
                except (MacroError, *UNREADABLE) as error:
                    self._failed += 1
                    self.problem = f"{self._api.title}: {_line(error)}"
                    wait_s = max(again_s, min(LONGEST_S, getattr(error, "wait_s", 0.0)))
                    again_s = min(again_s * 2, self._poll_s)
                await asyncio.sleep(wait_s)

    async def _tell_past(self, http: aiohttp.ClientSession, sink: Sink) -> None:
        """A plan without history refuses; then our own has to grow, and nothing is wrong."""
        missing = PAST if not self._known_ns else int((self._clock.utc_ns() - self._known_ns) / 1e9 // POLL_S)
        if not (self._api.past and self._key) or missing < 2:
            return
        try:
            query = {"interval": "10m", "count": str(min(PAST, missing)), "convert": "USD"}
            self._tell(sink, _cmc_past(await self._ask(http, self._api.past, query)))
        except (MacroError, *UNREADABLE):
            self._failed += 1

    def _tell(self, sink: Sink, rows: tuple[MacroRow, ...]) -> None:
        fresh = tuple(row for row in rows if row.venue_ns > self._known_ns)
        if not fresh:
            return
        self._known_ns = fresh[-1].venue_ns
        self._told += len(fresh)
        at_ns, mono_ns = self._clock.utc_ns(), self._clock.mono_ns()
        sink(MacroSample(at_ns=at_ns, mono_ns=mono_ns, source=self.source, rows=fresh))

    async def _ask(self, http: aiohttp.ClientSession, path: str, query: Mapping[str, str]) -> bytes:
        """A JSON body. Raises MacroError. A redirect is not followed: it would take the key along."""
        headers = {"Accept": "application/json", "User-Agent": "nexus"}
        if self._api.key_header and self._key:
            headers[self._api.key_header] = self._key.reveal()
        problem = ""
        try:
            async with http.get(self._url + path, params=query, headers=headers, allow_redirects=False) as reply:
                body = await _read(reply)
                status, retry_after, kind = reply.status, reply.headers.get("Retry-After", ""), reply.content_type
        except TimeoutError:
            problem = f"no answer within {self._deadline_s:g} s"
        except (aiohttp.ClientError, OSError) as error:
            problem = lost(error)
        if problem:  # raised out of the handler: what is chained to it holds the request, and that the key
            raise MacroError(problem)
        if status == 200 and "json" in kind:
            return body
        raise self._refused(status, retry_after, kind, body)

    def _refused(self, status: int, retry_after: str, kind: str, body: bytes) -> MacroError:
        said = "" if "json" not in kind else self._said(body)
        if status == 429:
            wait_s = float(retry_after) if retry_after.isascii() and retry_after.isdecimal() else self._poll_s
            return MacroError(f"too many requests (429); asked to wait {wait_s:.0f} s", wait_s)
        if status in (401, 402, 403) and "json" in kind:
            return MacroError(f"the key is refused ({status}){said}", self._poll_s)
        if "json" not in kind:
            return MacroError(f"answered with a web page ({status}) instead of data", self._poll_s)
        return MacroError(f"refused with {status}{said}")

    def _said(self, body: bytes) -> str:
        """The source's own words, in which the key is not shown."""
        try:
            text = msgspec.json.decode(body, type=_CmcFailed).status.error_message or ""
        except UNREADABLE:
            return ""
        key = self._key.reveal()
        text = (text.replace(key, "***") if key else text).translate(_CONTROL)
        return f": {text[:100]}" if text else ""


async def _read(reply: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for part in reply.content.iter_chunked(1 << 16):
        body += part
        if len(body) > MOST_BYTES:
            raise MacroError("its answer does not end")
    return bytes(body)


def _line(error: Exception) -> str:
    if isinstance(error, MacroError):
        return str(error)
    return f"its answer is not of the form that is known: {error}".translate(_CONTROL)[:160]
