"""`nexus`: opens the cockpit, or hands a command to the engine's command line. Imports as little as it can, as late."""

import os
import shlex
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from textual.pilot import Pilot

    from nexus_engine.model.config import Directive
    from nexus_engine.runtime import Options, Runtime
    from nexus_tui.app import NexusApp
    from nexus_tui.comfort import Comfort
    from nexus_tui.guardian import Leash

_KINDS: Final = {
    "demo": "an offline practice market (the default)",
    "paper": "live prices, simulated money; needs no key",
    "testnet": "the venue's play money; needs a key: `nexus keys add NAME --testnet`",
    "live": "the venue, real money; a key, and a typed phrase that unlocks entries",
}

_DEMO: Final = ("scenario", "seed", "speed", "replay", "record")


def main(argv: "Sequence[str] | None" = None) -> int:
    """Run `nexus`. Returns the exit code: 0 done, 1 the engine failed, 2 bad usage or input."""
    if sys.version_info < (3, 11):  # noqa: UP036 whoever starts it may have an older one
        return _refuse(f"needs Python 3.11 or newer; this is {sys.version.split()[0]}")
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if words and words[0] == "attach":
            return _attach(_parse(words[1:], attach=True))
        if words and not words[0].startswith("-"):
            from nexus_engine.cli import run

            return run(words)
        return _open(_parse(words))
    except KeyboardInterrupt:
        return 130


# ---- the command line ------------------------------------------------------------------------------------------------


def _parse(words: "Sequence[str]", *, attach: bool = False) -> "argparse.Namespace":
    import argparse
    from pathlib import Path

    from nexus_engine import __version__
    from nexus_engine.cli import COMMANDS

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")

    commands = {"attach": "a cockpit on an engine that runs"} | {name: row[1] for name, row in COMMANDS.items()}
    width = max(map(len, commands))
    parser = Parser(
        prog="nexus attach" if attach else "nexus",
        description="A cockpit on an engine that runs." if attach else "A terminal trading cockpit: defence first.",
        epilog="" if attach else "commands:\n" + "\n".join(f"  {name:{width}}  {commands[name]}" for name in commands),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    kinds = parser.add_mutually_exclusive_group()
    for name, summary in _KINDS.items():
        kinds.add_argument(f"--{name}", dest="kind", action="store_const", const=name.upper(), help=summary)
    parser.add_argument("--account", metavar="NAME", help="which account (main)")
    parser.add_argument("--config", metavar="FILE", type=Path, help="the system directive, a nexus.toml")
    parser.add_argument("--state", metavar="DIR", type=Path, help="where accounts are kept")
    parser.add_argument("--as", dest="person", metavar="NAME", help="who you are, of the directive's [people]")
    parser.add_argument("--read-only", action="store_true", help="look only; HALT still works")
    if not attach:
        parser.add_argument("--headless", action="store_true", help="the engine without a cockpit")
        parser.add_argument("--passphrase-fd", metavar="N", type=int, help="read the vault's passphrase from there")
        parser.add_argument("--scenario", metavar="NAME", help="what the demo's market plays")
        parser.add_argument("--replay", metavar="FILE", type=Path, help="a recorded market for the demo")
        parser.add_argument("--seed", metavar="N", type=int, help="same seed, same demo market")
        parser.add_argument("--speed", metavar="X", type=float, help="market minutes a minute, up to 100")
        parser.add_argument("--record", metavar="FILE", type=Path, help="write the engine's input, to replay it")
        parser.add_argument("--stats", action="store_true", help="at the end, rates and lags as JSON")
        parser.add_argument("--version", action="version", version=f"nexus {__version__}")
    return parser.parse_args(words)


def _options(given: "argparse.Namespace", *, attach: bool = False) -> "Options":
    """What was asked for, checked. Raises the errors that `_explain` puts in one line."""
    from nexus_engine.model.words import AccountKind
    from nexus_engine.runtime import Options, check, somebody

    directive = None
    if given.config is not None:
        from nexus_engine.model.config import load

        directive = load(given.config)
    kind = given.kind or (AccountKind.DEMO if directive is None else directive.account.kind)
    name = given.account or ("main" if directive is None else directive.account.name)
    # without a directive, an engine that runs knows its people, and says so
    told = attach and directive is None
    options = Options(
        kind=AccountKind(kind),
        account=name,
        directive=directive,
        state=given.state,
        read_only=given.read_only,
        person=given.person or "you" if told else somebody(directive, given.person),
        headless=getattr(given, "headless", False),
        **{key: getattr(given, key, None) for key in _DEMO},
    )
    check(options)
    return options


def _comfort(directive: "Directive | None", file: "Path | None", person: str = "you") -> "Comfort | None":
    """[ui] and [keys] for the cockpit, as the person likes it. Raises ConfigError. Without a directive nothing of it is
    imported."""
    if directive is None:
        return None
    from nexus_engine.model.config import ConfigError
    from nexus_tui.bindings import KeyProblem, remap
    from nexus_tui.comfort import Comfort

    ui, liked = directive.ui, directive.people.get(person)
    theme = (liked and liked.theme) or ui.theme
    bell = (liked and liked.bell) or ui.bell
    try:
        return Comfort(theme=theme, bell=bell, confirm_pct=ui.confirm_pct, keys=remap(directive.keys), file=file)
    except KeyProblem as problem:
        raise ConfigError(f"{file}: [keys] {problem}") from problem


def _dumb() -> bool:
    """A terminal that says that it has no cursor: it would show nothing and answer nothing."""
    return os.environ.get("TERM") == "dumb"


def _refuse(reason: object) -> int:
    print(f"nexus: {reason}", file=sys.stderr)
    return 2


def _explained() -> tuple[type[Exception], ...]:
    """Errors whose message was written for a person."""
    from nexus_engine.model.paths import StateError
    from nexus_engine.runtime import StartError

    # pydantic comes with the module; without a directive nothing of it can have been raised
    config: Any = sys.modules.get("nexus_engine.model.config")
    return (StateError, StartError) if config is None else (StateError, StartError, config.ConfigError)


# ---- starting --------------------------------------------------------------------------------------------------------


def _open(given: "argparse.Namespace") -> int:
    leash: Leash | None = None
    if not given.headless:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return _refuse("the cockpit needs a terminal; without one use --headless, then `nexus status`")
        if _dumb():
            return _refuse("TERM=dumb cannot show a cockpit; use --headless, or set TERM")
        if not (given.kind or given.config or any(getattr(given, name) is not None for name in _DEMO)):
            from nexus_tui.welcome import first_run, welcome

            if first_run(given.state) and not welcome():
                return 0
        from nexus_tui.guardian import part

        parted = part()
        if isinstance(parted, int):
            return parted
        leash = parted
    try:
        options = _options(given)
        comfort = _comfort(options.directive, given.config, options.person)
        from nexus_engine.runtime import AccountBusy

        try:
            runtime = _taken(options, given.passphrase_fd)
        except AccountBusy as busy:
            if leash is None:
                return _refuse(f"{busy}; see it with `{_attaching(options)}`")
            return _show_running(options, comfort, patience_s=10.0, note=_ignored(given, options))
    except _explained() as error:
        return _refuse(error)
    from nexus_engine.runtime.logs import log_to

    unlocked = _phrase(runtime.options)
    log_to(runtime.folder)
    code = _headless(runtime, unlocked) if leash is None else _cockpit(runtime, leash, comfort, unlocked)
    if given.stats:
        import json

        print(json.dumps(runtime.stats))
    return code


def _taken(options: "Options", passphrase_fd: int | None) -> "Runtime":
    """The account with its key. One that may run is looked for first, since whoever attaches needs no key; one that
    was never started is made last, so that a start without a key leaves nothing behind.
    """
    from nexus_engine.model.paths import account_path, state_root
    from nexus_engine.runtime import Runtime, with_key

    if not account_path(state_root(options.state), options.account, options.kind).exists():
        options = with_key(options, passphrase_fd)
    runtime = Runtime(options)
    runtime.options = with_key(options, passphrase_fd)
    return runtime


def _phrase(options: "Options") -> str:
    """What a person types to let a live account enter; empty: it reconciles and protects, no more."""
    from nexus_engine.model.words import AccountKind

    if options.kind is not AccountKind.LIVE or options.read_only or not sys.stdin.isatty():
        return ""
    from nexus_engine.model.commands import Unlock, live_phrase
    from nexus_engine.model.people import People
    from nexus_engine.model.words import Mode

    people = People({} if options.directive is None else options.directive.people)
    if refusal := people.refusal(Unlock(word=""), options.person, Mode.WATCHER):
        sys.stderr.write(f"LIVE {options.account}: real money, and entries stay locked: {refusal}\n")
        return ""
    phrase = live_phrase(options.account)
    sys.stderr.write(f"LIVE {options.account}: real money. Entries stay locked unless you type: {phrase}\n")
    try:
        typed = input("(Enter: reconcile and protect only) ").strip().lower()
    except EOFError:
        typed = ""
    if typed and typed != phrase:
        sys.stderr.write("that is not the phrase: entries stay locked; the menu's `unlock` asks again\n")
    return typed if typed == phrase else ""


def _unlock(runtime: "Runtime", phrase: str) -> None:
    if phrase:
        from nexus_engine.model.commands import Unlock

        runtime.send(Unlock(word=phrase), surface="start")


def _headless(runtime: "Runtime", unlocked: str) -> int:
    from nexus_engine.runtime import Supervisor
    from nexus_tui.guardian import Signals

    runtime.supervisor = Supervisor.from_environment()
    if runtime.supervisor is not None:
        import faulthandler

        # killed by its watchdog it says where it was stuck: names of functions, no values
        faulthandler.enable()
    Signals(runtime).install()
    runtime.start()
    _unlock(runtime, unlocked)
    print(
        f"nexus: {_name(runtime.options)} runs headless, process {os.getpid()}; "
        f"see it with `{_attaching(runtime.options)}`",
        flush=True,
    )
    runtime.join()
    return _end(runtime)


def _cockpit(runtime: "Runtime", leash: "Leash", comfort: "Comfort | None", unlocked: str) -> int:
    from nexus_engine.runtime.logs import log_path
    from nexus_engine.runtime.priority import give_way
    from nexus_tui.guardian import Signals

    signals = Signals(runtime)
    signals.install()
    from nexus_tui.app import FLATTEN, HANGUP, QUIT, TERMINATE, NexusApp
    from nexus_tui.link import LocalLink

    framed = threading.Event()
    runtime.start(after=framed)
    _unlock(runtime, unlocked)
    read_only = runtime.options.read_only
    link = LocalLink(runtime, by=runtime.options.person)
    app = NexusApp(link, comfort=comfort, log_path=log_path(runtime.folder), read_only=read_only)

    def opened() -> None:
        framed.set()
        give_way()  # not before: the engine's start waits for this frame, and what is naked waits for that
        signals.watch(app)

    left = _run(app, opened, _role_note(runtime.options))
    signals.watch(None)
    link.close()
    if left in (QUIT, FLATTEN, TERMINATE) or not link.alive:
        runtime.stop(FLATTEN if left == FLATTEN else QUIT)
        if not runtime.join(1.0):
            what = "closing what is ours" if left == FLATTEN else "closing; stops stay at the venue"
            print(f"nexus: {what}", file=sys.stderr)
            runtime.join()
        return _end(runtime)
    # Detached, hung up, or the cockpit failed: none of these is a reason to leave positions alone.
    if left != HANGUP:
        print(
            f"nexus: {_name(runtime.options)} goes on, process {os.getpid()}; "
            f"see it with `{_attaching(runtime.options)}`",
            flush=True,
        )
    leash.release()
    runtime.join()
    return _end(runtime)


def _end(runtime: "Runtime") -> int:
    problem = runtime.failed or runtime.unflat
    if problem:
        print(f"nexus: {problem}", file=sys.stderr)
    return 1 if problem else 0


def _run(app: "NexusApp", opened: "Callable[[], None]" = lambda: None, note: str = "") -> "str | None":
    """Show the cockpit until it is left; how, or None when it failed."""
    note = note or _ssh_note()

    async def ready(pilot: "Pilot[object]") -> None:
        if note:
            app.say(note)
        opened()

    try:
        return app.run(auto_pilot=ready)
    # Supervision boundary: whatever is wrong with a screen, the engine behind it goes on.
    except Exception:
        import logging

        logging.getLogger(__name__).exception("the cockpit failed")
        return None


def _role_note(options: "Options") -> str:
    """Whoever may only look is told so at once; empty for all others, and where the engine alone knows its people."""
    people = {} if options.directive is None else options.directive.people
    person = people.get(options.person)
    if not people or (person is not None and person.role != "viewer"):
        return ""
    if person is not None:
        return f"{options.person}: a viewer looks and HALTs, no more"
    return f"{options.person} is not in [people]: looks and HALTs, no more; say who you are with --as NAME"


def _ssh_note() -> str:
    """A dropped SSH link closes the cockpit; said once, where nothing keeps the terminal alive."""
    if "SSH_CONNECTION" in os.environ and not ("TMUX" in os.environ or "STY" in os.environ):
        return "SSH without tmux: a drop closes this cockpit, the engine goes on. `nexus attach`, or start in tmux"
    return ""


def _name(options: "Options") -> str:
    return f"{options.kind.value} {options.account}"


def _attaching(options: "Options") -> str:
    """The command that finds this account again."""
    words = ["nexus", "attach"]
    if options.kind.value != "DEMO":
        words.append(f"--{options.kind.value.lower()}")
    if options.account != "main":
        words += ["--account", options.account]
    if options.state is not None:
        words += ["--state", str(options.state.absolute())]
    return shlex.join(words)


# ---- a cockpit on an engine of another process -----------------------------------------------------------------------


def _attach(given: "argparse.Namespace") -> int:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return _refuse("the cockpit needs a terminal; without one use `nexus status`")
    if _dumb():
        return _refuse("TERM=dumb cannot show a cockpit; use `nexus status`, or set TERM")
    try:
        options = _options(given, attach=True)
        return _show_running(options, _comfort(options.directive, given.config, options.person))
    except _explained() as error:
        return _refuse(error)


def _ignored(given: "argparse.Namespace", options: "Options") -> str:
    """What was asked of an engine that has long been started otherwise."""
    asked = ("scenario", "replay", "seed", "speed", "record", "config")
    words = ", ".join(f"--{name}" for name in asked if getattr(given, name) is not None)
    return f"{words} ignored: {_name(options)} runs already" if words else ""


def _show_running(options: "Options", comfort: "Comfort | None", patience_s: float = 0.0, note: str = "") -> int:
    import time

    from nexus_engine.model.paths import account_path, state_root
    from nexus_engine.runtime.logs import log_path
    from nexus_tui.app import DETACH, FLATTEN, QUIT, NexusApp
    from nexus_tui.guardian import Signals
    from nexus_tui.link import SocketLink

    folder = account_path(state_root(options.state), options.account, options.kind)
    deadline_s = time.monotonic() + patience_s
    while True:
        try:
            link = SocketLink(folder, by=options.person)
            break
        except OSError:
            if time.monotonic() >= deadline_s:
                print(f"nexus: {_name(options)} does not run, or does not answer", file=sys.stderr)
                return 1
            time.sleep(0.1)
    signals = Signals()
    signals.install()
    app = NexusApp(link, comfort=comfort, log_path=log_path(folder), read_only=options.read_only)
    left = _run(app, lambda: signals.watch(app), note or _role_note(options))
    signals.watch(None)
    alive = link.alive
    link.close()
    if left == DETACH:
        how = "goes on; see it" if alive else "did not run when it was left; once it does, see it"
        print(f"nexus: {_name(options)} {how} with `{_attaching(options)}`", flush=True)
    if left in (QUIT, FLATTEN) and not options.read_only:
        from nexus_engine.runtime.client import NoAnswer, ask

        try:
            refusal = ask(folder, {"op": "stop", "how": left, "by": options.person}).get("error", "")
        except NoAnswer as silence:
            refusal = str(silence)
        if refusal:
            print(f"nexus: {_name(options)}: {refusal}", file=sys.stderr)
            return 1
    return 0 if left else 1


if __name__ == "__main__":
    raise SystemExit(main())
