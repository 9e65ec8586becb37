"""How a request fares that a fault hits: refused, left hanging, cut off, or answered with what is not an answer."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from nexus_engine.sim.fault_kinds import ANSWERS, KINDS
from nexus_engine.sim.faults import Struck
from nexus_engine.sim.mangle import mangled

LOOK_EVERY_S = 0.25
# what a CDN or a captive portal says
PAGE = """<html>
<head><title>{status}</title></head>
<body><center><h1>{status}</h1></center><hr><center>cloudfront</center></body>
</html>
"""
# code -> the status it travels with, when a fault file does not say
STATUS = {
    -1000: 503, -1001: 503, -1003: 429, -1007: 408, -1008: 503, -1015: 429, -1016: 503, -2014: 401, -2015: 401
}  # fmt: skip


class Reply(msgspec.Struct, frozen=True):
    body: Any
    status: int = 200
    retry_after_s: int = 0


def reduces(params: Mapping[str, str]) -> bool:
    """Whether a request is an order that can only make a position smaller."""
    return any(params.get(name, "").lower() == "true" for name in ("reduceOnly", "closePosition"))


async def serve(
    struck: Struck,
    request: web.Request,
    params: Mapping[str, str],
    act: Callable[[], Reply],
    write: Callable[[Reply], web.Response],
    last: Reply | None,
) -> web.StreamResponse:
    """Answer a request that was hit. `act` executes it; `last` is what its path was answered before."""
    fault, kind = struck.fault, struck.kind
    if kind == "delay":
        await asyncio.sleep(fault.delay_ms / 1000)
        return write(act())
    refusal = refusal_of(struck, params)
    reply = act() if KINDS[kind].executed or spared(struck, params) else None
    if refusal is not None:
        return write(refusal)
    if kind.startswith("drop"):
        return hang_up(request)
    if kind.startswith("hang"):
        return await hang(request)
    if kind.startswith("html"):
        status, text = page(struck)
        headers = {"Retry-After": str(fault.retry_after_s)} if fault.retry_after_s else {}
        return web.Response(text=text, status=status, content_type="text/html", headers=headers)
    assert reply is not None
    if spared(struck, params):
        return write(reply)
    if kind == "stale":
        return write(last or reply)
    response = write(reply)
    if kind == "truncate":
        return await _truncated(request, response)
    return web.Response(body=mangled(fault, reply.body), status=reply.status, headers=response.headers)


def spared(struck: Struck, params: Mapping[str, str]) -> bool:
    """Whether the fault lets this request through."""
    return struck.kind in ANSWERS and ANSWERS[struck.kind].spares and reduces(params)


def refusal_of(struck: Struck, params: Mapping[str, str]) -> Reply | None:
    """What a fault of the refusing kinds answers; None when it does not refuse this request."""
    fault = struck.fault
    answer = None if spared(struck, params) else ANSWERS.get(fault.kind)
    if answer is not None:
        retry_after_s = struck.retry_after_s if answer.status in (418, 429) else 0
        return Reply({"code": answer.code, "msg": answer.msg}, answer.status, retry_after_s)
    if fault.kind in ("refuse", "refuse_after"):
        status = fault.status or STATUS.get(fault.code, 400)
        retry_after_s = struck.retry_after_s if status in (418, 429) or fault.retry_after_s else 0
        return Reply({"code": fault.code, "msg": fault.msg}, status, retry_after_s)
    return None


def hang_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def hang(request: web.Request) -> web.Response:
    """Say nothing until the client goes."""
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110 - aiohttp tells nobody
        await asyncio.sleep(LOOK_EVERY_S)
    return web.Response()


def page(struck: Struck) -> tuple[int, str]:
    """(status, text) of a web page that comes instead of an answer."""
    status = struck.fault.status or (502 if struck.kind == "html_after" else 403)
    return status, PAGE.format(status=status)


async def _truncated(request: web.Request, whole: web.Response) -> web.StreamResponse:
    """Half of the body under the length of all of it."""
    body = whole.body
    assert isinstance(body, bytes)
    response = web.StreamResponse(status=whole.status, headers=whole.headers)
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
