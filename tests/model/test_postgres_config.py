"""The server's password is in no directive, and in no line that refuses one."""

from pathlib import Path

import pytest

from nexus_engine.model.config import ConfigError, load


@pytest.mark.parametrize(
    "dsn",
    [
        "host=db user=nexus password=hunter2hunter2",
        "host=db PASSWORD = 'hunter2hunter2'",
        "postgresql://nexus:hunter2hunter2@db/nexus",
        "postgresql://nexus@db/nexus?password=hunter2hunter2",
        "host=db sslpassword=hunter2hunter2",
    ],
)
def test_a_password_in_the_dsn_is_refused_without_being_repeated(tmp_path: Path, dsn: str) -> None:
    path = tmp_path / "nexus.toml"
    path.write_text(f'[postgres]\ndsn = "{dsn}"\n')
    with pytest.raises(ConfigError, match=r"postgres\.dsn holds a password: take it out") as refused:
        load(path)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("dsn", ["", "host=db user=nexus passfile=/etc/nexus/pass", "postgresql://nexus@db:5432/nexus"])
def test_a_dsn_without_one_is_taken(tmp_path: Path, dsn: str) -> None:
    path = tmp_path / "nexus.toml"
    path.write_text(f'[postgres]\ndsn = "{dsn}"\n')
    assert load(path).postgres.dsn == dsn
