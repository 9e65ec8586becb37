"""What the driver's threads tell the app is painted as the app's own: Textual's widgets look up their app."""

import asyncio
import threading

from textual._context import active_app
from tui_driving import cockpit

from nexus_tui.driver import CockpitDriver


async def test_what_a_thread_tells_runs_with_the_app_in_sight() -> None:
    async with cockpit() as driven:
        with driven.app._context():
            driver = CockpitDriver(driven.app)
        seen: list[object] = []
        told = asyncio.Event()

        def paint() -> None:
            seen.append(active_app.get(None))
            told.set()

        threading.Thread(target=driver._tell, args=(paint,)).start()
        await asyncio.wait_for(told.wait(), 5)
        assert seen == [driven.app]
