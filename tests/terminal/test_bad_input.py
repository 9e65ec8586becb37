"""Bad input gets one clear line and exit 2, before anything is touched."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo_house import House, nexus

pytestmark = pytest.mark.terminal


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--scenario", "riot"), "unknown scenario 'riot'; known: calm, range"),
        (("--config", "{folder}/none.toml"), "none.toml: cannot be read"),
        (("--config", "{folder}/wrong.toml"), "unknown key copilot.expiry; known here: expiry_s"),
        (("--config", "{folder}/range.toml"), "copilot.expiry_s = 3"),
        (("--config", "{folder}/torn.toml"), "is not valid TOML"),
        (("--config", "{folder}/riot.toml"), "demo.scenario: unknown scenario 'riot'; known: calm, range"),
        (("--config", "{folder}/kind.toml"), "unknown strategy strategies.nope; known: harpoon"),
        (("--config", "{folder}/param.toml"), "strategies.harpoon.enabled = 'maybe': must be true or false"),
        (("--replay", "{folder}/none.gz"), "none.gz: no such file"),
        (("--record", "{folder}/none/tape"), "not a file in an existing folder"),
        (("--speed", "fast"), "--speed"),
        (("--speed", "0"), "--speed 0: must be above 0 and at most 100"),
        (("--speed", "nan"), "--speed nan: must be above 0 and at most 100"),
        (("--seed", "-1"), "--seed -1: must be 0 or more"),
        (("--state", "{folder}/torn.toml/state"), "cannot be created (Not a directory); choose another with --state"),
    ],
)
def test_a_start_that_cannot_be_meant_is_one_line_and_nothing_is_made(
    tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    (tmp_path / "wrong.toml").write_text("[copilot]\nexpiry = 30\n")
    (tmp_path / "range.toml").write_text("[copilot]\nexpiry_s = 3\n")
    (tmp_path / "torn.toml").write_text("[copilot\n")
    (tmp_path / "riot.toml").write_text('[demo]\nscenario = "riot"\n')
    (tmp_path / "kind.toml").write_text("[strategies.nope]\nx = 1\n")
    (tmp_path / "param.toml").write_text('[strategies.harpoon]\nenabled = "maybe"\n')
    before = sorted(tmp_path.iterdir())
    given = [word.format(folder=tmp_path) for word in words]
    state = [] if "--state" in given else ["--state", str(tmp_path / "state")]
    done = nexus("--headless", "--demo", *state, *given)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("nexus: ")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_a_port_that_is_taken_is_one_line(taken: int) -> None:
    done = nexus("exchange", "--port", str(taken))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"nexus exchange: --port {taken}: Address already in use\n"


def test_in_a_terminal_too_it_is_one_line_and_the_screen_is_left_alone(tmp_path: Path) -> None:
    with House(tmp_path, words=("--scenario", "riot")) as house:
        terminal = house.cockpit()
        assert terminal.process.wait(10) == 2
        text = terminal.wait_for("known: calm, range")
        told = text.strip().replace("\n", "")  # the terminal wraps it
        assert told.startswith("nexus: --scenario: unknown scenario 'riot'; known: calm, range, ")
        assert told.endswith(", sangria")
        assert not house.state.exists()
