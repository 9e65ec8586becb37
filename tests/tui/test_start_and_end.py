"""A fast start, and an end that tells no secrets."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tui_driving import TimedApp, cockpit
from tui_views import FakeLink, view

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("pydantic", "aiohttp", "binance", "talib", "numpy", "sqlite_utils", "sqlite3", "polars", "plotext", "aiogram")


def test_nothing_heavy_is_imported_before_the_first_frame() -> None:
    program = (
        "import sys, nexus_tui.app, nexus_tui.driver\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
        "print([name for name in sys.modules if name.startswith('nexus_engine.') and '.model' not in name])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]


async def test_a_crash_writes_a_traceback_without_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "cockpit.log"
    app = TimedApp(FakeLink(view()), log_path=log)

    def fail() -> None:
        api_secret = "SUPER" + "SECRET"
        raise ValueError(len(api_secret))

    with pytest.raises(ValueError, match="11"):
        async with app.run_test() as pilot:
            app.call_later(fail)
            await pilot.pause()
    assert "ValueError" in log.read_text()
    assert "in fail" in log.read_text()
    assert "SUPERSECRET" not in log.read_text()
    said = capsys.readouterr()
    assert "SUPERSECRET" not in said.out + said.err
    assert app.return_value is None


@pytest.mark.parametrize(("name", "result"), [("hangup", "hangup"), ("terminate", "terminate")])
async def test_a_signal_ends_it_from_any_thread(name: str, result: str) -> None:
    async with cockpit() as driven:
        thread = threading.Thread(target=getattr(driven.app, name))
        thread.start()
        thread.join()
        await driven.pilot.pause()
        assert driven.app.return_value == result
