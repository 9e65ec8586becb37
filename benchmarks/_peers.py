"""An environment of its own for each library that is not ours, since they exclude each other's dependencies."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path


class Missing(Exception):
    """A peer cannot be tried here; the message says why."""


def interpreter(least: tuple[int, int]) -> str:
    """A Python of that version or a little later."""
    if sys.version_info[:2] >= least:
        return sys.executable
    for minor in range(least[1], least[1] + 3):
        found = shutil.which(f"python{least[0]}.{minor}")
        if found and subprocess.run([found, "-c", ""], check=False, capture_output=True).returncode == 0:
            return found
    for found in sorted(Path(sys.base_prefix).parent.glob(f"{least[0]}.*/bin/python")):
        if int(found.parts[-3].split(".")[1]) >= least[1]:
            return str(found)
    raise Missing(f"no Python >= {least[0]}.{least[1]} found")


def environment(name: str, requirements: str, folder: Path, least: tuple[int, int] = (3, 11)) -> str:
    """The interpreter of `folder/name`; made on the first call and when its requirements, one a line, change."""
    stamp = hashlib.sha256(requirements.encode()).hexdigest()
    venv = folder / name
    python, done = venv / "bin" / "python", venv / "requirements.sha256"
    if done.exists() and done.read_text() == stamp:
        return str(python)
    print(f"installing {name} into {venv}", file=sys.stderr)
    shutil.rmtree(venv, ignore_errors=True)
    wanted = [line for line in requirements.splitlines() if line and not line.startswith("#")]
    try:
        subprocess.run([interpreter(least), "-m", "venv", venv], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
    except subprocess.CalledProcessError as error:
        raise Missing(f"cannot be installed: {error}") from error
    done.write_text(stamp)
    return str(python)
