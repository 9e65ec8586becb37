"""`nexus journal verify | export | why`."""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import msgspec

from nexus_engine.model.paths import StateError, account_path, journal_path, state_root
from nexus_engine.model.ports import JournalError
from nexus_engine.model.usage import Parser, UsageError, of_an_account
from nexus_engine.model.words import AccountKind
from nexus_engine.store.export import FORMATS, TABLES, table, write
from nexus_engine.store.verify import verify
from nexus_engine.store.why import (
    intent_of,
    is_symbol,
    lines,
    recent,
    recent_lines,
    row_of,
    signal_at,
    story,
    swan_story,
)


def main(argv: Sequence[str]) -> int:
    """Run one journal command. 0: done; 1: it ran and the answer is no; 2: bad usage, with one line on stderr."""
    try:
        args = _parser().parse_args(argv)
        return int(args.run(args))
    except (UsageError, StateError, JournalError) as error:
        sys.stderr.write(f"nexus journal: {error}\n")
        return 2
    except SystemExit as stop:
        return int(stop.code or 0)
    except BrokenPipeError:
        # The reader has what it wanted (`| head`); what is left in the buffer must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    common = Parser(add_help=False)
    of_an_account(common, "main")
    parser = Parser(prog="nexus journal", description="Read what was decided, and why.")
    commands = parser.add_subparsers(required=True, metavar="verify | export | why")
    one = commands.add_parser("verify", parents=[common], help="check the chain, and the trading state it gives")
    one.set_defaults(run=_verify)
    one = commands.add_parser("export", parents=[common], help="write a table")
    one.add_argument("--what", choices=TABLES, default="trades", help="the table (trades); all: every fact")
    one.add_argument("--format", choices=FORMATS, default="csv", help="how (csv)")
    one.add_argument("--out", type=Path, metavar="FILE", help="where (stdout)")
    one.set_defaults(run=_export)
    one = commands.add_parser("why", parents=[common], help="tell why something was proposed, made or refused")
    one.add_argument(
        "id",
        metavar="ID",
        help="P41, 41, an order's client id, S17 (a row), a symbol: its last signals, or swan: the last trip",
    )
    one.set_defaults(run=_why)
    return parser


def _journal(args: argparse.Namespace) -> Path:
    """The account's journal; without a kind, that of the only kind there is."""
    root = state_root(args.state)
    kinds = [args.kind] if args.kind else list(AccountKind)
    found = [path for kind in kinds if (path := journal_path(account_path(root, args.account, kind))).is_file()]
    if not found:
        raise UsageError(f"account {args.account} has no journal in {root}; see --account and --state")
    if len(found) > 1:
        names = ", ".join(path.parent.name for path in found)
        raise UsageError(f"account {args.account} has several journals ({names}); add --demo, --paper, ...")
    return found[0]


def _answer(value: object) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def _verify(args: argparse.Namespace) -> int:
    path = _journal(args)
    report = verify(path)
    if args.json:
        _answer(report)
    elif report.ok:
        sys.stdout.write(
            f"{path}: whole. {report.facts} facts in {report.commits} commits by {report.epoch} writers, "
            f"{report.digests_checked} seals hold, trading state {report.state_digest}\n"
        )
    else:
        sys.stdout.write("".join(f"{path}: {problem}\n" for problem in report.problems))
    return 0 if report.ok else 1


def _export(args: argparse.Namespace) -> int:
    path = _journal(args)
    if args.out is None and args.format == "parquet":
        raise UsageError("parquet is not for a terminal; name a file with --out")
    if args.out is None and args.json:
        with table(path, args.what) as source:
            rows = [dict(zip(source.columns, row, strict=True)) for row in source.rows]
        _answer({"what": args.what, "rows": rows})
        return 0
    try:
        with (
            args.out.open("wb") if args.out else nullcontext(sys.stdout.buffer) as out,
            table(path, args.what) as source,
        ):
            count = write(source, args.format, out)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UsageError(f"{args.out or 'stdout'}: cannot be written ({error.strerror})") from error
    if args.json:
        _answer({"what": args.what, "rows": count, "out": str(args.out)})
    elif args.out:
        sys.stdout.write(f"{args.out}: {count} rows\n")
    return 0


def _why(args: argparse.Namespace) -> int:
    swan, intent, seq = args.id == "swan", intent_of(args.id), row_of(args.id)
    if not (swan or intent or seq):
        if not is_symbol(args.id):
            raise UsageError(f"{args.id!r} is no id; use P41, 41, an order's client id, S17, a symbol or swan")
        return _why_symbol(args)
    path = _journal(args)
    facts = swan_story(path) if swan else story(path, intent) if intent else signal_at(path, seq)
    if args.json:
        _answer({"swan" if swan else "intent": swan or intent, "facts": facts})
    elif facts:
        sys.stdout.write("".join(f"{line}\n" for line in lines(facts)))
    if not facts:
        what = f"P{intent}" if intent else f"a signal in row {seq}"
        told = "no trip of the black swan is known" if swan else f"nothing is known of {what}"
        sys.stderr.write(f"nexus journal: {told}\n")
    return 0 if facts else 1


def _why_symbol(args: argparse.Namespace) -> int:
    seen = recent(_journal(args), args.id)
    if args.json:
        _answer({"symbol": args.id, "signals": [{"seq": seq, "fact": fact} for seq, fact in seen]})
    else:
        sys.stdout.write("".join(f"{line}\n" for line in recent_lines(seen)))
    if not seen:
        sys.stderr.write(f"nexus journal: no signal on {args.id} is known\n")
    return 0 if seen else 1
