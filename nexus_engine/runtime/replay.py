"""`nexus replay FILE`: runs a recording through the core again. The same events must lead to the same decisions."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace
from pydantic import ValidationError

from nexus_engine.core.engine import Engine
from nexus_engine.model.config import Directive
from nexus_engine.model.events import RegimeModelChanged, StrategyHung
from nexus_engine.model.ledger import Ledger
from nexus_engine.runtime.own import load_own
from nexus_engine.runtime.own_guard import Repeated
from nexus_engine.runtime.regime import model_of
from nexus_engine.store.recording import EffectsHash, RecordingError, read_recording


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay found. `complete` False: the recording was cut short (a kill), so there is no hash to compare."""

    ok: bool
    events: int
    complete: bool
    decisions: str
    """Hash of every effect, in order."""
    recorded: str
    state: str
    """Hash of the trading state at the end."""


def replay(path: Path) -> Replayed:
    """Run a fresh engine on a recording's events. Raises RecordingError with one line."""
    header, events, end = read_recording(path)
    try:
        directive = Directive.model_validate(header.directive)
    except ValidationError as error:
        raise RecordingError(f"{path}: its directive is not of this version ({error.error_count()} keys)") from error
    ledger = Ledger().fold(header.facts)
    own = load_own(directive.account.own_strategies)
    if own.kinds:
        _, ahead, _ = read_recording(path)
        hung = {event.call: event.why for event in ahead if type(event) is StrategyHung}
        own = replace(own, call=Repeated(hung))
    engine = Engine(directive, ledger, own)
    decisions = EffectsHash()
    count = 0
    for event in events:
        if type(event) is RegimeModelChanged and event.sha256 not in engine.regime_models and event.sha256:
            model = model_of(event.sha256)
            if model is None:
                raise RecordingError(f"{path}: was recorded with the regime model {event.name}, which is not kept here")
            engine.regime_models[event.sha256] = model
        decisions.update(engine.on(event))
        count += 1
    recorded = "" if end is None else end.effects_hash
    same = end is not None and end.events == count and recorded == decisions.hexdigest()
    return Replayed(
        ok=same or end is None,
        events=count,
        complete=end is not None,
        decisions=decisions.hexdigest(),
        recorded=recorded,
        state=ledger.digest(),
    )


def main(argv: Sequence[str]) -> int:
    """Replay one file. 0: the same decisions; 1: others; 2: it cannot be read."""
    parser = argparse.ArgumentParser(prog="nexus replay", description=__doc__)
    parser.add_argument("file", type=Path, metavar="FILE", help="what `nexus --record FILE` wrote")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    args = parser.parse_args(argv)
    try:
        found = replay(args.file)
    except RecordingError as error:
        sys.stderr.write(f"nexus replay: {error}\n")
        return 2
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n" if args.json else _told(found) + "\n")
    return 0 if found.ok else 1


def _told(found: Replayed) -> str:
    if not found.complete:
        return f"{found.events} events replayed; the recording was cut short, so there is no hash to compare with"
    verdict = "the same decisions" if found.ok else f"OTHER decisions: {found.decisions}, recorded {found.recorded}"
    return f"{found.events} events replayed: {verdict}"
