"""The venue's WebSocket API (`/ws-fapi/v1`): the REST functions by other names, on a socket that may log on.

A request is `{"id", "method", "params"}`, a reply `{"id", "status", "result" | "error", "rateLimits"}`. What is signed
are the params but the signature, by name, as `name=value` joined with `&`; a session logged on with an Ed25519 key
needs neither key nor signature any more. A fault on a route hits the method of that route too.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from nexus_engine.sim import spoil
from nexus_engine.sim.fault_kinds import KINDS
from nexus_engine.sim.faults import Struck
from nexus_engine.sim.hub import frame
from nexus_engine.sim.keys import Keys, check_time
from nexus_engine.sim.mangle import mangled
from nexus_engine.sim.params import Params
from nexus_engine.sim.rest import OPEN, ROUTES, SIGNED
from nexus_engine.sim.rules import VenueError
from nexus_engine.sim.wire import Json

PATH = "/ws-fapi/v1"
LISTEN_KEY_PATH = "/fapi/v1/listenKey"
PING_EVERY_S = 180.0
LIFE_S = 24 * 3600.0
SESSION_WEIGHT = 2
# method -> the REST route that does it; v1 and v2 of a method differ as v2 and v3 of its route do
METHODS: dict[str, tuple[str, str]] = {
    "depth": ("GET", "/fapi/v1/depth"),
    "ticker.price": ("GET", "/fapi/v2/ticker/price"),
    "ticker.book": ("GET", "/fapi/v1/ticker/bookTicker"),
    "order.place": ("POST", "/fapi/v1/order"),
    "order.modify": ("PUT", "/fapi/v1/order"),
    "order.cancel": ("DELETE", "/fapi/v1/order"),
    "order.status": ("GET", "/fapi/v1/order"),
    "algoOrder.place": ("POST", "/fapi/v1/algoOrder"),
    "algoOrder.cancel": ("DELETE", "/fapi/v1/algoOrder"),
    "account.balance": ("GET", "/fapi/v2/balance"),
    "v2/account.balance": ("GET", "/fapi/v3/balance"),
    "account.status": ("GET", "/fapi/v2/account"),
    "v2/account.status": ("GET", "/fapi/v3/account"),
    "account.position": ("GET", "/fapi/v2/positionRisk"),
    "v2/account.position": ("GET", "/fapi/v3/positionRisk"),
    "userDataStream.start": ("POST", LISTEN_KEY_PATH),
    "userDataStream.ping": ("PUT", LISTEN_KEY_PATH),
    "userDataStream.stop": ("DELETE", LISTEN_KEY_PATH),
}

Authorise = Callable[[str], None]
Perform = Callable[[str, str, Params, Authorise], Any]
"""(HTTP method, path, params, what checks the caller): the reply's body; VenueError."""
Limits = Callable[[int, int], list[Json]]
"""(weight, orders): the limits that a request of so much counts for, as they stand."""
Meet = Callable[[str, str, Mapping[str, str]], Struck | None]
"""(HTTP method, path, params): the fault that hits the request, if any."""


class Session:
    """What one socket is: when it came, whose it is since it logged on, and whether it wants to be told its limits."""

    def __init__(self, connected_ms: int, limits_shown: bool) -> None:
        self.connected_ms = connected_ms
        self.limits_shown = limits_shown
        self.key = ""
        self.since_ms: int | None = None


class WsApi:
    def __init__(
        self,
        keys: Keys,
        perform: Perform,
        count: Callable[[int, int], None],
        limits: Limits,
        meet: Meet,
        now_ms: Callable[[], int],
    ) -> None:
        self._now_ms = now_ms
        self._meet = meet
        self._last: dict[str, Json] = {}  # by method
        self._transports: set[asyncio.Transport] = set()
        self._keys = keys
        self._perform = perform
        self._count = count
        self._limits = limits

    async def socket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(heartbeat=PING_EVERY_S, compress=False, max_msg_size=1 << 16)
        await socket.prepare(request)
        session = Session(self._now_ms(), request.query.get("returnRateLimits", "true") != "false")
        transport = request.transport
        if transport is None:
            return socket
        self._transports.add(transport)
        try:
            async with asyncio.timeout(LIFE_S):
                async for message in socket:
                    if message.type is WSMsgType.TEXT and (raw := await self._serve(transport, session, message.data)):
                        await socket.send_str(raw.decode())
        except TimeoutError:
            await socket.close(code=WSCloseCode.GOING_AWAY)
        finally:
            self._transports.discard(transport)
        return socket

    def abort_all(self) -> None:
        """Cut every socket, without a goodbye."""
        for transport in self._transports:
            transport.abort()

    async def _serve(self, transport: asyncio.Transport, session: Session, text: str) -> bytes:
        """The frame that answers a request, empty for none. A delay holds up what follows on the socket."""
        try:
            identity, method, params = read(text)
        except VenueError as error:
            return _encode(self._reply(session, {}, (0, 0), _refused(None, error)))
        route = METHODS.get(method)
        struck = None if route is None else self._meet(*route, params)
        if struck is not None and struck.kind == "delay":
            await asyncio.sleep(struck.fault.delay_ms / 1000)
        if route is None or struck is None or struck.kind == "delay" or spoil.spared(struck, params):
            reply = self._answer(session, identity, method, params)
            if route is not None:
                self._last[method] = reply
            return _encode(reply)
        reply = self._answer(session, identity, method, params) if KINDS[struck.kind].executed else {}
        refusal = spoil.refusal_of(struck, params)
        if refusal is not None:
            told: Json = {"id": identity, "status": refusal.status, "error": refusal.body}
            return _encode(self._reply(session, params, _counts(route, Params(params)), told))
        return self._spoiled(transport, struck, reply, self._last.get(method, reply))

    @staticmethod
    def _spoiled(transport: asyncio.Transport, struck: Struck, reply: Json, last: Json) -> bytes:
        """What comes instead of a reply. Values are edited in its result, as they are in the body of the route's."""
        kind = struck.kind
        if kind.startswith("hang"):
            return b""
        if kind.startswith("drop"):
            transport.abort()
            return b""
        if kind.startswith("html"):
            return spoil.page(struck)[1].encode()
        if kind == "stale":
            return _encode(last | {"id": reply["id"]})
        if kind == "truncate":
            whole = frame(_encode(reply))
            transport.write(whole[: len(whole) // 2])
            transport.close()
            return b""
        if kind == "garbage":
            return mangled(struck.fault, reply)
        name = "result" if "result" in reply else "error"
        return _encode(reply | {name: msgspec.Raw(mangled(struck.fault, reply[name]))})

    def _answer(self, session: Session, identity: Any, method: str, params: dict[str, str]) -> Json:
        """The reply to one request, whatever it is."""
        route = METHODS.get(method)
        counts = (SESSION_WEIGHT, 0)
        try:
            if route is not None:
                counts = _counts(route, Params(params))
                result = self._perform(*route, Params(params), lambda security: self._admit(session, security, params))
            else:
                result = self._session(session, method, params)
            reply: Json = {"id": identity, "status": 200, "result": result}
        except VenueError as error:
            reply = _refused(identity, error)
        return self._reply(session, params, counts, reply)

    def _reply(self, session: Session, params: dict[str, str], counts: tuple[int, int], reply: Json) -> Json:
        """With the limits that it counted for, unless the session or the request does not want them."""
        shown = session.limits_shown and params.get("returnRateLimits") != "false"
        return reply | {"rateLimits": self._limits(*counts)} if shown else reply

    def _admit(self, session: Session, security: str, params: dict[str, str]) -> None:
        if security == OPEN:
            return
        key = params.get("apiKey", session.key)
        self._keys.check(key)
        if security != SIGNED:
            return
        if "apiKey" in params or "signature" in params or not session.key:
            self._verify(key, params)
        check_time(Params(params), self._now_ms())

    def _verify(self, key: str, params: dict[str, str]) -> None:
        """The text may be percent-encoded or not: the venue is moving from one to the other, and clients differ."""
        signature = Params(params).need("signature")
        rows = sorted((name, value) for name, value in params.items() if name != "signature")
        plain, encoded = (
            "&".join(f"{name}={write(value)}" for name, value in rows) for write in (str, lambda text: quote(text, ""))
        )
        try:
            self._keys.verify(key, plain, signature)
        except VenueError:
            self._keys.verify(key, encoded, signature)

    def _session(self, session: Session, method: str, params: dict[str, str]) -> Json:
        if method not in {"session.logon", "session.status", "session.logout"}:
            raise VenueError(-5000, method)
        self._count(SESSION_WEIGHT, 0)
        if method == "session.logon":
            key = Params(params).need("apiKey")
            self._keys.check(key)
            if key != self._keys.ed25519_key:
                raise VenueError(-4056)
            self._verify(key, params)
            check_time(Params(params), self._now_ms())
            session.key, session.since_ms = key, self._now_ms()
        elif method == "session.logout":
            session.key, session.since_ms = "", None
        return {
            "apiKey": session.key or None,
            "authorizedSince": session.since_ms,
            "connectedSince": session.connected_ms,
            "returnRateLimits": session.limits_shown,
            "serverTime": self._now_ms(),
        }


def _encode(reply: Json) -> bytes:
    return msgspec.json.encode(reply)


def _refused(identity: Any, error: VenueError) -> Json:
    return {"id": identity, "status": error.http_status, "error": {"code": error.code, "msg": error.msg}}


def read(text: str) -> tuple[Any, str, dict[str, str]]:
    """(id, method, params) of a request; numbers keep the digits they were sent, and signed, with."""
    try:
        request = json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
        identity = json.loads(text).get("id")
    except (ValueError, AttributeError, RecursionError) as error:
        raise VenueError(-1135) from error
    method, params = request.get("method"), request.get("params") or {}
    if not isinstance(method, str) or not isinstance(params, dict):
        raise VenueError(-1135)
    if isinstance(identity, dict | list):
        raise VenueError(-1130, "id")
    values = {}
    for name, value in params.items():
        if isinstance(value, dict | list):
            raise VenueError(-1130, name)
        if value is not None:
            values[name] = str(value).lower() if isinstance(value, bool) else value
    return identity, method, values


def _counts(route: tuple[str, str], params: Params) -> tuple[int, int]:
    """What a route counts for: (weight, orders)."""
    if route not in ROUTES:
        return 1, 0
    _, _, weight, orders = ROUTES[route]
    return (weight if isinstance(weight, int) else weight(params)), orders
