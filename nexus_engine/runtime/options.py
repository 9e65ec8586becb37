"""What an account is started with, and what can be said of it before anything is started."""

import resource
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from nexus_engine.model.paths import state_root
from nexus_engine.model.words import AccountKind

if TYPE_CHECKING:  # pydantic costs a tenth of a second, which the first frame should not wait for
    from nexus_engine.model.config import Directive
    from nexus_engine.vault import ApiKey


class StartError(Exception):
    """The account cannot be started as asked; the message is one clear line."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """One start. `directive` wins over `config`, which is read on the engine's thread; neither: the defaults.

    `scenario`, `seed` and `speed` win over the directive's [demo] section; `replay` is a market recording for the demo
    venue, `record` a file for the core's input. `read_only`: of all commands only HALT is taken.
    """

    kind: AccountKind = AccountKind.DEMO
    account: str = "main"
    directive: "Directive | None" = None
    config: Path | None = None
    state: Path | None = None
    scenario: str | None = None
    seed: int | None = None
    speed: float | None = None
    replay: Path | None = None
    record: Path | None = None
    read_only: bool = False
    headless: bool = False
    """Started to run without a person."""
    key: "ApiKey | None" = None
    """What a testnet or live account signs with; see `with_key`."""

    def resolve(self) -> "Directive":
        """The directive with the command line laid over it. Raises ConfigError."""
        from nexus_engine.model.config import AccountConfig, DemoConfig, load

        directive = self.directive or load(self.config)
        flags = {"scenario": self.scenario, "seed": self.seed, "speed": self.speed}
        given: dict[str, Any] = {key: value for key, value in flags.items() if value is not None}
        account = directive.account.model_dump() | {"name": self.account, "kind": self.kind}
        return directive.model_copy(
            update={
                "account": AccountConfig.model_validate(account),
                "demo": DemoConfig.model_validate(directive.demo.model_dump() | given),
            }
        )


_KEYED: Final = frozenset({AccountKind.TESTNET, AccountKind.LIVE})


def with_key(options: Options, passphrase_fd: int | None = None, *, ask: bool = True) -> Options:
    """The options with the key that the account needs, from the vault or the environment. `ask` a person for the
    passphrase: only before a cockpit has the terminal.

    Raises StartError, StateError or ConfigError.
    """
    if options.kind not in _KEYED or options.key is not None:
        return options
    from nexus_engine.credentials import ask_terminal, find_key, nobody
    from nexus_engine.vault import VaultError

    # a core dump would hold the key
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        name, prompt = options.resolve().binance.key, ask_terminal if ask else nobody
        key = find_key(state_root(options.state), options.kind, name, fd=passphrase_fd, prompt=prompt)
        return replace(options, key=key)
    except VaultError as error:
        raise StartError(str(error)) from None


def check(options: Options) -> None:
    """Say early and cheaply what would fail later. Raises StartError or ConfigError with one line."""
    if options.kind is not AccountKind.DEMO:
        for name in ("scenario", "seed", "speed", "replay"):
            if getattr(options, name) is not None:
                raise StartError(f"--{name} is for the demo's own market; leave it out or use --demo")
    directive = options.directive
    for name, scenario in (
        ("--scenario", options.scenario),
        ("demo.scenario", None if directive is None or options.scenario else directive.demo.scenario),
    ):
        if scenario is not None:
            from nexus_engine.sim.scenarios import scenario_named

            try:
                scenario_named(scenario)
            except ValueError as error:
                raise StartError(f"{name}: {error}") from error
    if directive is not None and directive.strategies:
        from nexus_engine.cortex.factory import Cortex

        Cortex(directive.strategies)
    if options.seed is not None and options.seed < 0:
        raise StartError(f"--seed {options.seed}: must be 0 or more")
    if options.speed is not None and not 0 < options.speed <= 100:
        raise StartError(f"--speed {options.speed:g}: must be above 0 and at most 100")
    if options.replay is not None and not options.replay.is_file():
        raise StartError(f"--replay {options.replay}: no such file")
    if options.record is not None and (options.record.is_dir() or not options.record.absolute().parent.is_dir()):
        raise StartError(f"--record {options.record}: not a file in an existing folder")
