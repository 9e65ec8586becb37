"""How a command is meant: what its options have in common, and the one line for who did not mean it like this."""

import argparse
from pathlib import Path
from typing import NoReturn

from nexus_engine.model.words import AccountKind


class UsageError(Exception):
    """The command was not meant like this; the message is one clear line."""


def harmless(text: object) -> str:
    """Without anything that a terminal could obey, in one line: what a file is called or holds comes from anybody."""
    return "".join(char if char.isprintable() else "?" for char in str(text))


class Parser(argparse.ArgumentParser):
    """Raises UsageError where argparse would write its usage and end the process."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def of_an_account(parser: argparse.ArgumentParser, account: str | None = None) -> None:
    """--account, whose default is `account`, a flag for each kind, --state and --json."""
    parser.add_argument("--account", default=account, metavar="NAME", help="which account (main)")
    kinds = parser.add_mutually_exclusive_group()
    for kind in AccountKind:
        flag = kind.lower()
        kinds.add_argument(f"--{flag}", dest="kind", action="store_const", const=kind, help=f"the {flag} account")
    parser.add_argument("--state", type=Path, metavar="DIR", help="the state folder")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
