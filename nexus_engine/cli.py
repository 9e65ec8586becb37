"""Every command but the cockpit itself, each imported when it is called."""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final

COMMANDS: Final = {
    "status": ("nexus_engine.runtime.commands:status", "one line for each account that runs (--json)"),
    "kill": ("nexus_engine.runtime.commands:kill", "HALT from a second shell, even when the cockpit is frozen"),
    "accounts": (
        "nexus_engine.runtime.accounts:accounts",
        "every account: kind, mode, last start (--json)",
    ),
    "service": ("nexus_engine.runtime.service:service", "a hardened systemd unit for an engine without a cockpit"),
    "doctor": ("nexus_engine.doctor:main", "health of machine, account, key and venue, and what to do (--json)"),
    "config": ("nexus_engine.explain:main", "--explain: every key of the directive; --default: a file to start from"),
    "keys": ("nexus_engine.keys:main", "add, list, check, remove, passphrase: the vault of API keys"),
    "exchange": ("nexus_engine.sim.exchange:main", "the practice venue alone, for any client"),
    "download": (
        "nexus_engine.lab.download:main",
        "candles, trades and funding of the past as parquet; goes on where it stopped",
    ),
    "backtest": (
        "nexus_engine.lab.backtest:main",
        "the core that trades live on recorded bars: what the strategies make of them, costs and all (--json, --html)",
    ),
    "sweep": (
        "nexus_engine.lab.sweep:main",
        "look for a strategy's parameters, and judge them on bars that the search did not see; any number of workers",
    ),
    "strategy": (
        "nexus_engine.runtime.own_check:main",
        "check FILE: run a strategy of your own over generated bars, within a time limit, before an engine does",
    ),
    "regime": ("nexus_engine.lab.regime:main", "train a regime model, or measure one on bars it has not seen"),
    "drill": ("nexus_engine.lab.drill:main", "a crash through the whole stack on loopback: what the Sentinel does"),
    "journal": ("nexus_engine.store.commands:main", "verify or export the journal; why a decision was made"),
    "replay": ("nexus_engine.runtime.replay:main", "run a recording through the core again: the same decisions?"),
}


def run(argv: Sequence[str]) -> int:
    """Run `argv[0]` with the rest. Returns the exit code: 0 done, 1 the answer is no, or nobody reads on, 2 bad usage,
    130 stopped by ctrl-C."""
    if not argv or argv[0] not in COMMANDS:
        print(f"nexus: no command {argv[0] if argv else ''!r}; there are {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    module, _, function = COMMANDS[argv[0]][0].partition(":")
    try:
        code = int(getattr(importlib.import_module(module), function)(argv[1:]))
        print(end="", flush=True)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # who read it, as `head` does, has enough; the end of the process flushes once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


if __name__ == "__main__":
    raise SystemExit(run(sys.argv[1:]))
