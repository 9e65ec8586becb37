"""The account's own stream as Binance USD-M writes it, one function an event."""

# fmt: off  (a shape reads better in rows of keys than one key a line)
from nexus_engine.sim.liquidation import is_forced
from nexus_engine.sim.orders import (
    CONDITIONAL_TYPES,
    AccountEvent,
    AlgoEvent,
    ConfigEvent,
    Fill,
    MarginCallEvent,
    Order,
    OrderEvent,
    PositionState,
    UserEvent,
)
from nexus_engine.sim.wire import Json, Scale, plain
from nexus_engine.sim.wire_account import average, side


def order_trade_update(scale: Scale, event: OrderEvent) -> Json:
    order, fill, at_ms = event.order, event.fill, event.at_ms
    return {
        "e": "ORDER_TRADE_UPDATE",
        "T": at_ms,
        "E": at_ms,
        "o": {
            "s": order.symbol,
            "c": order.client_id,
            "S": side(order.side_buy),
            "o": "LIQUIDATION" if is_forced(order) else order.type,
            "f": order.tif,
            "q": scale.qty(order.qty_lots),
            "p": scale.price(order.price_ticks),
            "ap": average(scale, order.quote, order.filled_lots),
            "sp": "0",
            "x": event.execution,
            "X": order.status,
            "i": order.order_id,
            "l": scale.qty(fill.lots if fill else 0),
            "z": scale.qty(order.filled_lots),
            "L": scale.price(fill.price_ticks) if fill else "0",
            "N": "USDT",
            "n": plain(fill.fee) if fill else "0",
            "T": at_ms,
            "t": fill.trade_id if fill else 0,
            "b": "0",
            "a": "0",
            "m": fill.maker if fill else False,
            "R": order.reduce_only,
            "wt": "CONTRACT_PRICE",
            "ot": order.type,
            "ps": order.position_side,
            "cp": order.close_position,
            "pP": False,
            "si": 0,
            "ss": 0,
            "rp": plain(fill.realised) if fill else "0",
            "V": "NONE",
            "pm": "NONE",
            "gtd": order.good_till_ms,
            "er": "5" if event.execution == "CALCULATED" else "0",
        },
    }


def trade_lite(scale: Scale, order: Order, fill: Fill) -> Json:
    return {
        "e": "TRADE_LITE",
        "E": fill.at_ms,
        "T": fill.at_ms,
        "s": order.symbol,
        "q": scale.qty(order.qty_lots),
        "p": scale.price(order.price_ticks),
        "m": fill.maker,
        "c": order.client_id,
        "S": side(order.side_buy),
        "L": scale.price(fill.price_ticks),
        "l": scale.qty(fill.lots),
        "t": fill.trade_id,
        "i": order.order_id,
    }


def account_update(event: AccountEvent) -> Json:
    state = event.position
    return {
        "e": "ACCOUNT_UPDATE",
        "T": event.at_ms,
        "E": event.at_ms,
        "a": {
            "m": event.reason,
            "B": [{"a": "USDT", "wb": plain(event.wallet), "cw": plain(event.cross_wallet), "bc": plain(event.change)}],
            "P": [] if state is None else [_position(state)],
        },
    }


def _position(state: PositionState) -> Json:
    return {
        "s": state.symbol,
        "pa": format(state.amount, "f"),
        "ep": plain(state.entry),
        "bep": plain(state.break_even),
        "cr": plain(state.realised),
        "up": plain(state.unrealised),
        "mt": "isolated" if state.isolated else "cross",
        "iw": plain(state.isolated_wallet),
        "ps": state.position_side,
    }


def algo_update(scale: Scale, event: AlgoEvent) -> Json:
    algo = event.algo
    body: Json = {
        "caid": algo.client_id,
        "aid": algo.algo_id,
        "at": "CONDITIONAL",
        "o": algo.type,
        "s": algo.symbol,
        "S": side(algo.side_buy),
        "ps": algo.position_side,
        "f": algo.tif,
        "q": scale.qty(algo.qty_lots),
        "X": algo.status,
        "ai": str(algo.order_id) if algo.order_id else "",
        "tp": scale.price(algo.trigger_ticks),
        "p": scale.price(algo.price_ticks),
        "V": "NONE",
        "wt": algo.working_type,
        "pm": "NONE",
        "cp": algo.close_position,
        "pP": False,
        "R": algo.reduce_only,
        "tt": algo.trigger_ms,
        "gtd": algo.good_till_ms,
    }
    if algo.order_id:
        body |= {
            "act": CONDITIONAL_TYPES[algo.type][1],
            "ap": average(scale, algo.quote, algo.filled_lots),
            "aq": scale.qty(algo.filled_lots),
        }
    if algo.reason:
        body["rm"] = algo.reason
    if algo.type == "TRAILING_STOP_MARKET":
        body["ia"] = bool(algo.best_ticks)
    return {"e": "ALGO_UPDATE", "T": event.at_ms, "E": event.at_ms, "o": body}


def account_config_update(event: ConfigEvent) -> Json:
    return {
        "e": "ACCOUNT_CONFIG_UPDATE",
        "T": event.at_ms,
        "E": event.at_ms,
        "ac": {"s": event.symbol, "l": event.leverage},
    }


def margin_call(event: MarginCallEvent) -> Json:
    return {
        "e": "MARGIN_CALL",
        "E": event.at_ms,
        "cw": plain(event.cross_wallet),
        "p": [
            {
                "s": state.symbol,
                "ps": state.position_side,
                "pa": format(state.amount, "f"),
                "mt": "ISOLATED" if state.isolated else "CROSSED",
                "iw": plain(state.isolated_wallet),
                "mp": plain(mark),
                "up": plain(state.unrealised),
                "mm": plain(maintenance),
            }
            for state, mark, maintenance in event.positions
        ],
    }


def listen_key_expired(listen_key: str, at_ms: int) -> Json:
    return {"e": "listenKeyExpired", "E": at_ms, "listenKey": listen_key}


def user_events(scales: dict[str, Scale], event: UserEvent) -> list[Json]:
    """The messages of one event, in the order the venue sends them."""
    match event:
        case OrderEvent(order=order, fill=fill):
            full = order_trade_update(scales[order.symbol], event)
            return [trade_lite(scales[order.symbol], order, fill), full] if fill else [full]
        case AccountEvent():
            return [account_update(event)]
        case AlgoEvent(algo=algo):
            return [algo_update(scales[algo.symbol], event)]
        case MarginCallEvent():
            return [margin_call(event)]
        case ConfigEvent():
            return [account_config_update(event)]
