"""`nexus keys check` and Ed25519 signing against a venue that speaks the real protocol."""

import hashlib
from collections.abc import Iterable

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from venue_host import KEY, SECRET, Host, host

from nexus_engine.credentials import ed25519_pem, public_pem
from nexus_engine.keys import check
from nexus_engine.model.config import BinanceConfig
from nexus_engine.model.findings import Finding, Grade
from nexus_engine.model.secret import Secret
from nexus_engine.model.words import AccountKind
from nexus_engine.sim.faults import Fault
from nexus_engine.vault import ApiKey, Scheme


def config(venue: Host) -> BinanceConfig:
    return BinanceConfig(rest_url=venue.rest, ws_url=venue.ws, sapi_url=venue.rest)


def hmac_key(secret: str = SECRET) -> ApiKey:
    return ApiKey(name="real", kind=AccountKind.LIVE, api_key=Secret(KEY), secret=Secret(secret))


def grades(found: Iterable[Finding]) -> dict[str, Grade]:
    return {one.check: one.grade for one in found}


async def test_a_key_that_trades_and_cannot_withdraw_passes_every_check() -> None:
    async with host() as venue:
        found = await check(hmac_key(), config(venue))
    assert grades(found) == dict.fromkeys(
        ("venue", "clock", "key", "trading", "position mode", "withdrawals", "futures", "IP list"), Grade.OK
    )


@pytest.mark.parametrize(
    ("permission", "value", "check_name", "grade"),
    [
        ("enableWithdrawals", True, "withdrawals", Grade.BAD),
        ("enableInternalTransfer", True, "withdrawals", Grade.BAD),
        ("permitsUniversalTransfer", True, "withdrawals", Grade.BAD),
        ("enableFutures", False, "futures", Grade.BAD),
        ("ipRestrict", False, "IP list", Grade.WARN),
    ],
)
async def test_what_a_key_may_too_much_or_too_little_is_said(
    permission: str, value: bool, check_name: str, grade: Grade
) -> None:
    async with host() as venue:
        venue.server._rest.restrictions[permission] = value
        found = await check(hmac_key(), config(venue))
    assert {name: how for name, how in grades(found).items() if how is not Grade.OK} == {check_name: grade}


async def test_an_account_in_hedge_mode_is_bad() -> None:
    async with host() as venue:
        venue.venue.account.set_hedge(True)
        found = await check(hmac_key(), config(venue))
    assert {name: how for name, how in grades(found).items() if how is not Grade.OK} == {"position mode": Grade.BAD}


async def test_a_venue_that_leaves_the_withdrawals_out_is_not_believed_to_forbid_them() -> None:
    async with host() as venue:
        del venue.server._rest.restrictions["enableWithdrawals"]
        found = await check(hmac_key(), config(venue))
    assert grades(found)["withdrawals"] is Grade.BAD


async def test_a_wrong_secret_a_silent_venue_and_half_an_answer_are_told_apart() -> None:
    async with host() as venue:
        found = await check(hmac_key("w" * 64), config(venue))
        assert grades(found)["key"] is Grade.BAD and "w" * 8 not in str(found)
        away = config(venue)
    found = await check(hmac_key(), away)
    assert grades(found) == {"venue": Grade.BAD}
    refuse = Fault(on="GET /sapi/v1/account/apiRestrictions", kind="refuse")
    async with host(faults=[refuse]) as venue:
        found = await check(hmac_key(), config(venue))
    assert grades(found)["permissions"] is Grade.WARN


async def test_ed25519_signs_what_the_venue_verifies_and_another_key_does_not() -> None:
    ours = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"ours").digest())
    other = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"other").digest())
    async with host(public_key=ours.public_key()) as venue:
        for signer, grade in ((ours, Grade.OK), (other, Grade.BAD)):
            pem, public = ed25519_pem(_pem(signer))
            assert public == public_pem(signer)
            api_key = Secret(venue.server.keys.ed25519_key)
            key = ApiKey(name="ed", kind=AccountKind.LIVE, scheme=Scheme.ED25519, api_key=api_key, secret=pem)
            found = await check(key, config(venue))
            assert grades(found)["key"] is grade


def _pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
