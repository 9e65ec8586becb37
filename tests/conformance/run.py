"""Independent clients against a `nexus exchange` process: what each of them can do there, and what not and why.

Each client is installed, by its pinned name, into a virtual environment of its own under FOLDER, since they exclude
each other's dependencies. Prints a table, and with --json the rows. Ends with 1 when something fails.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from report import CAPABILITIES

from benchmarks._peers import Missing, environment

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SPEED = "5"
"""A minute's candle closes within 12 s, and a stop near the price triggers within seconds."""
CLIENT_S = 300.0
MARK = {"ok": "ok", "fails": "FAILS", "cannot": "-"}


class Client(NamedTuple):
    name: str
    script: str
    requirements: str  # "" runs in our own environment
    python: tuple[int, int] = (3, 11)


CLIENTS = (
    Client("python-binance", "client_python_binance.py", ""),
    Client("ccxt.pro", "client_ccxt.py", "ccxt.txt"),
    Client("nautilus_trader", "client_nautilus.py", "nautilus.txt", (3, 12)),
    Client("official SDK", "client_sdk.py", "sdk.txt"),
)


def client_environment(client: Client, folder: Path) -> str:
    """The interpreter to run a client with."""
    if not client.requirements:
        return sys.executable
    wanted = HERE / client.requirements
    return environment(wanted.stem, wanted.read_text(), folder, client.python)


def try_client(client: Client, python: str) -> dict[str, dict[str, str]]:
    """Run one client against a venue of its own; what it told, by capability. Its library's errors go to stderr."""
    private = Ed25519PrivateKey.generate()
    with tempfile.TemporaryDirectory() as made:
        public = Path(made) / "public.pem"
        public.write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        program = "import sys; from nexus_engine.sim.exchange import main; raise SystemExit(main(sys.argv[1:]))"
        command = [sys.executable, "-c", program, "--seed", "7", "--speed", SPEED, "--public-key", str(public)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as venue:
            assert venue.stdout is not None
            ready = json.loads(venue.stdout.readline())
            ready["ed25519_private_key"] = private.private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            ).decode()
            try:
                ran = subprocess.run(
                    [python, "-W", "ignore", HERE / client.script, json.dumps(ready)],
                    capture_output=True, text=True, timeout=CLIENT_S, check=False,
                    env=os.environ | {"PYTHONPATH": str(HERE)}, cwd=made,
                )  # fmt: skip
                told, errors = ran.stdout, ran.stderr
            except subprocess.TimeoutExpired as late:
                told, errors = _text(late.stdout), f"ended after {CLIENT_S:.0f} s"
            finally:
                venue.terminate()
    for line in (told + errors).splitlines():
        if "ERROR" in line:
            print(f"{client.name} logged: {line[:300]}", file=sys.stderr)
    rows = [json.loads(line) for line in told.splitlines() if line.startswith('{"capability"')]
    found = {row["capability"]: {"outcome": row["outcome"], "why": row["why"]} for row in rows}
    last = errors.strip().splitlines()[-1:] or ["it said nothing of it"]
    return {name: found.get(name, {"outcome": "fails", "why": last[0][:300]}) for name in CAPABILITIES}


def _text(output: str | bytes | None) -> str:
    return output.decode() if isinstance(output, bytes) else output or ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clients", nargs="*", help="parts of names; all without")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--folder", type=Path, default=ROOT / ".conformance", help="where the environments are kept")
    given = parser.parse_args()
    found: dict[str, dict[str, dict[str, str]]] = {}
    missing: dict[str, str] = {}
    for client in CLIENTS:
        if given.clients and not any(part in client.name for part in given.clients):
            continue
        try:
            found[client.name] = try_client(client, client_environment(client, given.folder))
        except Missing as reason:
            missing[client.name] = str(reason)
    if given.json:
        print(json.dumps({"clients": found, "missing": missing}, indent=1))
    else:
        show(found, missing)
    failed = any(row["outcome"] == "fails" for rows in found.values() for row in rows.values())
    return int(failed or bool(missing))


def show(found: dict[str, dict[str, dict[str, str]]], missing: dict[str, str]) -> None:
    print(f"{'':40}" + "".join(f"{name:>18}" for name in found))
    for capability in CAPABILITIES:
        print(f"{capability:40}" + "".join(f"{MARK[rows[capability]['outcome']]:>18}" for rows in found.values()))
    for name, rows in found.items():
        for capability, row in rows.items():
            if row["why"]:
                print(f"{name}, {capability}: {row['outcome']}: {row['why']}")
    for name, reason in missing.items():
        print(f"{name}: not tried: {reason}")


if __name__ == "__main__":
    raise SystemExit(main())
