"""A terminal that is tmux: a server of its own, one pane, read and typed into by tmux's own commands."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class Tmux:
    """Runs `command` in a pane of the given size; has the few methods of `Terminal` that a scripted trader needs."""

    def __init__(
        self, socket: Path, command: Sequence[str], *, columns: int, lines: int, env: Mapping[str, str]
    ) -> None:
        self._tmux = ["tmux", "-S", str(socket), "-f", os.devnull]
        self._env = {key: value for key, value in os.environ.items() if key != "TMUX"} | dict(env)
        # tmux 3.3 now and then knows that a pane is dead and never how: the shell writes it down.
        self._code = socket.with_suffix(".code")
        shell = ("sh", "-c", '"$@"; printf %s "$?" > "$0"', str(self._code))
        self._run("new-session", "-d", "-x", str(columns), "-y", str(lines), *shell, *command)
        self._run("set-option", "-g", "remain-on-exit", "on")
        self._run("set-option", "-g", "status", "off")
        self._run("resize-window", "-x", str(columns), "-y", str(lines))

    def _run(self, *words: str) -> str:
        done = subprocess.run([*self._tmux, *words], env=self._env, capture_output=True, text=True, timeout=10)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def text(self) -> str:
        return self._run("capture-pane", "-p")

    def press(self, keys: str) -> None:
        self._run("send-keys", "-H", *(f"{byte:02x}" for byte in keys.encode()))

    def wait_for(self, what: str | Callable[[str], bool], timeout_s: float = 15.0) -> str:
        """As Terminal's."""
        holds = what if callable(what) else lambda text: what in text
        deadline_s = time.monotonic() + timeout_s
        while not holds(text := self.text):
            assert time.monotonic() < deadline_s, f"never saw {what!r}:\n{text}"
            time.sleep(0.05)
        return text

    def wait(self, timeout_s: float) -> int:
        """The exit code of the program."""
        deadline_s = time.monotonic() + timeout_s
        while not (self._code.exists() and (told := self._code.read_text())):
            assert time.monotonic() < deadline_s, self.text
            time.sleep(0.1)
        return int(told)

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], env=self._env, capture_output=True, timeout=10)
