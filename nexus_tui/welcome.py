"""The first start ever: one page that says what there is to start with."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from nexus_engine.model.paths import StateError, state_root

_PAGE: Final = """
 Nexus defends first and attacks second. What shall it start with?

   1  demo      a practice market on this machine, play money   (Enter)
   2  testnet   the venue's play money: what it needs
   3  paper, live: what they need

"""
_TESTNET: Final = """
 testnet: make an account on Binance's futures testnet, seal its key in the
 vault with `nexus keys add test --testnet` (or put it into
 NEXUS_BINANCE_API_KEY and NEXUS_BINANCE_API_SECRET of the environment), then
 start `nexus --testnet`.

"""
_LIVE: Final = """
 paper: live prices, simulated money: `nexus --paper`. No key.
 live:  a key that cannot withdraw, bound to this machine's address, sealed
        with `nexus keys add NAME --live`; `nexus doctor --live` says what is
        missing. Entries stay locked until you type the phrase.
 Get to know the cockpit on the demo; it is the same engine.

"""
_ANSWERS: Final = {"2": _TESTNET, "3": _LIVE}


def first_run(state: Path | None) -> bool:
    """Nothing has ever been started with this state folder."""
    try:
        return not any(each.is_dir() for each in state_root(state).iterdir())
    except (StateError, OSError):  # there is no such folder yet, or it is for the start itself to complain of
        return True


def welcome(ask: Callable[[str], str] = input, say: Callable[[str], object] = sys.stderr.write) -> bool:
    """Show the page until the demo is chosen. False: nothing shall be started now."""
    say(_PAGE)
    while True:
        try:
            answer = ask(" 1, 2, 3, or q to leave: ").strip().lower()
        except EOFError:
            return False
        if answer in ("", "1"):
            return True
        if answer == "q":
            return False
        say(_ANSWERS.get(answer, ""))
