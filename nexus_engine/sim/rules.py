"""What the practice venue refuses, in the venue's own codes and words, and the checks of a request's plain values."""

import math
import re
from decimal import Decimal

from nexus_engine.sim.orders import POSITION_SIDES
from nexus_engine.sim.specs import SymbolSpec

CLIENT_ID = re.compile(r"^[.A-Z:/a-z0-9_-]{1,36}$")
TIMES_IN_FORCE = frozenset({"GTC", "IOC", "FOK", "GTX", "GTD"})
GOOD_TILL_LEAST_MS = 600_000  # ahead of now
GOOD_TILL_END_MS = 253_402_300_799_000  # the last second of the year 9999
MAX_OPEN_ORDERS = 200  # a symbol
MAX_OPEN_ALGOS = 200  # an account
TAKE_BOUND = Decimal("0.05")  # how far from the mark a market order trades; the rest expires
PRICE_BAND_UP, PRICE_BAND_DOWN = Decimal("1.15"), Decimal("0.85")  # of the mark price

# code -> the venue's own words; {} is filled by the caller
MESSAGES: dict[int, str] = {
    -1001: "Internal error; unable to process your request. Please try again.",
    -1003: "Too many requests; current limit of IP is 2400 requests per minute.",
    -1015: "Too many new orders; current limit is 300 orders per TEN_SECONDS.",
    -1021: "Timestamp for this request is outside of the recvWindow.",
    -1022: "Signature for this request is not valid.",
    -1100: "Illegal characters found in parameter '{}'.",
    -1102: "Mandatory parameter '{}' was not sent, was empty/null, or malformed.",
    -1106: "Parameter '{}' sent when not required.",
    -1111: "Precision is over the maximum defined for this asset.",
    -1115: "Invalid timeInForce.",
    -1116: "Invalid orderType.",
    -1117: "Invalid side.",
    -1120: "Invalid interval.",
    -1121: "Invalid symbol.",
    -1125: "This listenKey does not exist.",
    -1128: "Combination of optional parameters invalid.",
    -1130: "Data sent for parameter '{}' is not valid.",
    -1135: "Invalid JSON Request",
    -2007: "Invalid callBack rate.",
    -2011: "Unknown order sent.",
    -2013: "Order does not exist.",
    -2014: "API-key format invalid.",
    -2015: "Invalid API-key, IP, or permissions for action.",
    -2019: "Margin is insufficient.",
    -2021: "Order would immediately trigger.",
    -2027: "Exceeded the maximum allowable position at current leverage.",
    -2022: "ReduceOnly Order is rejected.",
    -2025: "Reach max open order limit.",
    -4002: "Price greater than max price.",
    -4003: "Quantity less than or equal to zero.",
    -4004: "Quantity less than min quantity.",
    -4005: "Quantity greater than max quantity.",
    -4013: "Price less than min price.",
    -4014: "Price not increased by tick size.",
    -4015: "Client order id length should be less than 36 chars",
    -4016: "Limit price can't be higher than {}.",
    -4023: "Qty not increased by step size.",
    -4024: "Limit price can't be lower than {}.",
    -4028: "Leverage {} is not valid",
    -4045: "Reach max stop order limit.",
    -4046: "No need to change margin type.",
    -4047: "Margin type cannot be changed if there exists open orders.",
    -4048: "Margin type cannot be changed if there exists position.",
    -4049: "Add margin only support for isolated position.",
    -4050: "Cross balance insufficient.",
    -4051: "Isolated balance insufficient.",
    -4054: "Cannot add position margin: position is 0.",
    -4055: "Amount must be positive.",
    -4056: "HMAC_SHA256 API key is not supported.",
    -4059: "No need to change position side.",
    -4061: "Order's position side does not match user's setting.",
    -4067: "Position side cannot be changed if there exists open orders.",
    -4068: "Position side cannot be changed if there exists position.",
    -4082: "Invalid number of batch place orders.",
    -4084: "Method is not allowed currently. Upcoming soon.",
    -4116: "ClientOrderId is duplicated.",
    -4120: "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
    -4131: "The counterparty's best price does not meet the PERCENT_PRICE filter limit.",
    -4130: "An open stop or take profit order with GTE and closePosition in the direction is existing.",
    -4135: "Invalid activation price",
    -4140: "Invalid symbol status for opening position.",
    -4137: "Quantity must be zero with closePosition equals true",
    -4161: "Leverage reduction is not supported in Isolated Margin Mode with open positions",
    -4171: "No need to change Multi-Assets mode.",
    -4164: "Order's notional must be no smaller than {} (unless you choose reduce only).",
    -4509: "Time in Force (TIF) GTE can only be used with open positions. Please ensure that positions are available.",
    -5000: "Path {} is invalid",
    -5021: "Due to the order could not be filled immediately, the FOK order has been rejected.",
    -5022: "Due to the order could not be executed as maker, the Post Only order will be rejected.",
    -5027: "No need to modify the order.",
    -5040: "The goodTillDate timestamp must be greater than the current time plus 600 seconds and smaller than "
    "253402300799000 (UTC 9999-12-31 23:59:59)",
}


class VenueError(Exception):
    """The venue refuses a request: its code, its words, the HTTP status they travel with, and when to come again."""

    def __init__(self, code: int, detail: str = "", http_status: int = 400, retry_after_s: float = 0.0) -> None:
        self.code = code
        self.msg = MESSAGES[code].format(detail)
        self.http_status = http_status
        self.retry_after_s = math.ceil(retry_after_s)
        super().__init__(f"{code}: {self.msg}")


def check_words(side: str, position_side: str, tif: str, client_id: str, *, hedge: bool, reduce_only: bool) -> None:
    if side not in {"BUY", "SELL"}:
        raise VenueError(-1117)
    if position_side not in POSITION_SIDES[hedge]:
        raise VenueError(-4061)
    if hedge and reduce_only:
        raise VenueError(-1106, "reduceonly")
    if tif not in TIMES_IN_FORCE:
        raise VenueError(-1115)
    if len(client_id) > 36:
        raise VenueError(-4015)
    if not CLIENT_ID.match(client_id):
        raise VenueError(-1100, "newClientOrderId")


def good_till(tif: str, date_ms: int | None, now_ms: int) -> int:
    """When an order expires, in whole seconds as the venue keeps it; 0 for one that is not good till a date."""
    if tif != "GTD":
        return 0
    if date_ms is None:
        raise VenueError(-1102, "goodTillDate")
    date_ms = date_ms // 1_000 * 1_000
    if not now_ms + GOOD_TILL_LEAST_MS < date_ms < GOOD_TILL_END_MS:
        raise VenueError(-5040)
    return date_ms


def lots_of(spec: SymbolSpec, quantity: Decimal | None, *, market_order: bool) -> int:
    """Quantity in lots, or the venue's refusal of it."""
    if quantity is None:
        raise VenueError(-1102, "quantity")
    if quantity <= 0:
        raise VenueError(-4003)
    if quantity != round(quantity, spec.qty_precision):
        raise VenueError(-1111)
    if quantity % spec.step:
        raise VenueError(-4023)
    if quantity < spec.min_qty:
        raise VenueError(-4004)
    if quantity > (spec.market_max_qty if market_order else spec.max_qty):
        raise VenueError(-4005)
    return int(quantity / spec.step)


def ticks_of(spec: SymbolSpec, price: Decimal | None, name: str) -> int:
    """Price in ticks, or the venue's refusal of it."""
    if price is None:
        raise VenueError(-1102, name)
    if price <= 0:
        raise VenueError(-4013)
    if price > spec.max_price:
        raise VenueError(-4002)
    if price != round(price, spec.price_precision):
        raise VenueError(-1111)
    if price % spec.tick:
        raise VenueError(-4014)
    return int(price / spec.tick)
