"""What an account is started with, and what can be said of it before anything is started."""

import functools
import os
import pwd
import resource
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from nexus_engine.model.paths import state_root
from nexus_engine.model.secret import Secret
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
    person: str = "you"
    """Who sits at this process's own cockpit; see `somebody`."""
    headless: bool = False
    """Started to run without a person."""
    key: "ApiKey | None" = None
    """What a testnet or live account signs with; see `with_key`."""
    macro_key: Secret | None = None
    """What CoinMarketCap knows us by, empty for nothing; None until it was looked for."""
    password: Secret | None = None
    """Of the journal's mirror, where the directive names one of the vault."""

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


MACRO_ENV: Final = "NEXUS_CMC_API_KEY"
_KEYED: Final = frozenset({AccountKind.TESTNET, AccountKind.LIVE})


def with_key(options: Options, passphrase_fd: int | None = None, *, ask: bool = True) -> Options:
    """The options with the keys that the account needs, from the vault or the environment. `ask` a person for the
    passphrase: only before a cockpit has the terminal. A demo needs none but the one of its mirror.

    Raises StartError, StateError or ConfigError.
    """
    keyed = options.kind in _KEYED and options.key is None
    macro = options.kind is not AccountKind.DEMO and options.macro_key is None
    named = options.config is not None or options.directive is not None
    if not keyed and not named and (not macro or MACRO_ENV not in os.environ):
        return replace(options, macro_key=Secret("")) if macro else options  # nothing to import for it
    directive = options.resolve()
    mirror = bool(directive.postgres.key) and options.password is None
    if not (keyed or macro or mirror):
        return options
    from nexus_engine.credentials import ask_terminal, find_key, macro_key, nobody, passphrase, postgres_password
    from nexus_engine.vault import Vault, VaultError, vault_path

    # a core dump would hold the key
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        root = state_root(options.state)
        prompt = ask_terminal if ask else nobody
        vault = None
        if mirror or (macro and directive.macro.key):
            vault = Vault.open(vault_path(root), passphrase(passphrase_fd, prompt))
        if mirror:
            assert vault is not None
            options = replace(options, password=postgres_password(vault, directive.postgres.key))
        if macro:
            options = replace(options, macro_key=macro_key(vault, directive.macro.key))
        if keyed:
            key = find_key(root, options.kind, directive.binance.key, fd=passphrase_fd, prompt=prompt, vault=vault)
            options = replace(options, key=key)
        return options
    except VaultError as error:
        raise StartError(str(error)) from None


@functools.cache
def os_user() -> str:
    """The name of the user that this process runs as."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's number without a name
        return str(os.getuid())


def somebody(directive: "Directive | None", given: str | None) -> str:
    """Who sits at a cockpit: the person given by --as, else the user of the system; `you` where the directive names
    nobody. Raises StartError for a name that it does not list."""
    people = {} if directive is None else directive.people
    if given is None:
        return os_user() if people else "you"
    if given not in people:
        known = f"known: {', '.join(people)}" if people else f'there are none; add [people.{given}] role = "owner"'
        raise StartError(f"--as {given}: is not among the people of the directive; {known}")
    return given


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
    if directive is not None and (directive.strategies or directive.account.modes):
        from nexus_engine.cortex.factory import STRATEGIES, Cortex
        from nexus_engine.runtime.own import load_own
        from nexus_engine.runtime.own_check import unknown

        root = state_root(options.state)
        # what is new or changed is checked by the account, behind the first frame
        own = load_own(directive.account.own_strategies, lambda file: unknown(file, root))
        Cortex(directive.strategies, own)
        names = [kind.name for kind in (*STRATEGIES, *own.kinds)] + list(own.problems)
        for name in directive.account.modes:
            if name not in names:
                raise StartError(f"account.modes.{name}: unknown strategy; known: {', '.join(names)}")
    if options.seed is not None and options.seed < 0:
        raise StartError(f"--seed {options.seed}: must be 0 or more")
    if options.speed is not None and not 0 < options.speed <= 100:
        raise StartError(f"--speed {options.speed:g}: must be above 0 and at most 100")
    if options.replay is not None and not options.replay.is_file():
        raise StartError(f"--replay {options.replay}: no such file")
    if options.record is not None and (options.record.is_dir() or not options.record.absolute().parent.is_dir()):
        raise StartError(f"--record {options.record}: not a file in an existing folder")
