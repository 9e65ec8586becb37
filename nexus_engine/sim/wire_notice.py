"""Rare public events as Binance USD-M writes them: forced orders, and a contract whose state or brackets changed."""

# fmt: off  (a shape reads better in rows of keys than one key a line)
from nexus_engine.sim.orders import Fill, Order
from nexus_engine.sim.specs import SymbolSpec
from nexus_engine.sim.wire import Json, Scale
from nexus_engine.sim.wire_account import average, side

TRADING, SETTLING = "TRADING", "SETTLING"


def force_order(scale: Scale, order: Order, fill: Fill) -> Json:
    return {
        "e": "forceOrder",
        "E": fill.at_ms,
        "o": {
            "s": order.symbol,
            "S": side(order.side_buy),
            "o": "LIMIT",
            "f": "IOC",
            "q": scale.qty(order.qty_lots),
            "p": scale.price(order.price_ticks),
            "ap": average(scale, order.quote, order.filled_lots),
            "X": order.status,
            "l": scale.qty(fill.lots),
            "z": scale.qty(order.filled_lots),
            "T": fill.at_ms,
        },
        "ps": order.symbol,
        "st": 1,
    }


def contract_info(spec: SymbolSpec, status: str, at_ms: int) -> Json:
    return {
        "e": "contractInfo",
        "E": at_ms,
        "s": spec.symbol,
        "ps": spec.symbol,
        "ct": "PERPETUAL",
        "dt": 4133404800000,
        "ot": 1569398400000,
        "cs": status,
        "bks": [
            {
                "bs": number,
                "bnf": row.floor,
                "bnc": row.cap,
                "mmr": float(row.mmr),
                "cf": float(row.cum),
                "mi": spec.brackets[number].leverage + 1 if number < len(spec.brackets) else 1,
                "ma": row.leverage,
            }
            for number, row in enumerate(spec.brackets, 1)
        ],
        "st": 1,
    }
