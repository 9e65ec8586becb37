"""Orders, positions and balances as Binance USD-M writes them in REST replies."""

# fmt: off  (a shape reads better in rows of keys than one key a line)
from decimal import Decimal

from nexus_engine.sim.ledger import Margins, SymbolMargin
from nexus_engine.sim.orders import (
    CONDITIONAL_TYPES,
    Algo,
    Fill,
    Income,
    Order,
)
from nexus_engine.sim.specs import SymbolSpec
from nexus_engine.sim.wire import Json, Scale, plain


def side(buy: bool) -> str:
    return "BUY" if buy else "SELL"


def average(scale: Scale, quote: Decimal, lots: int) -> str:
    return plain(quote / (lots * scale.spec.step), 5) if lots else "0.00000"


def order_row(scale: Scale, order: Order) -> Json:
    quote = plain(order.quote, 5)
    return {
        "orderId": order.order_id,
        "symbol": order.symbol,
        "pair": order.symbol,
        "status": order.status,
        "clientOrderId": order.client_id,
        "price": scale.price(order.price_ticks),
        "avgPrice": average(scale, order.quote, order.filled_lots),
        "origQty": scale.qty(order.qty_lots),
        "executedQty": scale.qty(order.filled_lots),
        "cumQty": scale.qty(order.filled_lots),
        "cumQuote": quote,
        "timeInForce": order.tif,
        "type": order.type,
        "reduceOnly": order.reduce_only,
        "closePosition": order.close_position,
        "side": side(order.side_buy),
        "positionSide": order.position_side,
        "stopPrice": "0",
        "workingType": "CONTRACT_PRICE",
        "priceProtect": False,
        "origType": order.type,
        "priceMatch": "NONE",
        "selfTradePreventionMode": "NONE",
        "goodTillDate": order.good_till_ms,
        "time": order.created_ms,
        "updateTime": order.updated_ms,
    }


def algo_row(scale: Scale, algo: Algo) -> Json:
    """As the lists and a query show it: what only a trailing stop has, only a trailing stop has."""
    trail = {
        "activatePrice": scale.price(algo.activate_ticks) if algo.activate_ticks else "",
        "callbackRate": str(algo.callback_pct),
    }
    return {
        "algoId": algo.algo_id,
        "clientAlgoId": algo.client_id,
        "algoType": "CONDITIONAL",
        "orderType": algo.type,
        "symbol": algo.symbol,
        "side": side(algo.side_buy),
        "positionSide": algo.position_side,
        "timeInForce": algo.tif,
        "quantity": scale.qty(algo.qty_lots),
        "algoStatus": algo.status,
        "actualOrderId": str(algo.order_id) if algo.order_id else "",
        "actualPrice": average(scale, algo.quote, algo.filled_lots),
        "actualQty": scale.qty(algo.filled_lots),
        "actualType": CONDITIONAL_TYPES[algo.type][1] if algo.order_id else "",
        "triggerPrice": scale.price(algo.trigger_ticks),
        "price": scale.price(algo.price_ticks),
        "icebergQuantity": None,
        "tpTriggerPrice": "0.000",
        "tpPrice": "0.000",
        "slTriggerPrice": "0.000",
        "slPrice": "0.000",
        "tpOrderType": "",
        "selfTradePreventionMode": "NONE",
        "workingType": algo.working_type,
        "priceMatch": "NONE",
        "closePosition": algo.close_position,
        "priceProtect": False,
        "reduceOnly": algo.reduce_only,
        "createTime": algo.created_ms,
        "updateTime": algo.updated_ms,
        "triggerTime": algo.trigger_ms,
        "goodTillDate": algo.good_till_ms,
    } | (trail if algo.type == "TRAILING_STOP_MARKET" else {})


def algo_placed(scale: Scale, algo: Algo) -> Json:
    """As the reply to placing it shows it: with the trailing stop's fields, empty for the others."""
    return {"activatePrice": "", "callbackRate": ""} | algo_row(scale, algo)


def algo_cancelled(algo: Algo) -> Json:
    return {"algoId": algo.algo_id, "clientAlgoId": algo.client_id, "code": "200", "msg": "success"}


def user_trade(scale: Scale, fill: Fill) -> Json:
    quantity = scale.qty(fill.lots)
    return {
        "symbol": fill.symbol,
        "pair": fill.symbol,
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "side": side(fill.side_buy),
        "price": scale.price(fill.price_ticks),
        "qty": quantity,
        "baseQty": quantity,
        "realizedPnl": plain(fill.realised),
        "marginAsset": "USDT",
        "quoteQty": plain(fill.notional),
        "commission": plain(fill.fee),
        "commissionAsset": "USDT",
        "time": fill.at_ms,
        "positionSide": fill.position_side,
        "buyer": fill.side_buy,
        "maker": fill.maker,
    }


def income_row(row: Income) -> Json:
    return {
        "symbol": row.symbol,
        "incomeType": row.kind,
        "income": plain(row.amount),
        "asset": "USDT",
        "info": row.kind,
        "time": row.at_ms,
        "tranId": row.tran_id,
        "tradeId": str(row.trade_id) if row.trade_id else "",
    }


def _asset(state: Margins, now_ms: int) -> Json:
    return {
        "asset": "USDT",
        "walletBalance": plain(state.wallet),
        "unrealizedProfit": plain(state.unrealised),
        "marginBalance": plain(state.wallet + state.unrealised),
        "maintMargin": plain(state.maintenance),
        "initialMargin": plain(state.initial + state.order_initial),
        "positionInitialMargin": plain(state.initial),
        "openOrderInitialMargin": plain(state.order_initial),
        "crossWalletBalance": plain(state.cross_wallet),
        "crossUnPnl": plain(state.cross_unrealised),
        "availableBalance": plain(state.available),
        "maxWithdrawAmount": plain(state.available),
        "marginAvailable": True,
        "updateTime": now_ms,
    }


def balance(state: Margins, now_ms: int) -> list[Json]:
    return [
        {
            "accountAlias": "nexus",
            "asset": "USDT",
            "balance": plain(state.wallet),
            "crossWalletBalance": plain(state.cross_wallet),
            "crossUnPnl": plain(state.cross_unrealised),
            "availableBalance": plain(state.available),
            "maxWithdrawAmount": plain(state.available),
            "marginAvailable": True,
            "updateTime": now_ms,
        }
    ]


def _account_position_v2(row: SymbolMargin) -> Json:
    return {
        "symbol": row.symbol,
        "initialMargin": plain(row.initial + row.order_initial),
        "maintMargin": plain(row.maintenance),
        "unrealizedProfit": plain(row.unrealised),
        "positionInitialMargin": plain(row.initial),
        "openOrderInitialMargin": plain(row.order_initial),
        "leverage": str(row.leverage),
        "isolated": row.isolated,
        "entryPrice": plain(row.entry),
        "breakEvenPrice": plain(row.break_even),
        "maxNotional": str(row.max_notional),
        "bidNotional": plain(row.bid_notional),
        "askNotional": plain(row.ask_notional),
        "positionSide": row.position_side,
        "positionAmt": format(row.amount, "f"),
        "notional": plain(row.notional),
        "isolatedWallet": plain(row.isolated_wallet),
        "updateTime": row.updated_ms,
    }


def _account_position_v3(row: SymbolMargin) -> Json:
    return {
        "symbol": row.symbol,
        "positionSide": row.position_side,
        "positionAmt": format(row.amount, "f"),
        "unrealizedProfit": plain(row.unrealised),
        "isolatedMargin": plain(_isolated_margin(row)),
        "notional": plain(row.notional),
        "isolatedWallet": plain(row.isolated_wallet),
        "initialMargin": plain(row.initial + row.order_initial),
        "maintMargin": plain(row.maintenance),
        "updateTime": row.updated_ms,
    }


def _isolated_margin(row: SymbolMargin) -> Decimal:
    return row.isolated_wallet + row.unrealised if row.isolated else Decimal(0)


def account(state: Margins, version: int, now_ms: int, hedge: bool) -> Json:
    """v2 lists every symbol and its leverage; v3 only what has a position or an order, without them."""
    rows = list(state.symbols.values())
    totals = {
        "totalInitialMargin": plain(state.initial + state.order_initial),
        "totalMaintMargin": plain(state.maintenance),
        "totalWalletBalance": plain(state.wallet),
        "totalUnrealizedProfit": plain(state.unrealised),
        "totalMarginBalance": plain(state.wallet + state.unrealised),
        "totalPositionInitialMargin": plain(state.initial),
        "totalOpenOrderInitialMargin": plain(state.order_initial),
        "totalCrossWalletBalance": plain(state.cross_wallet),
        "totalCrossUnPnl": plain(state.cross_unrealised),
        "availableBalance": plain(state.available),
        "maxWithdrawAmount": plain(state.available),
        "assets": [_asset(state, now_ms)],
    }
    if version == 2:
        return account_config(hedge) | totals | {"positions": [_account_position_v2(row) for row in rows]}
    return totals | {"positions": [_account_position_v3(row) for row in rows if row.lots or row.order_initial]}


def account_config(hedge: bool) -> Json:
    return {
        "feeTier": 0,
        "feeBurn": False,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "dualSidePosition": hedge,
        "updateTime": 0,
        "multiAssetsMargin": False,
        "tradeGroupId": -1,
    }


def position_risk(row: SymbolMargin, version: int) -> Json:
    common = {
        "symbol": row.symbol,
        "positionSide": row.position_side,
        "positionAmt": format(row.amount, "f"),
        "entryPrice": plain(row.entry),
        "breakEvenPrice": plain(row.break_even),
        "markPrice": plain(row.mark),
        "unRealizedProfit": plain(row.unrealised),
        "liquidationPrice": plain(row.liquidation),
        "isolatedMargin": plain(_isolated_margin(row)),
        "notional": plain(row.notional),
        "isolatedWallet": plain(row.isolated_wallet),
        "updateTime": row.updated_ms,
    }
    if version == 2:
        return common | {
            "leverage": str(row.leverage),
            "maxNotionalValue": str(row.max_notional),
            "marginType": "isolated" if row.isolated else "cross",
            "isAutoAddMargin": "false",
        }
    return common | {
        "marginAsset": "USDT",
        "initialMargin": plain(row.initial + row.order_initial),
        "maintMargin": plain(row.maintenance),
        "positionInitialMargin": plain(row.initial),
        "openOrderInitialMargin": plain(row.order_initial),
        "adl": 1 if row.lots else 0,
        "bidNotional": plain(row.bid_notional),
        "askNotional": plain(row.ask_notional),
    }


def symbol_config(spec: SymbolSpec, isolated: bool, leverage: int) -> Json:
    return {
        "symbol": spec.symbol,
        "marginType": "ISOLATED" if isolated else "CROSSED",
        "isAutoAddMargin": False,
        "leverage": leverage,
        "maxNotionalValue": str(spec.max_notional(leverage)),
    }


def leverage_changed(spec: SymbolSpec, leverage: int) -> Json:
    return {"symbol": spec.symbol, "leverage": leverage, "maxNotionalValue": str(spec.max_notional(leverage))}


def leverage_bracket(spec: SymbolSpec) -> Json:
    brackets = [
        {
            "bracket": number,
            "initialLeverage": row.leverage,
            "notionalCap": row.cap,
            "notionalFloor": row.floor,
            "maintMarginRatio": float(row.mmr),
            "cum": float(row.cum),
        }
        for number, row in enumerate(spec.brackets, 1)
    ]
    return {"symbol": spec.symbol, "notionalCoef": 1.0, "brackets": brackets}


def commission_rate(symbol: str, maker: Decimal, taker: Decimal) -> Json:
    return {
        "symbol": symbol,
        "makerCommissionRate": plain(maker, 4),
        "takerCommissionRate": plain(taker, 4),
        "rpiCommissionRate": "0.00005",
    }
