"""What the venue really sent in 2021 and 2024 goes through the decoders, all of it."""

import gzip
import re
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from fuzz import absurd

from nexus_engine.uplink.binance.replies import DepthReply
from nexus_engine.uplink.binance.wire import MARKET_EVENTS, MarketFrame, PublicFrame

OURS = {"depthUpdate": "public", "aggTrade": "market", "kline": "market", "markPriceUpdate": "market"}
NOT_ASKED_FOR = {"bookTicker", "trade"}
STAMP = re.compile(rb"^[0-9.]+:? ")


class Named(msgspec.Struct):
    class Data(msgspec.Struct):
        e: str

    data: Data


@pytest.mark.parametrize(
    ("capture", "counts"),
    [
        ("btcusdt_usdm_20240808.gz", {"depthUpdate": 6_551}),
        ("cryptofeed_BINANCE_FUTURES.ws.1.0.gz", {"depthUpdate": 764, "aggTrade": 91, "kline": 67}),
    ],
)
def test_every_message_of_a_stream_that_we_ask_for_is_read(
    data_dir: Path, capture: str, counts: dict[str, int]
) -> None:
    decode = {"market": msgspec.json.Decoder(MarketFrame, strict=False).decode}
    decode["public"] = msgspec.json.Decoder(PublicFrame, strict=False).decode
    kind_of = msgspec.json.Decoder(Named).decode
    found: Counter[str] = Counter()
    last: dict[str, int] = {}
    with gzip.open(data_dir / "l2" / capture) as file:
        for line in file:
            message = STAMP.sub(b"", line)
            if message == line or b'"stream"' not in message:
                continue  # the address that was opened; the snapshot by REST
            kind = kind_of(message).data.e
            if kind in NOT_ASKED_FOR:
                continue
            msg = decode[OURS[kind]](message).data
            found[kind] += 1
            if kind == "depthUpdate":
                assert last.setdefault(msg.s, msg.pu) == msg.pu
                last[msg.s] = msg.u
                assert not list(absurd(msg))
            else:
                assert not list(absurd(MARKET_EVENTS[type(msg)](msg, 1, 1)))
    assert found == counts


def test_every_snapshot_is_read(data_dir: Path) -> None:
    with gzip.open(data_dir / "l2" / "cryptofeed_BINANCE_FUTURES.http.0.0.gz") as file:
        bodies = [line.partition(b": ")[2] for line in file if b'"lastUpdateId"' in line]
    replies = [msgspec.json.decode(body, type=DepthReply, strict=False) for body in bodies]
    assert len(replies) == 4
    assert all(len(reply.bids) > 100 and not list(absurd(reply)) for reply in replies)
