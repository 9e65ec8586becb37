"""`nexus service`: a systemd unit for an engine without a cockpit, hardened, supervised, unlocked by nobody."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import nexus_engine
from nexus_engine.model.paths import StateError, account_path, socket_path, state_root
from nexus_engine.model.words import AccountKind
from nexus_engine.runtime.commands import parser
from nexus_engine.runtime.options import os_user

WATCHDOG_S: Final = 30
CREDENTIAL: Final = "nexus-vault"
_KEYED: Final = (AccountKind.TESTNET, AccountKind.LIVE)

_UNIT: Final = """\
[Unit]
Description=Nexus, {kind} account {account}
StartLimitIntervalSec=600
StartLimitBurst=5
{after}
[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
{environment}{credential}# The engine's own loop feeds the watchdog; SIGABRT has it write down where it was stuck.
WatchdogSec={watchdog}
Restart=on-failure
RestartSec=5
# 2: what it was started with is wrong, and stays wrong.
RestartPreventExitStatus=2
KillMode=mixed
# SIGTERM: working entries are cancelled, what is open keeps its stops at the venue.
TimeoutStartSec=300
TimeoutStopSec=45

UMask=0077
LimitCORE=0
LimitNOFILE=4096
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths={state}
PrivateTmp={private_tmp}
LockPersonality=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
{more}
[Install]
WantedBy={wanted_by}
"""
_SYSTEM: Final = """\
User={user}
CapabilityBoundingSet=
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
"""
_AFTER: Final = "Wants=network-online.target\nAfter=network-online.target\n"


def service(argv: Sequence[str]) -> int:
    """Print the unit. 2: bad usage, or a state folder that cannot be, with one line on stderr."""
    given = parser("service", "print a systemd unit for `nexus --headless`; what to do with it stands on top")
    given.add_argument("--config", metavar="FILE", type=Path, help="the system directive")
    given.add_argument("--system", action="store_true", help="for the system's manager instead of the user's own")
    options = given.parse_args(argv)
    try:
        if options.config is not None and not options.config.is_file():
            raise StateError(f"--config {options.config}: no such file")
        text = unit(options, sys.executable, Path(nexus_engine.__file__).resolve().parents[1])
    except StateError as error:
        print(f"nexus service: {error}", file=sys.stderr)
        return 2
    print(text, end="")
    return 0


def unit(options: argparse.Namespace, python: str, source: Path) -> str:
    """The unit's text. `source` is where the packages lie. Raises StateError."""
    kind = AccountKind((options.kind or "demo").upper())
    account = options.account or "main"
    root = state_root(options.state)
    folder = account_path(root, account, kind)
    words = [python, "-m", "nexus_tui", "--headless", f"--{kind.lower()}", "--account", account, "--state", str(root)]
    if options.config is not None:
        words += ["--config", str(options.config.absolute())]
    installed = source.name in ("site-packages", "dist-packages")
    name = f"nexus-{account}-{kind.lower()}"
    safe = f"/etc/credstore.encrypted/{CREDENTIAL}" if options.system else f"%h/.config/nexus/{CREDENTIAL}.cred"
    return "\n".join(_steps(name, kind, root, system=options.system)) + "\n\n" + _UNIT.format(
        kind=kind,
        account=account,
        command=" ".join(_quoted(word).replace("$", "$$") for word in words),
        environment="" if installed else f"Environment={_quoted(f'PYTHONPATH={source}')}\n",
        credential=f"LoadCredentialEncrypted={CREDENTIAL}:{safe}\n" if kind in _KEYED else "",
        watchdog=WATCHDOG_S,
        state=_quoted(str(root)),
        # a socket that is too deep for the state folder lives in /tmp, where an attached cockpit must find it
        private_tmp="yes" if socket_path(folder).parent == folder else "no",
        after=_AFTER if options.system else "",
        more=_SYSTEM.format(user=os_user()) if options.system else "PrivateUsers=yes\n",
        wanted_by="multi-user.target" if options.system else "default.target",
    )  # fmt: skip


def _steps(name: str, kind: AccountKind, root: Path, *, system: bool) -> list[str]:
    """How the unit is put to work. The folders must be there, or systemd does not start it."""
    file = f"/etc/systemd/system/{name}.service" if system else f"~/.config/systemd/user/{name}.service"
    control = "systemctl" if system else "systemctl --user"
    user = f" -o {os_user()}" if system else ""
    lines = [f"# {file}", f"#   install -d -m 700{user} {shlex.quote(str(root))}"]
    if kind in _KEYED:
        where = f"/etc/credstore.encrypted/{CREDENTIAL}" if system else f"~/.config/nexus/{CREDENTIAL}.cred"
        encrypt = "systemd-creds encrypt" if system else "systemd-creds encrypt --user"
        lines += [
            "# The vault's passphrase, sealed to this machine" + ("" if system else " (systemd 256; before: --system)"),
            f"#   install -d -m 700 {where.rpartition('/')[0]}",
            f"#   systemd-ask-password -n | {encrypt} --name={CREDENTIAL} - {where}",
        ]
    lines += [f"#   {control} daemon-reload && {control} enable --now {name}"]
    if not system:
        lines += ["#   loginctl enable-linger    so that it outlives the login"]
    if kind is AccountKind.LIVE:
        lines += ["# Started like this it protects what is held; entries stay locked until an owner unlocks them."]
    return lines


def _quoted(word: str) -> str:
    """A word as systemd reads it back: its own % doubled, quoted where it must be."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"' if text != word or not word or any(char.isspace() or char in "';" for char in word) else word
