"""A real PostgreSQL server on a unix socket, with its data in a folder of its own, to stop and to kill."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

PORT = 5432
"""Names the socket's file; nothing listens on a network."""


def binaries() -> Path:
    """Where initdb is; skips the test where none is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[4]))
    plain = shutil.which("initdb")
    if not found and plain is None:
        pytest.skip("no PostgreSQL server here: apt-get install postgresql")
    return (found[-1] if found else Path(plain or "")).parent


class Server:
    """One cluster. `dsn` is what the directive says: of the database `postgres`, or of the latest of `start_again`."""

    def __init__(self, *, fsync: bool = False) -> None:
        self._bin = binaries()
        # short: a socket's address holds about a hundred bytes
        self.folder = Path(tempfile.mkdtemp(prefix="nxpg"))
        self._data = self.folder / "data"
        self._user: str | None = None
        if os.getuid() == 0:
            if "postgres" not in {entry.pw_name for entry in pwd.getpwall()}:
                pytest.skip("initdb refuses root, and there is no user postgres to be instead")
            self._user = "postgres"
            shutil.chown(self.folder, self._user)
        self._fsync = fsync
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self.dsn = self._dsn("postgres")
        command = [self._bin / "initdb", "--no-sync", "-A", "trust", "-U", "nexus", "-E", "UTF8", "-D", self._data]
        subprocess.run(command, check=True, capture_output=True, user=self._user, cwd="/", timeout=60)

    def start(self) -> "Server":
        options = ["-c", "listen_addresses=", "-k", str(self.folder), "-p", str(PORT), "-c", "max_connections=20"]
        options += [] if self._fsync else ["-c", "fsync=off"]
        self._process = subprocess.Popen(
            [self._bin / "postgres", "-D", self._data, *options],
            user=self._user,
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline_s = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.dsn, connect_timeout=2).close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, "the server ended"
                assert time.monotonic() < deadline_s, "the server does not answer"
                time.sleep(0.05)
            else:
                return self

    def _dsn(self, database: str) -> str:
        return f"host={self.folder} port={PORT} user=nexus dbname={database}"

    def start_again(self) -> None:
        """Running, with an empty database, whose lock nobody has who was left behind by a test that failed."""
        if self._process is None:
            self.start()
        with psycopg.connect(self._dsn("postgres"), autocommit=True) as conn:
            conn.execute(f"DROP DATABASE IF EXISTS nexus{self._databases} WITH (FORCE)")
            self._databases += 1
            conn.execute(f"CREATE DATABASE nexus{self._databases}")
        self.dsn = self._dsn(f"nexus{self._databases}")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: fast; SIGQUIT: immediate, without a checkpoint; SIGKILL: as the kernel does it."""
        process, self._process = self._process, None
        if process is None:
            return
        if how is signal.SIGKILL:
            # its children follow when they see that it is gone; none of them may write into what starts next
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            for pid in (process.pid, *map(int, children)):
                os.kill(pid, signal.SIGKILL)
        else:
            process.send_signal(how)
        process.wait(30)

    def rows(self, sql: str, *args: object) -> list[tuple[object, ...]]:
        with psycopg.connect(self.dsn) as conn:
            return conn.execute(sql, args or None).fetchall()  # type: ignore[arg-type]

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
