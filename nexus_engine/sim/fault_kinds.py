"""Every fault the practice venue can commit: where it may be put, which keys shape it, and what a client sees."""

import msgspec

REQUEST, STREAM, USER, ALGO, SERVER = "request", "stream", "user", "algo", "server"
MESSAGE = frozenset({STREAM, USER})
CLOSE_CODES = (1000, 1001, 1006, 1008, 1011, 1012)


class Kind(msgspec.Struct, frozen=True):
    places: frozenset[str]
    keys: frozenset[str]
    summary: str
    executed: bool  # on a request: it is carried out, whatever is answered


class Answer(msgspec.Struct, frozen=True):
    """A refusal the venue has words of its own for. `spares`: what only reduces a position is not refused."""

    status: int
    code: int
    msg: str
    executed: bool = False
    spares: bool = False


UNKNOWN = "Unknown error, please check your request or try again later."
# The HTTP statuses and texts are Binance's: "Unknown error" says nothing about execution, "Service Unavailable" and
# "Internal error" are failures, -1007 is unknown, -1008 is a failure and spares reduce-only and close-all orders.
ANSWERS: dict[str, Answer] = {
    "unknown_before": Answer(503, -1000, UNKNOWN),
    "unknown_after": Answer(503, -1000, UNKNOWN, executed=True),
    "timeout_before": Answer(
        408, -1007, "Timeout waiting for response from backend server. Send status unknown; execution status unknown."
    ),
    "timeout_after": Answer(
        408, -1007, "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
        executed=True,
    ),
    "unavailable": Answer(503, 0, "Service Unavailable."),
    "internal": Answer(503, -1001, "Internal error; unable to process your request. Please try again."),
    "throttled": Answer(
        503, -1008, "Server is currently overloaded with other requests. Please try again in a few minutes.",
        spares=True,
    ),
    "too_many": Answer(429, -1003, "Too many requests; current limit of IP is 2400 requests per minute."),
    "banned": Answer(
        418, -1003, "Way too many requests; IP banned. Please use the websocket for live updates to avoid bans."
    ),
    "skewed": Answer(400, -1021, "Timestamp for this request is outside of the recvWindow."),
    "key_gone": Answer(401, -2015, "Invalid API-key, IP, or permissions for action."),
}  # fmt: skip


def _kind(places: set[str] | frozenset[str], summary: str, *keys: str, executed: bool = True) -> Kind:
    return Kind(frozenset(places), frozenset(keys), summary, executed)


# fmt: off
_ON_REQUESTS = {
    "delay": _kind({REQUEST, *MESSAGE}, "executed or sent delay_ms later", "delay_ms"),
    "refuse": _kind(
        {REQUEST}, "answered with status, code and msg; not executed", "status", "code", "msg", "retry_after_s",
        executed=False,
    ),
    "refuse_after": _kind(
        {REQUEST}, "executed, then answered with status, code and msg", "status", "code", "msg", "retry_after_s"
    ),
    "drop_before": _kind({REQUEST}, "the connection closes; not executed", executed=False),
    "drop_after": _kind({REQUEST}, "executed; the connection closes instead of a reply"),
    "hang_before": _kind({REQUEST}, "no answer, ever; not executed", executed=False),
    "hang_after": _kind({REQUEST}, "executed; no answer, ever"),
    "html": _kind(
        {REQUEST}, "a web page with status (403; 200 is a captive portal); not executed", "status", "retry_after_s",
        executed=False,
    ),
    "html_after": _kind({REQUEST}, "executed, then a web page with status (502)", "status"),
    "truncate": _kind({REQUEST}, "executed; half of the body arrives, then the connection closes"),
    "stale": _kind({REQUEST}, "the reply the path gave last time, for whatever was asked then"),
}
_ON_ANSWERS = {
    name: _kind(
        {REQUEST},
        f"{answer.status} {answer.code} {answer.msg.partition('.')[0]!r}; {'' if answer.executed else 'not '}executed"
        + (", but what only reduces goes through" if answer.spares else ""),
        *(("retry_after_s",) if answer.status in (418, 429) else ()),
        executed=answer.executed,
    )
    for name, answer in ANSWERS.items()
}
_ON_BODIES = {
    "edit": _kind({REQUEST, *MESSAGE}, "values of the body are replaced: edit = {path = value}", "edit"),
    "unknown_field": _kind({REQUEST, *MESSAGE}, "every object of the body has two fields more"),
    "numbers": _kind({REQUEST, *MESSAGE}, "every number sent as text in the body becomes value", "value"),
    "garbage": _kind({REQUEST, *MESSAGE}, "body instead of the message", "body"),
}
_ON_MESSAGES = {
    "mute": _kind({*MESSAGE, SERVER}, "nothing is sent; the socket stays open and answers pings"),
    "disconnect": _kind({*MESSAGE, SERVER}, "sockets close with close_code (1006: no close frame)", "close_code"),
    "duplicate": _kind(MESSAGE, "sent 1 + copies times", "copies"),
    "reorder": _kind(MESSAGE, "sent after the next message of its stream, or a second later without one"),
    "binary": _kind(MESSAGE, "sent as a binary frame"),
    "oversized": _kind(MESSAGE, "size bytes of text before the message", "size"),
    "skip_depth": _kind({STREAM}, "one depth diff is lost, so the next one's pu does not fit"),
    "expire_key": _kind({USER, SERVER}, "listenKeyExpired is sent and the key is dead, the event with it"),
}
_ON_ALGOS = {
    "stuck": _kind({ALGO}, "stays TRIGGERING: no order, and it cannot be cancelled"),
    "reject": _kind({ALGO}, "ends REJECTED with reason", "reason"),
    "expire": _kind({ALGO}, "ends EXPIRED"),
}
_ON_SERVER = {
    "adl": _kind({USER, SERVER}, "the position in symbol is deleveraged (all of it, at the mark)", "symbol"),
    "liquidate": _kind({USER, SERVER}, "the position in symbol is liquidated into the book", "symbol"),
    "transfer": _kind({SERVER}, "amount USDT are paid into the account (out of it: negative; never more than is free)",
                      "amount"),
    "down": _kind({SERVER}, "every connection is cut and none is served, for for_s"),
    "halt": _kind({SERVER}, "symbol is SETTLING for for_s: what would open a position gets -4140", "symbol"),
    "skew": _kind({SERVER}, "the venue's clock is skew_ms ahead, for for_s", "skew_ms"),
}
# fmt: on
KINDS: dict[str, Kind] = {
    **_ON_REQUESTS,
    **_ON_ANSWERS,
    **_ON_BODIES,
    **_ON_MESSAGES,
    **_ON_ALGOS,
    **_ON_SERVER,
}  # fmt: skip
LASTING = frozenset({"down", "skew", "halt"})  # make no sense for an instant


def table() -> str:
    """The kinds as lines of text, for the command's help."""
    rows = []
    for name, kind in KINDS.items():
        keys = f" [{', '.join(sorted(kind.keys))}]" if kind.keys else ""
        rows.append(f"  {name:<15} {', '.join(sorted(kind.places))}: {kind.summary}{keys}")
    return "\n".join(rows)
