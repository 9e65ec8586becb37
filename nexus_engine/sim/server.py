"""The practice venue on loopback: REST and WebSocket as Binance USD-M speaks them, over one Venue and its clock."""

import asyncio
import hmac
import json
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import WSMsgType, web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from nexus_engine.sim import macro, spoil, wire_account, wire_user
from nexus_engine.sim.faults import Faults, Struck
from nexus_engine.sim.hub import ABNORMAL, CATEGORIES, GOING_AWAY, PING, POLICY_VIOLATION, PONG, Connection, Hub, frame
from nexus_engine.sim.keys import Keys, check_time
from nexus_engine.sim.limits import Limits, Window
from nexus_engine.sim.orders import POSITION_SIDES, Algo, AlgoEvent, OrderEvent, held
from nexus_engine.sim.params import Params
from nexus_engine.sim.rest import KEY, OPEN, ROUTES, SIGNED, Rest
from nexus_engine.sim.rules import VenueError
from nexus_engine.sim.spoil import Reply
from nexus_engine.sim.streams import TICK_MS, Publisher, home
from nexus_engine.sim.venue import Venue
from nexus_engine.sim.wire import MS, Json
from nexus_engine.sim.wsapi import LISTEN_KEY_PATH, PATH, Authorise, WsApi

FINISHED_AFTER_S = 0.05  # a conditional order is told to be over this long after its order was
FUNDING = frozenset({"/fapi/v1/fundingRate", "/fapi/v1/fundingInfo"})
LISTEN_KEY_LIFE_S = 3600.0
PING_EVERY_S = 180.0
PONG_WITHIN_S = 600.0
SOCKET_LIFE_S = 86_400.0
MESSAGES_PER_S = 10  # that a client may send on one socket
MOST_STREAMS = 1024  # on one socket
LATE_S = 1.0  # a clock this far behind gives up the ticks it missed
KEY_HEADER = "X-MBX-APIKEY"


class Server:
    """`drive` moves the market by one tick; `store` is called after every change of the account, before it is told.
    `clock` counts the seconds of limits, listen keys, pings and of a socket's life. A tick lasts `tick_s` real seconds
    and counts `tick_ms` for the periods of the streams: their cadence may be the market's own when that runs fast."""

    def __init__(
        self,
        venue: Venue,
        *,
        api_key: str,
        api_secret: str,
        drive: Callable[[], None],
        store: Callable[[], None],
        faults: Faults,
        recorded: frozenset[str] = frozenset(),
        public_key: Ed25519PublicKey | None = None,
        clock: Callable[[], float] = time.monotonic,
        tick_s: float = TICK_MS / 1000,
        tick_ms: int = TICK_MS,
    ) -> None:
        self.tick_s = tick_s
        self.venue = venue
        self.hub = Hub(faults, home, self._commit)
        self._publisher = Publisher(venue, self.hub, recorded, tick_ms)
        self._rest = Rest(venue, self._now_ms)
        self.keys = Keys(api_key, api_secret, public_key)
        self.limits = Limits(clock)
        self._wsapi = WsApi(
            self.keys, self._perform_and_tell, self.limits.count, self.limits.rows, faults.request, self._now_ms
        )
        self._drive, self._store = drive, store
        self._faults = faults
        self._last: dict[tuple[str, str], Reply] = {}
        self._down = False
        self._skew_ms = 0
        venue.account.conditionals.mishap = self._mishap
        self._clock = clock
        self._listen_keys = 0
        self._listen_until = 0.0

    def app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 20)
        for prefix in ("", "/{category:" + "|".join(CATEGORIES) + "}"):
            for kind in ("ws", "stream"):
                app.router.add_get(f"{prefix}/{{kind:{kind}}}", self._socket)
            app.router.add_get(f"{prefix}/{{kind:ws}}/{{names:.*}}", self._socket)
        app.router.add_get(PATH, self._api_socket)
        for path in macro.PATHS:
            app.router.add_get(path, self._macro)
        app.router.add_route("*", "/{path:.*}", self._request)
        return app

    # -- the clock ----------------------------------------------------------------------------------------------------

    async def run_clock(self) -> None:
        """A tick each 100 ms of real time, whatever the market's speed: the load does not grow with it; or as often as
        `tick_s` says."""
        due = time.monotonic()
        while True:
            due += self.tick_s
            late_s = time.monotonic() - due
            if late_s > LATE_S:
                due += late_s
            await asyncio.sleep(max(0.0, -late_s))
            self._suffer()
            self._drive()
            self._tell_account()
            self._publisher.tick()
            if self.hub.listen_key and self._clock() > self._listen_until:
                self._expire_key()
            self._care_for_sockets()

    def _care_for_sockets(self) -> None:
        """Ping every three minutes; close who does not answer, and everybody after a day."""
        now_s = self._clock()
        for connection in self.hub.connections():
            if now_s - connection.born_s >= SOCKET_LIFE_S:
                connection.close(GOING_AWAY)
            elif now_s - connection.heard_s >= PONG_WITHIN_S:
                connection.close(POLICY_VIOLATION)
            elif now_s - connection.pinged_s >= PING_EVERY_S:
                connection.pinged_s = now_s
                connection.push(frame(str(self._now_ms()).encode(), PING))
                connection.flush()

    def _now_ms(self) -> int:
        return time.time_ns() // MS + self._skew_ms

    def _expire_key(self) -> None:
        if self.hub.listen_key:
            self.hub.tell_user(wire_user.listen_key_expired(self.hub.listen_key, self._now_ms()))
            self.hub.drop_listen_key()

    def _suffer(self) -> None:
        """Commit the server's own faults of this tick."""
        struck = self._faults.tick()
        kinds = {one.kind for one in struck}
        self._down, self.hub.muted = "down" in kinds, "mute" in kinds
        self._skew_ms = sum(one.fault.skew_ms for one in struck if one.kind == "skew")
        self._halt({one.fault.symbol for one in struck if one.kind == "halt"})
        if self._down:
            self.hub.close_all(ABNORMAL)
            self._wsapi.abort_all()
        for one in struck:
            self._commit(one)

    def _halt(self, symbols: set[str]) -> None:
        """Take these contracts out of trading, and the others back in."""
        changed, self.venue.account.halted = symbols ^ self.venue.account.halted, symbols
        for symbol in changed & self.venue.scales.keys():
            self._publisher.contract_changed(symbol, self._now_ms())

    def _commit(self, struck: Struck) -> None:
        """Do what happens once."""
        fault, force = struck.fault, self.venue.account.liquidation
        if struck.kind == "expire_key":
            self._expire_key()
        elif struck.kind == "disconnect":
            self.hub.close_all(fault.close_code)
        elif struck.kind == "transfer":
            amount, account = Decimal(str(fault.amount)), self.venue.account
            if amount >= -account.margins(self.venue).available:
                account.transfer(amount, self._now_ms())
        elif struck.kind in {"adl", "liquidate"}:
            act = force.deleverage if struck.kind == "adl" else force.close
            for side in POSITION_SIDES[self.venue.account.ledger.hedge]:
                if self.venue.account.position(held(fault.symbol, side)).lots:
                    act(fault.symbol, side, self._now_ms(), self.venue)

    def _mishap(self, algo: Algo) -> tuple[str, str] | None:
        struck = self._faults.strike("algo", wire_account.algo_row(self.venue.scales[algo.symbol], algo))
        if struck is None:
            return None
        return {
            "stuck": ("TRIGGERING", ""), "reject": ("REJECTED", struck.fault.reason), "expire": ("EXPIRED", "")
        }[struck.kind]  # fmt: skip

    def _tell_account(self) -> None:
        events = self.venue.take_events()
        if not events:
            return
        self._store()
        for event in events:
            if isinstance(event, OrderEvent) and event.execution == "CALCULATED" and event.fill is not None:
                self._publisher.forced(event.order, event.fill)
        if self.hub.listen_key:
            for event in events:
                # a client takes the fills first when the end of their conditional order is not in the same read
                late = isinstance(event, AlgoEvent) and event.algo.status == "FINISHED"
                for body in wire_user.user_events(self.venue.scales, event):
                    if late:
                        asyncio.get_running_loop().call_later(FINISHED_AFTER_S, self.hub.user, body)
                    else:
                        self.hub.user(body)

    # -- REST ---------------------------------------------------------------------------------------------------------

    async def _request(self, request: web.Request) -> web.StreamResponse:
        if self._down:
            return spoil.hang_up(request)
        body = await request.text()
        params = dict(parse_qsl(body)) | dict(parse_qsl(request.rel_url.raw_query_string))

        def act() -> Reply:
            reply = self._answer(request, params, body)
            self._tell_account()
            return reply

        struck = self._faults.request(request.method, request.path, params)
        if struck is None:
            reply = act()
            if (request.method, request.path) in ROUTES:  # what is no route of ours has no end of names
                self._last[request.method, request.path] = reply
            return self._respond(reply)
        last = self._last.get((request.method, request.path))
        return await spoil.serve(struck, request, params, act, self._respond, last)

    async def _macro(self, request: web.Request) -> web.StreamResponse:
        """The whole market's numbers, which other services than the venue tell."""
        if self._down:
            return spoil.hang_up(request)
        params, key = dict(request.query), request.headers.get(macro.KEY_HEADER, "")

        def act() -> Reply:
            return macro.answer(request.path, params, key, self.keys, self.venue.market)

        struck = self._faults.request("GET", request.path, params)
        if struck is None:
            reply = self._last["GET", request.path] = act()
            return _plain(reply)
        return await spoil.serve(struck, request, params, act, _plain, self._last.get(("GET", request.path)))

    def _answer(self, request: web.Request, values: dict[str, str], body: str) -> Reply:
        try:
            return Reply(self._call(request, values, body))
        except VenueError as error:
            return Reply({"code": error.code, "msg": error.msg}, error.http_status, error.retry_after_s)

    def _respond(self, reply: Reply) -> web.Response:
        headers = self.limits.headers()
        if reply.retry_after_s:
            headers["Retry-After"] = str(reply.retry_after_s)
        return web.Response(
            body=msgspec.json.encode(reply.body), status=reply.status, headers=headers, content_type="application/json"
        )

    def _call(self, request: web.Request, values: dict[str, str], body: str) -> Any:
        query, params = request.rel_url.raw_query_string, Params(values)
        return self._perform(
            request.method, request.path, params, lambda security: self._admit(request, security, params, query, body)
        )

    def _perform(self, method: str, path: str, params: Params, authorise: Authorise) -> Any:
        """Do what a route does, once the caller's limits and rights allow it; VenueError."""
        if path == LISTEN_KEY_PATH:
            self.limits.count(1, 0)
            authorise(KEY)
            return self._listen_key(method)
        route = ROUTES.get((method, path))
        if route is None:
            raise VenueError(-5000, f"{path}, Method {method}", http_status=404)
        endpoint, security, weight, orders = route
        self.limits.count(weight if isinstance(weight, int) else weight(params), orders)
        if path in FUNDING:
            self.limits.count_funding()
        authorise(security)
        return endpoint(self._rest, params)

    async def _api_socket(self, request: web.Request) -> web.StreamResponse:
        refused = await self._met_at_the_door(request)
        return await self._wsapi.socket(request) if refused is None else refused

    def _perform_and_tell(self, method: str, path: str, params: Params, authorise: Authorise) -> Any:
        """The same for the WebSocket API."""
        try:
            return self._perform(method, path, params, authorise)
        finally:
            self._tell_account()

    def _admit(self, request: web.Request, security: str, params: Params, query: str, body: str) -> None:
        if security == OPEN:
            return
        key = request.headers.get(KEY_HEADER, "")
        self.keys.check(key)
        if security == SIGNED:
            self.keys.verify(key, unsigned(query) + unsigned(body), params.need("signature"))
            check_time(params, self._now_ms())

    def _listen_key(self, method: str) -> Json:
        if method == "POST" and not self.hub.listen_key:
            self._listen_keys += 1
            seed = f"listen:{self._listen_keys}:{time.time_ns()}".encode()
            self.hub.listen_key = hmac.new(self.keys.hmac_key.encode(), seed, "sha256").hexdigest()
        if not self.hub.listen_key:
            raise VenueError(-1125)
        if method == "DELETE":
            self.hub.drop_listen_key()
            return {}
        self._listen_until = self._clock() + LISTEN_KEY_LIFE_S
        return {"listenKey": self.hub.listen_key}

    # -- WebSocket ----------------------------------------------------------------------------------------------------

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        names = [name for name in request.match_info.get("names", "").split("/") if name]
        names += [name for name in request.query.get("streams", "").split("/") if name]
        names += request.query.getall("listenKey", [])
        if (refused := await self._met_at_the_door(request)) is not None:
            return refused
        socket = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=1 << 16)
        await socket.prepare(request)
        transport = request.transport
        if transport is None:
            return socket
        category, combined = request.match_info.get("category", ""), request.match_info["kind"] == "stream"
        connection = Connection(transport, category, combined, self._clock())
        sent = Window(MESSAGES_PER_S, 1.0, self._clock)
        self.hub.add(connection, names)
        try:
            async for message in socket:
                connection.heard_s = self._clock()
                if not sent.count(1):
                    connection.close(POLICY_VIOLATION)
                elif message.type is WSMsgType.PING:
                    connection.push(frame(message.data, PONG))
                    connection.flush()
                elif message.type is WSMsgType.TEXT:
                    connection.push(frame(msgspec.json.encode(self._control(connection, message.data))))
                    connection.flush()
        finally:
            self.hub.remove(connection)
        return socket

    async def _met_at_the_door(self, request: web.Request) -> web.StreamResponse | None:
        """What a handshake gets instead of a socket; None when it may have one."""
        if self._down:
            return spoil.hang_up(request)
        struck = self._faults.request("GET", request.path, request.query)
        if struck is not None and struck.kind == "delay":
            await asyncio.sleep(struck.fault.delay_ms / 1000)
            struck = None
        if struck is None:
            return None
        return await spoil.serve(struck, request, {}, lambda: Reply({}), self._respond, None)

    def _control(self, connection: Connection, text: str) -> Json:
        """SUBSCRIBE, UNSUBSCRIBE and LIST_SUBSCRIPTIONS."""
        try:
            message = json.loads(text)
            method, names, identity = message["method"], message.get("params", []), message.get("id")
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                return {"error": {"code": 2, "msg": "Invalid request: params must be strings"}, "id": identity}
        except (ValueError, KeyError, TypeError, AttributeError):
            return {"error": {"code": 3, "msg": "Invalid JSON: expected an object with a method"}, "id": None}
        if method == "LIST_SUBSCRIPTIONS":
            return {"result": sorted(connection.streams), "id": identity}
        if method == "SUBSCRIBE" and len(connection.streams | set(names)) > MOST_STREAMS:
            return {"error": {"code": 2, "msg": f"Invalid request: more than {MOST_STREAMS} streams"}, "id": identity}
        if method == "SUBSCRIBE":
            self.hub.subscribe(connection, names)
        elif method == "UNSUBSCRIBE":
            self.hub.unsubscribe(connection, names)
        else:
            return {"error": {"code": 2, "msg": f"Invalid request: unknown variant `{method}`"}, "id": identity}
        return {"result": None, "id": identity}


def _plain(reply: Reply) -> web.Response:
    headers = {"Retry-After": str(reply.retry_after_s)} if reply.retry_after_s else {}
    body = msgspec.json.encode(reply.body)
    return web.Response(body=body, status=reply.status, headers=headers, content_type="application/json")


def unsigned(raw: str) -> str:
    """What was signed of a query or a body: all of it but the signature."""
    return "&".join(part for part in raw.split("&") if not part.startswith("signature="))
