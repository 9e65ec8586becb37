"""Whose money it is never scrolls off, and real money is unlocked by typing alone."""

import pytest
from msgspec.structs import replace
from tui_driving import Driven, cockpit
from tui_views import account, view

from nexus_engine.model.commands import Unlock
from nexus_engine.model.view import View
from nexus_engine.model.words import AccountKind
from nexus_engine.runtime import Options
from nexus_tui.__main__ import _phrase


def of(kind: AccountKind, *, lease_ms: int | None = None, blocked: str = "") -> View:
    return replace(view(), account=account(kind=kind, lease_ms=lease_ms, blocked=blocked))


@pytest.mark.parametrize("kind", list(AccountKind))
@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_kind_of_money_leads_the_first_row(kind: AccountKind, size: tuple[int, int]) -> None:
    async with cockpit(of(kind), size=size) as driven:
        assert driven.row(1).split()[:2] == [kind.value, "main"]


async def test_a_locked_account_says_so_in_both_rows_and_a_lease_how_long() -> None:
    reason = "LIVE entries are locked; `unlock` in the menu opens them"
    async with cockpit(of(AccountKind.LIVE, lease_ms=0, blocked=reason), size=(120, 40)) as driven:
        assert "lease LOCKED" in driven.row(1) and reason in driven.row(2)
        await driven.show(of(AccountKind.LIVE, lease_ms=7 * 3_600_000))
        assert "lease 7h" in driven.row(1) and "locked" not in driven.row(2)
    async with cockpit(of(AccountKind.LIVE, lease_ms=0, blocked=reason)) as driven:
        assert "lease LOCKED" in driven.row(1)


async def unlock(driven: Driven, typed: str) -> None:
    driven.cockpit.action_unlock()
    await driven.pass_ms(0)
    await driven.press(*("space" if letter == " " else letter for letter in typed), "enter")


async def test_only_the_typed_phrase_unlocks() -> None:
    async with cockpit(of(AccountKind.LIVE, lease_ms=0)) as driven:
        for typed in ("", "live", "main", "yes"):
            await unlock(driven, typed)
        assert driven.sent == []
        await unlock(driven, "live main")
        assert driven.sent == [Unlock(word="live main")]


async def test_play_money_has_nothing_to_unlock_and_a_cockpit_that_only_looks_unlocks_nothing() -> None:
    for picture, read_only in ((of(AccountKind.PAPER), False), (of(AccountKind.LIVE, lease_ms=0), True)):
        async with cockpit(picture, read_only=read_only) as driven:
            driven.cockpit.action_unlock()
            await driven.pass_ms(0)
            assert driven.app.screen is driven.cockpit


class Terminal:
    def __init__(self, there: bool) -> None:
        self._there = there

    def isatty(self) -> bool:
        return self._there


@pytest.mark.parametrize(
    ("options", "there", "typed", "given"),
    [
        (Options(kind=AccountKind.LIVE), True, "live main", "live main"),
        (Options(kind=AccountKind.LIVE), True, " Live Main ", "live main"),
        (Options(kind=AccountKind.LIVE), True, "", ""),
        (Options(kind=AccountKind.LIVE), True, "live", ""),
        (Options(kind=AccountKind.LIVE), False, "live main", ""),
        (Options(kind=AccountKind.LIVE, read_only=True), True, "live main", ""),
        (Options(kind=AccountKind.LIVE, account="two"), True, "live main", ""),
        (Options(kind=AccountKind.TESTNET), True, "live main", ""),
    ],
)
def test_a_start_asks_for_the_phrase_where_there_is_somebody_to_type_it(
    options: Options, there: bool, typed: str, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(there))
    monkeypatch.setattr("builtins.input", lambda prompt: typed)
    assert _phrase(options) == given
