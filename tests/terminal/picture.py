"""Draws the README's picture: the demo in a real terminal, a position held, a proposal waiting. argv: where to."""

import re
import sys
import tempfile
from pathlib import Path

from demo_house import House, next_card, quit_resting, wait_until

_MARKET = ("--scenario", "range", "--seed", "7", "--speed", "20")
_SAVE, _NAME = "\x07", re.compile(r"terminal-\d+-")


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch, House(Path(scratch), words=_MARKET) as house:
        terminal = house.cockpit(columns=120, lines=40)
        number, _ = next_card(terminal)
        terminal.press("a")
        terminal.wait_for("stops 1/1")
        next_card(terminal, after=number)
        terminal.press(_SAVE)
        saved = wait_until(lambda: next(house.folder.glob("nexus-*.svg"), None))
        terminal.wait_for("picture saved")
        # The names of its styles change with its content; a picture that is drawn again shall differ where it does.
        Path(sys.argv[1]).write_text(_NAME.sub("nexus-", saved.read_text(encoding="utf-8")), encoding="utf-8")
        quit_resting(terminal)


if __name__ == "__main__":
    main()
