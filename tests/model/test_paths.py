"""Where an account lives, and what is said when it cannot live there."""

import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from nexus_engine.model import paths
from nexus_engine.model.paths import StateError, account_dir, account_path, socket_path, state_root
from nexus_engine.model.words import AccountKind


def test_the_state_folder_follows_the_option_then_xdg_then_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert state_root() == tmp_path / ".local" / "state" / "nexus"
    monkeypatch.setenv("XDG_STATE_HOME", "relative/is/ignored")
    assert state_root() == tmp_path / ".local" / "state" / "nexus"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert state_root() == tmp_path / "xdg" / "nexus"
    assert state_root(Path("here")) == tmp_path / "here"


def test_an_account_has_a_folder_of_its_own_by_kind_for_its_owner_only(tmp_path: Path) -> None:
    folder = account_dir(tmp_path / "state", "main", AccountKind.DEMO)
    assert folder == account_dir(tmp_path / "state", "main", AccountKind.DEMO)
    assert folder.name == "main-demo"
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder.parent)} == {0o700}


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "-a", "A", "a\n", "x" * 32])
def test_a_name_that_could_leave_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StateError, match="1 to 31 of a-z"):
        account_path(tmp_path, name, AccountKind.DEMO)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match=r"cannot be created .Not a directory.; choose another with --state") as caught:
        account_dir(tmp_path / "file" / "state", "main", AccountKind.DEMO)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    folder = account_dir(tmp_path, "main", AccountKind.DEMO)
    folder.chmod(0o500)
    with pytest.raises(StateError, match="cannot be written"):
        account_dir(tmp_path, "main", AccountKind.DEMO)


def test_a_socket_can_be_bound_however_deep_the_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as short:
        monkeypatch.setattr(tempfile, "tempdir", short)
        seen = set()
        for depth in range(12):
            folder = tmp_path.joinpath(*["deeper-and-deeper"] * depth)
            folder.mkdir(exist_ok=True)
            path = socket_path(folder)
            assert path == socket_path(folder)
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(str(path))
            seen.add(path)
        assert len(seen) == 12
        assert stat.S_IMODE((Path(short) / f"nexus-{os.getuid()}").stat().st_mode) == 0o700


def test_a_temporary_folder_that_others_can_enter_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as short:
        monkeypatch.setattr(tempfile, "tempdir", short)
        trap = Path(short) / f"nexus-{os.getuid()}"
        trap.mkdir()
        trap.chmod(0o755)
        with pytest.raises(StateError, match="is open to others"):
            socket_path(tmp_path / ("x" * 120))
        trap.rmdir()
        trap.symlink_to(tmp_path)
        with pytest.raises(StateError, match="belongs to somebody else"):
            socket_path(tmp_path / ("x" * 120))


def test_the_files_of_an_account_are_in_its_folder(tmp_path: Path) -> None:
    names = {
        make(tmp_path).name for make in (paths.journal_path, paths.lock_path, paths.latch_path, paths.venue_state_dir)
    }
    assert names == {"journal.db", "lock", "halt", "venue"}
