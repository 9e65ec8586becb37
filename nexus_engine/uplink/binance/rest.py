"""REST of Binance USD-M futures: one table of endpoints over python-binance's signing client.

Every call has its own deadline, spends from one weight budget and ends in a decoded reply or a RestError; nothing is
ever sent twice. The server's clock is followed from its own futures time, once a minute and after every -1021.
"""

import asyncio
import importlib
import re
import warnings
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import aiohttp
import msgspec

from nexus_engine.model.instruments import Instrument
from nexus_engine.model.ports import Clock
from nexus_engine.model.secret import MASK
from nexus_engine.model.words import Outcome
from nexus_engine.uplink.binance import replies
from nexus_engine.uplink.binance.ids import OrderIds
from nexus_engine.uplink.binance.limits import Budget, Urgency
from nexus_engine.uplink.binance.outcomes import CLOCK, KEY_REFUSED, RATE_LIMIT, RestError, classify
from nexus_engine.uplink.binance.settings import AccountRefused, BinanceSettings, UplinkError
from nexus_engine.uplink.counts import Counts
from nexus_engine.uplink.lost import lost
from nexus_engine.uplink.unreadable import UNREADABLE

DEADLINE_S: Final = 5.0
RECV_WINDOW_MS: Final = 5_000
SYNC_S: Final = 60.0
SYNC_RETRY_S: Final = 2.0
CLOSE_S: Final = 1.0
DEFAULT_SILENCE_S: Final = {429: 10.0, 418: 120.0}
"""When the venue asks for silence and does not say for how long; its shortest ban is two minutes."""
_TEXT: Final = 200
_SIGNED: Final = re.compile(r"(signature|listenKey)[=:][^&\s,}]+")
_MS: Final = 1_000_000

T = TypeVar("T")


class Endpoint(msgspec.Struct, Generic[T], frozen=True):
    """A row of the venue's REST table. `weight` is request weight per minute and address."""

    method: str
    path: str
    reply: type[T]
    weight: int = 1
    signed: bool = True
    version: int = 1
    api: str = "futures"


TIME: Final = Endpoint("get", "time", replies.ServerTime, signed=False)
EXCHANGE_INFO: Final = Endpoint("get", "exchangeInfo", replies.ExchangeInfo, signed=False)
DEPTH: Final = Endpoint("get", "depth", replies.DepthReply, weight=20, signed=False)
KLINES: Final = Endpoint("get", "klines", list[replies.KlineRow], weight=10, signed=False)
FUNDING_RATES: Final = Endpoint("get", "fundingRate", list[replies.FundingRow], signed=False)
POSITION_MODE: Final = Endpoint("get", "positionSide/dual", replies.PositionMode, weight=30)
SYMBOL_CONFIG: Final = Endpoint("get", "symbolConfig", list[replies.SymbolConfig], weight=5)
SET_LEVERAGE: Final = Endpoint("post", "leverage", replies.Anything)
SET_MARGIN_TYPE: Final = Endpoint("post", "marginType", replies.Anything)
COMMISSION: Final = Endpoint("get", "commissionRate", replies.Commission, weight=20)
PLACE: Final = Endpoint("post", "order", replies.OrderRow, weight=0)
PLACE_ALGO: Final = Endpoint("post", "algoOrder", replies.AlgoRow, weight=0)
CANCEL: Final = Endpoint("delete", "order", replies.Anything)
CANCEL_ALGO: Final = Endpoint("delete", "algoOrder", replies.Anything)
GET_ORDER: Final = Endpoint("get", "order", replies.OrderRow)
GET_ALGO: Final = Endpoint("get", "algoOrder", replies.AlgoRow)
OPEN_ORDERS: Final = Endpoint("get", "openOrders", list[replies.OrderRow], weight=40)
OPEN_ALGOS: Final = Endpoint("get", "openAlgoOrders", list[replies.AlgoRow], weight=40)
ALL_ORDERS: Final = Endpoint("get", "allOrders", list[replies.OrderRow], weight=5)
ALL_ALGOS: Final = Endpoint("get", "allAlgoOrders", list[replies.AlgoRow], weight=5)
TRADES: Final = Endpoint("get", "userTrades", list[replies.TradeRow], weight=5)
POSITIONS: Final = Endpoint("get", "positionRisk", list[replies.PositionRisk], weight=5, version=3)
BALANCE: Final = Endpoint("get", "balance", list[replies.AssetBalance], weight=5, version=3)
INCOME: Final = Endpoint("get", "income", list[replies.IncomeRow], weight=30)
NEW_LISTEN_KEY: Final = Endpoint("post", "listenKey", replies.ListenKey, signed=False)
ACCOUNT_CONFIG: Final = Endpoint("get", "accountConfig", replies.AccountConfig, weight=5)
API_RESTRICTIONS: Final = Endpoint("get", "account/apiRestrictions", replies.ApiRestrictions, api="margin")
KEEP_LISTEN_KEY: Final = Endpoint("put", "listenKey", replies.Anything, signed=False)


class _Reply(msgspec.Struct, frozen=True):
    """A reply as it came: python-binance's own reading would lose the headers and the text of an error."""

    status: int
    headers: Any
    body: bytes


async def _keep(_client: object, response: aiohttp.ClientResponse) -> _Reply:
    return _Reply(response.status, response.headers, await response.read())


class BinanceRest:
    """The one REST client of a process: feed and broker share its session, its clock offset and its budget."""

    def __init__(self, settings: BinanceSettings, clock: Clock) -> None:
        self.settings = settings
        self.symbols = settings.symbols
        """Those of the settings that the venue lists, once `instruments` has been answered."""
        self.unlisted: tuple[str, ...] = ()
        self.clock = clock
        self.budget = Budget(clock)
        self.counts = Counts()
        self.order_ids = OrderIds()
        self.prepared: tuple[Instrument, ...] = ()
        """What was delivered as tradable: with the account's fees, margin and leverage as we want them."""
        self.look_again = asyncio.Event()
        """An order was refused by rules that we did not know, or the account was set up anew: see `Upkeep`."""
        self.key_refused = asyncio.Event()
        """The key, its address or its permissions are not accepted any more."""
        self._client: Any = None
        self._sync_task: asyncio.Task[None] | None = None
        self._sync_now = asyncio.Event()
        self._venue_less_mono: int | None = None
        self._instruments: tuple[Instrument, ...] | None = None
        self._instruments_lock = asyncio.Lock()

    async def open(self) -> None:
        """Make the client on the running loop and begin to follow the venue's clock. Needs no network to succeed."""
        # importing python-binance costs most of a second of CPU: not at start-up, and not on the loop
        base = (await asyncio.to_thread(import_binance)).AsyncClient
        url = self.settings.rest_url.rstrip("/")
        # the library has no parameter for its addresses; it reads them from the class
        made = type(
            "BinanceClient",
            (base,),
            {
                "API_URL": f"{url}/api",
                "FUTURES_URL": f"{url}/fapi",
                "FUTURES_DATA_URL": f"{url}/futures/data",
                "MARGIN_API_URL": f"{self.settings.sapi_url.rstrip('/') or url}/sapi",
                "REQUEST_RECVWINDOW": RECV_WINDOW_MS,
                "_handle_response": _keep,
            },
        )
        self._client = made(
            self.settings.api_key.reveal() or None,
            self.settings.api_secret.reveal() or None,
            private_key=self.settings.private_key.reveal() or None,
            # a redirect would turn a POST into a GET
            requests_params={"allow_redirects": False, "timeout": aiohttp.ClientTimeout(total=DEADLINE_S)},
        )
        self._sync_task = asyncio.create_task(self._follow_clock(), name="binance clock")

    async def close(self) -> None:
        """End within a second, whatever is under way."""
        task, client = self._sync_task, self._client
        self._sync_task = self._client = None
        try:
            async with asyncio.timeout(CLOSE_S):
                if task is not None:
                    task.cancel()
                    await asyncio.wait((task,))
                if client is not None:
                    await client.session.close()
        except TimeoutError:
            return

    async def call(
        self, endpoint: Endpoint[T], params: dict[str, Any] | None = None, urgency: Urgency = Urgency.NORMAL
    ) -> T:
        """Ask the venue once. Returns the decoded reply; raises RestError for everything else."""
        wait_s = self.budget.admit(endpoint.weight, urgency)
        if wait_s:
            text = f"request limit: silent for {wait_s:.1f} s"
            raise RestError(Outcome.REFUSED, code=RATE_LIMIT, text=text, retry_after_s=wait_s)
        reply = await self._exchange(endpoint, params or {})
        # raised here, outside of every handler: a traceback must not carry frames that hold a signature
        if isinstance(reply, RestError):
            raise reply
        result = _read(reply, endpoint, self._without_secrets)
        if isinstance(result, RestError):
            self._heed(reply, result)
            raise result
        return result

    async def sync_clock(self) -> None:
        """Measure the venue's clock now. Raises RestError."""
        before = self.clock.mono_ns()
        reply = await self.call(TIME, urgency=Urgency.QUERY)
        self._venue_less_mono = reply.server_time * _MS - (before + self.clock.mono_ns()) // 2

    def clock_skew_ns(self) -> int:
        """The venue's clock less ours, as last measured; 0 before."""
        if self._venue_less_mono is None:
            return 0
        return self._venue_less_mono + self.clock.mono_ns() - self.clock.utc_ns()

    def _set_clock(self, client: Any) -> None:
        """Sign with the venue's clock, counted on from the last look by the monotonic one: ours may have jumped."""
        if self._venue_less_mono is not None:
            self.budget.offset_ns = self.clock_skew_ns()
            client.timestamp_offset = self.budget.offset_ns // _MS

    @property
    def venue_ns(self) -> int:
        """UTC by the venue's clock, as far as it is known."""
        return self.clock.utc_ns() + self.budget.offset_ns

    async def instruments(self) -> tuple[Instrument, ...]:
        """The grids of the settings' symbols, asked for once; without those that the venue does not list.

        Raises RestError; AccountRefused when it lists none, UplinkError when its rules cannot be read.
        """
        async with self._instruments_lock:
            if self._instruments is None:
                self._instruments = self._pick(await self.call(EXCHANGE_INFO, urgency=Urgency.QUERY))
            return self._instruments

    async def rules(self) -> dict[str, Instrument]:
        """The grids as they are now, of those of our symbols that the venue still lists. Raises like `instruments`."""
        info = await self.call(EXCHANGE_INFO, urgency=Urgency.QUERY)
        return {row.symbol: _grid(row) for row in info.symbols if row.symbol in self.symbols}

    def _pick(self, info: replies.ExchangeInfo) -> tuple[Instrument, ...]:
        for limit in info.rate_limits:
            if (limit.rate_limit_type, limit.interval, limit.interval_num) == ("REQUEST_WEIGHT", "MINUTE", 1):
                self.budget.limit = limit.limit
        rows = {row.symbol: row for row in info.symbols}
        self.symbols = tuple(symbol for symbol in self.settings.symbols if symbol in rows)
        self.unlisted = tuple(symbol for symbol in self.settings.symbols if symbol not in rows)
        if not self.symbols:
            raise AccountRefused(f"the venue does not list {', '.join(self.unlisted)}")
        return tuple(_grid(rows[symbol]) for symbol in self.symbols)

    def _without_secrets(self, text: str) -> str:
        """What a venue, or whatever stands before it, says: some repeat the request."""
        for secret in (self.settings.api_key, self.settings.api_secret, self.settings.private_key):
            if secret:
                text = text.replace(secret.reveal(), MASK)
        return _SIGNED.sub(rf"\1={MASK}", text)

    async def _exchange(self, endpoint: Endpoint[T], params: dict[str, Any]) -> _Reply | RestError:
        client = self._client
        if client is None:
            return RestError(Outcome.REFUSED, text="the client is closed")
        self._set_clock(client)
        data = {"data": dict(params)} if params or endpoint.signed or endpoint.method != "get" else {}
        try:
            async with asyncio.timeout(DEADLINE_S):
                ask = getattr(client, f"_request_{endpoint.api}_api")
                reply: _Reply = await ask(
                    endpoint.method, endpoint.path, endpoint.signed, version=endpoint.version, **data
                )
        except TimeoutError:
            return RestError(Outcome.UNKNOWN, text=f"no answer within {DEADLINE_S:.0f} s")
        except aiohttp.ClientConnectorError as error:
            # nothing has left: no name, no route, no listener, no certificate
            return RestError(Outcome.REFUSED, text=lost(error))
        except (aiohttp.ClientError, OSError) as error:
            return RestError(Outcome.UNKNOWN, text=lost(error))
        used = reply.headers.get("x-mbx-used-weight-1m", "")
        if used.isdecimal():
            self.budget.seen(int(used))
        return reply

    def _heed(self, reply: _Reply, error: RestError) -> None:
        """Do what a refusal asks for: be silent, or set the clock."""
        if reply.status in DEFAULT_SILENCE_S:
            told = reply.headers.get("Retry-After", "")
            error.retry_after_s = float(told) if told.isdecimal() else DEFAULT_SILENCE_S[reply.status]
            self.budget.silence(error.retry_after_s, banned=reply.status == 418)
        if error.code == CLOCK:
            self._sync_now.set()
        if error.code in KEY_REFUSED:
            self.key_refused.set()

    async def _follow_clock(self) -> None:
        while True:
            self._sync_now.clear()
            wait_s = SYNC_S
            try:
                await self.sync_clock()
            except RestError as error:
                wait_s = max(SYNC_RETRY_S, error.retry_after_s)
            try:
                async with asyncio.timeout(wait_s):
                    await self._sync_now.wait()
            except TimeoutError:
                continue


def import_binance() -> Any:
    # it imports a deprecated name of websockets, which would print a warning into the cockpit
    warnings.filterwarnings("ignore", r"websockets.*", DeprecationWarning)
    warnings.filterwarnings("ignore", r".*WebSocketClientProtocol.*", DeprecationWarning)
    return importlib.import_module("binance.async_client")


def _grid(row: replies.SymbolRow) -> Instrument:
    try:
        return replies.instrument(row)
    except ValueError as error:
        raise UplinkError(f"the venue's trading rules cannot be read: {error}") from error


def _read(reply: _Reply, endpoint: Endpoint[T], clean: Callable[[str], str]) -> T | RestError:
    """The decoded reply, or the RestError that it is, in words that `clean` has been over."""
    if 200 <= reply.status < 300:
        try:
            return msgspec.json.decode(reply.body, type=endpoint.reply, strict=False)
        except UNREADABLE:
            # done, perhaps; only the venue's own books can tell
            return RestError(Outcome.UNKNOWN, status=reply.status, text="the reply cannot be read")
    try:
        refusal = msgspec.json.decode(reply.body, type=replies.Refusal, strict=False)
    except UNREADABLE:
        refusal = replies.Refusal(msg=reply.body.decode("utf-8", "replace"))
    text = " ".join(clean(refusal.msg).split())[:_TEXT] or f"HTTP {reply.status}"
    outcome = classify(reply.status, refusal.code, text)
    return RestError(outcome, status=reply.status, code=refusal.code, text=text)
