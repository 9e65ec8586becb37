"""The vault: what goes in comes out, for the right passphrase, from a whole file that is ours alone; else one line."""

import io
import json
import os
import stat
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nexus_engine import credentials, keys, vault
from nexus_engine.credentials import MACRO_ENV, choose, macro_key, postgres_password
from nexus_engine.model.secret import Secret
from nexus_engine.model.words import AccountKind
from nexus_engine.vault import ApiKey, Scheme, Vault, VaultError

PHRASE = Secret("correct horse battery")
API, SECRET = "CANARY-api-key-4711", "CANARY-secret-0815"
QUICK = 2
"""scrypt's n, where its cost is not what is tested."""


def key(name: str = "main", kind: AccountKind = AccountKind.TESTNET) -> ApiKey:
    return ApiKey(name=name, kind=kind, api_key=Secret(API), secret=Secret(SECRET))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "vault"
    Vault.create(made, PHRASE, work=QUICK).add(key())
    return made


def refusal(path: Path, phrase: Secret = PHRASE) -> str:
    with pytest.raises(VaultError) as caught:
        Vault.open(path, phrase)
    told = "".join(traceback.format_exception(caught.value))
    assert API not in told and SECRET not in told and PHRASE.reveal() not in told
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_was_added_is_there_for_the_passphrase_and_the_file_shows_nothing_of_it(path: Path) -> None:
    (held,) = Vault.open(path, PHRASE).keys
    assert held == key() and held.api_key.reveal() == API and held.secret.reveal() == SECRET
    raw = path.read_bytes()
    assert API.encode() not in raw and SECRET.encode() not in raw and b"main" not in raw
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert API not in repr(held) and SECRET not in repr(held)
    assert [file.name for file in path.parent.iterdir()] == ["vault"]


def test_each_write_has_a_salt_and_a_nonce_of_its_own(path: Path) -> None:
    before = json.loads(path.read_bytes())
    opened = Vault.open(path, PHRASE)
    opened.add(key("other"))
    after = json.loads(path.read_bytes())
    assert before["salt"] != after["salt"] and before["nonce"] != after["nonce"] and before["n"] == after["n"]
    assert [held.name for held in Vault.open(path, PHRASE).keys] == ["main", "other"]
    assert opened.remove("main").name == "main"
    assert [held.name for held in Vault.open(path, PHRASE).keys] == ["other"]


def test_a_new_vault_costs_an_attacker_scrypt_with_128_megabytes(tmp_path: Path) -> None:
    Vault.create(tmp_path / "vault", PHRASE).add(key())
    held = json.loads((tmp_path / "vault").read_bytes())
    assert (held["n"], held["r"], held["p"]) == (131072, 8, 1)


def test_each_trouble_is_one_line_that_says_what_to_do(path: Path) -> None:
    assert refusal(path, Secret("wrong horse battery")) == f"{path}: wrong passphrase"
    path.chmod(0o640)
    assert refusal(path) == f"{path}: is open to others (mode 0640); chmod 600 {path}"
    path.chmod(0o600)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "is damaged" in refusal(path)
    path.write_bytes(whole.replace(b'"version":1', b'"version":2'))
    assert "has version 2; this program knows 1" in refusal(path)
    path.unlink()
    assert "there is no vault; `nexus keys add NAME`" in refusal(path)
    path.symlink_to("/etc/passwd")
    assert "cannot be read" in refusal(path)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(where=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_no_flipped_bit_gives_a_key_that_was_never_stored(path: Path, where: int, bit: int) -> None:
    whole = path.read_bytes()
    index = where % len(whole)
    broken = whole[:index] + bytes([whole[index] ^ 1 << bit]) + whole[index + 1 :]
    path.write_bytes(broken)
    try:
        assert Vault.open(path, PHRASE).keys == (key(),)  # the bits past a base64 text's end say nothing
    except VaultError as error:
        assert "\n" not in str(error)
    finally:
        path.write_bytes(whole)


def test_a_header_that_was_changed_with_its_checksum_is_not_believed(path: Path) -> None:
    held = vault._read(path)
    cheaper = vault.msgspec.structs.replace(held, n=4)
    forged = vault.msgspec.structs.replace(cheaper, sum=cheaper.checksum)
    path.write_bytes(vault.msgspec.json.encode(forged))
    assert refusal(path) == f"{path}: wrong passphrase"


def test_a_disk_that_fails_leaves_the_old_vault_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    opened = Vault.open(path, PHRASE)
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        with pytest.raises(VaultError, match="cannot be written"):
            opened.add(key("other"))
    assert [held.name for held in Vault.open(path, PHRASE).keys] == ["main"]
    assert [file.name for file in path.parent.iterdir()] == ["vault"]


# ---- where passphrases and keys come from ----------------------------------------------------------------------------


def piped(text: str) -> int:
    read_fd, write_fd = os.pipe()
    os.write(write_fd, text.encode())
    os.close(write_fd)
    return read_fd


def test_a_passphrase_comes_from_the_descriptor_else_the_credential_else_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert credentials.passphrase(None, lambda question: "typed").reveal() == "typed"
    (tmp_path / credentials.CREDENTIAL).write_text("from systemd\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert credentials.passphrase(None, lambda question: "typed").reveal() == "from systemd"
    assert credentials.passphrase(piped("by descriptor\n")).reveal() == "by descriptor"
    with pytest.raises(VaultError, match="holds no passphrase"):
        credentials.passphrase(piped(""))
    with pytest.raises(VaultError, match="--passphrase-fd 987: cannot be read"):
        credentials.passphrase(987)


def test_the_environment_is_a_fallback_and_loses_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def environment() -> None:
        monkeypatch.setenv(credentials.KEY_ENV, "key-of-env")
        monkeypatch.setenv(credentials.SECRET_ENV, "secret-of-env")

    environment()
    assert credentials.find_key(tmp_path, AccountKind.TESTNET).api_key.reveal() == "key-of-env"
    assert credentials.KEY_ENV not in os.environ and credentials.SECRET_ENV not in os.environ
    Vault.create(vault.vault_path(tmp_path), PHRASE, work=QUICK).add(key())
    environment()
    found = credentials.find_key(tmp_path, AccountKind.TESTNET, prompt=lambda question: PHRASE.reveal())
    assert found.name == "main" and credentials.KEY_ENV not in os.environ
    with pytest.raises(VaultError, match="live needs a key: `nexus keys add NAME --live`"):
        credentials.find_key(tmp_path, AccountKind.LIVE, prompt=lambda question: PHRASE.reveal())
    with pytest.raises(VaultError, match="is a TESTNET key, this is a LIVE account"):
        credentials.find_key(tmp_path, AccountKind.LIVE, "main", prompt=lambda question: PHRASE.reveal())


def test_of_several_keys_one_is_named() -> None:
    held = (key("a"), key("b"), key("c", AccountKind.LIVE))
    with pytest.raises(VaultError, match=r"several TESTNET keys: a, b; choose one with binance\.key"):
        credentials.choose(held, AccountKind.TESTNET)
    assert credentials.choose(held, AccountKind.TESTNET, "b") is held[1]
    assert credentials.choose(held, AccountKind.LIVE) is held[2]


# ---- the command -----------------------------------------------------------------------------------------------------


class Shell:
    """`nexus keys` with a piped stdin and the passphrase on a descriptor."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self._capsys, self._patch = root, capsys, monkeypatch

    def __call__(self, *words: str, stdin: str = "", phrase: str = PHRASE.reveal()) -> tuple[int, str, str]:
        self._patch.setattr("sys.stdin", io.StringIO(stdin))
        code = keys.main([*words, "--state", str(self.root), "--passphrase-fd", str(piped(phrase))])
        told = self._capsys.readouterr()
        assert SECRET not in told.out + told.err and API not in told.out + told.err
        return code, told.out, told.err


@pytest.fixture
def shell(path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(path.parent, capsys, monkeypatch)


def test_keys_are_added_listed_and_removed_and_no_line_shows_one(shell: Shell) -> None:
    code, out, _ = shell("add", "real", "--live", stdin=f"{API}\n{SECRET}\n")
    assert code == 0 and out.startswith("real: BINANCE LIVE HMAC ")
    code, out, _ = shell("list", "--json")
    rows = json.loads(out)["keys"]
    assert [(row["name"], row["kind"], row["scheme"]) for row in rows] == [
        ("main", "TESTNET", "HMAC"),
        ("real", "LIVE", "HMAC"),
    ]
    assert rows[0]["fingerprint"] == rows[1]["fingerprint"] and len(rows[0]["fingerprint"]) == 19
    assert shell("remove", "real")[0] == 0
    assert [held.name for held in Vault.open(shell.root / "vault", PHRASE).keys] == ["main"]


def test_a_key_of_coinmarketcap_is_sealed_and_taken_for_no_account(shell: Shell) -> None:
    code, out, _ = shell("add", "cmc", "--coinmarketcap", stdin=f"{API}\n")
    assert code == 0 and 'use it with key = "cmc" under [macro]' in out
    sealed = Vault.open(shell.root / "vault", PHRASE)
    assert macro_key(sealed, "cmc").reveal() == API
    assert choose(sealed.keys, AccountKind.PAPER) is None
    with pytest.raises(VaultError, match="no such key of CoinMarketCap; known: cmc"):
        macro_key(sealed, "main")
    assert not macro_key(sealed)


def test_a_password_of_postgresql_is_sealed_without_a_word_on_it(shell: Shell) -> None:
    code, out, err = shell("add", "mirror", "--postgres", stdin=f"p w:{SECRET}\n")
    assert code == 0 and 'use it with key = "mirror" under [postgres]' in out and SECRET not in out + err
    sealed = Vault.open(shell.root / "vault", PHRASE)
    assert postgres_password(sealed, "mirror").reveal() == f"p w:{SECRET}"
    assert choose(sealed.keys, AccountKind.PAPER) is None
    assert sealed.get("mirror").fingerprint == ""  # a hash of a password helps who guesses it
    with pytest.raises(VaultError, match="no such password of PostgreSQL; known: mirror"):
        postgres_password(sealed, "main")
    assert shell("add", "two", "--postgres", stdin="\n")[::2] == (
        2,
        "nexus keys: the password: is not one line of 1 to 256 letters; nothing was stored\n",
    )
    assert "Postgres knows no signatures" in shell("add", "two", "--postgres", "--ed25519", "-", stdin="x\n")[2]


def test_the_environment_loses_the_key_of_coinmarketcap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MACRO_ENV, API)
    assert macro_key(None).reveal() == API
    assert MACRO_ENV not in os.environ


def test_what_is_wrong_with_a_command_is_one_line_and_quotes_no_argument(shell: Shell) -> None:
    for words, stdin, told in (
        (("add", "main", "--live"), f"{API}\n{SECRET}\n", "has a key 'main' already"),
        (("add", "Main", "--live"), f"{API}\n{SECRET}\n", "a name has 1 to 31"),
        (("add", "x", "--live"), f"{API}\n", "the secret: is not one word"),
        (("add", "x", "--live", SECRET), "", "keys and secrets are asked for, never given here"),
        (("add", "x"), "", "--testnet --live --coinmarketcap --postgres is required"),
        (("remove", "nobody"), "", "the vault has no key 'nobody'; known: main"),
        (("list", "--state"), "", "expected one argument"),
    ):
        code, out, err = shell(*words, stdin=stdin)
        assert code == 2 and out == "" and told in err and err.count("\n") == 1, err
    code, _, err = shell("list", phrase="something else entirely")
    assert (code, err) == (1, f"nexus keys: {shell.root / 'vault'}: wrong passphrase\n")


# ---- another passphrase ----------------------------------------------------------------------------------------------

FRESH = Secret("a better horse battery")


def changed(shell: Shell, fresh: str = FRESH.reveal(), **more: str) -> tuple[int, str, str]:
    code, out, err = shell("passphrase", "--new-passphrase-fd", str(piped(fresh)), **more)
    assert fresh not in out + err and PHRASE.reveal() not in out + err
    return code, out, err


def test_the_vault_gets_another_passphrase_and_the_old_one_opens_it_no_more(shell: Shell) -> None:
    path = shell.root / "vault"
    before = path.stat()
    code, out, err = changed(shell)
    assert (code, err) == (0, "") and out.startswith("the vault has its new passphrase") and out.count("\n") == 1
    assert refusal(path) == f"{path}: wrong passphrase"
    assert Vault.open(path, FRESH).keys == (key(),)
    after = path.stat()
    assert stat.S_IMODE(after.st_mode) == 0o600
    assert after.st_ino != before.st_ino  # replaced whole
    assert sorted(file.name for file in path.parent.iterdir()) == ["vault", "vault.lock"]
    assert json.loads(path.read_bytes())["n"] == vault.WORK  # and made at no less work than a new one
    assert changed(shell, PHRASE.reveal(), phrase=FRESH.reveal())[0] == 0 and Vault.open(path, PHRASE).keys == (key(),)


def test_a_wrong_a_short_or_the_same_passphrase_changes_nothing_and_is_one_line(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shell.root / "vault"
    whole = path.read_bytes()
    assert changed(shell, phrase="something else") == (1, "", f"nexus keys: {path}: wrong passphrase\n")
    assert changed(shell, "short") == (2, "", "nexus keys: a passphrase has at least 10 characters\n")
    assert changed(shell, PHRASE.reveal() + "\n")[2] == (
        "nexus keys: the new passphrase is the old one; nothing was changed\n"
    )
    assert shell("passphrase")[2] == "nexus keys: no terminal to ask for the new passphrase: use --new-passphrase-fd\n"
    assert shell("passphrase", "--new-passphrase-fd", "987")[2].startswith(
        "nexus keys: --new-passphrase-fd 987: cannot"
    )

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        code, _, err = changed(shell)
        assert code == 2 and "cannot be written" in err and err.count("\n") == 1
    assert path.read_bytes() == whole
    with vault.locked(path):
        assert "another `nexus keys` is changing it" in changed(shell)[2]


def test_a_person_is_asked_for_the_old_one_and_twice_for_the_new(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    lines = iter((PHRASE, FRESH, FRESH, FRESH, PHRASE, FRESH))

    def typed(question: str) -> str:
        asked.append(question)
        return next(lines).reveal()

    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setattr(credentials, "typed", lambda: True)
    monkeypatch.setattr(keys, "typed", lambda: True)
    monkeypatch.setattr(credentials.getpass, "getpass", typed)
    assert keys.main(["passphrase", "--state", str(path.parent)]) == 0
    assert asked == ["passphrase of the vault: ", "new passphrase of the vault: ", "the same again: "]
    assert keys.main(["passphrase", "--state", str(path.parent)]) == 2
    assert "the two differ; nothing was stored" in capsys.readouterr().err
    assert Vault.open(path, FRESH).keys == (key(),)


@pytest.mark.parametrize("number", ["-1", "99999999999999999999"])
def test_a_number_that_is_no_descriptor_is_one_line(
    number: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert keys.main(["list", "--state", str(path.parent), f"--passphrase-fd={number}"]) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err == f"nexus keys: --passphrase-fd {number}: is no descriptor\n"


def test_a_stdin_that_is_closed_or_was_spent_on_the_passphrase_is_one_line(path: Path) -> None:
    command = [sys.executable, "-m", "nexus_tui", "keys", "add", "x", "--live", "--state", str(path.parent)]
    phrase = piped(PHRASE.reveal())
    for line in ('exec "$@" --passphrase-fd 3 3<&"$FD" <&-', 'exec "$@" --passphrase-fd 0 <&"$FD"'):
        ran = subprocess.run(
            ["bash", "-c", line, "bash", *command], env=os.environ | {"FD": str(phrase)}, pass_fds=(phrase,),
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert (ran.returncode, ran.stdout) == (2, "") and ran.stderr.count("\n") == 1, ran.stderr
        phrase = piped(PHRASE.reveal())


def test_a_first_key_makes_the_vault_in_a_folder_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = Shell(tmp_path / "new" / "state", capsys, monkeypatch)
    assert shell("add", "x", "--testnet", stdin=f"{API}\n{SECRET}\n", phrase="short")[0] == 2
    assert shell("add", "x", "--testnet", stdin=f"{API}\n{SECRET}\n")[0] == 0
    assert stat.S_IMODE((tmp_path / "new" / "state").stat().st_mode) == 0o700


def pem(private: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey, passphrase: bytes | None = None) -> str:
    lock: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        lock = serialization.BestAvailableEncryption(passphrase)
    return private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock).decode()


def test_an_ed25519_key_comes_from_a_file_or_from_stdin_and_its_public_half_is_shown(
    shell: Shell, tmp_path: Path
) -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    file = tmp_path / "key.pem"
    file.write_text(pem(private))
    code, out, _ = shell("add", "file", "--live", "--ed25519", str(file), stdin=f"{API}\n")
    assert code == 0 and "PUBLIC KEY" in out and "PRIVATE" not in out
    assert shell("add", "pipe", "--testnet", "--ed25519", "-", stdin=f"{API}\n{pem(private)}")[0] == 0
    held = Vault.open(shell.root / "vault", PHRASE).keys
    assert [one.scheme for one in held] == [Scheme.HMAC, Scheme.ED25519, Scheme.ED25519]
    assert held[1].private_key.reveal() == pem(private).strip() and not held[1].api_secret
    assert not held[0].private_key and held[0].api_secret


def test_what_is_no_plain_ed25519_key_is_refused_with_what_to_do(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    for text, told in (
        (pem(rsa.generate_private_key(65537, 2048)), "is not Ed25519"),
        (pem(ed25519.Ed25519PrivateKey.generate(), b"locked"), "a passphrase of its own"),
        ("nothing of the kind", "no private key in PEM"),
    ):
        file.write_text(text)
        code, _, err = shell("add", "x", "--live", "--ed25519", str(file), stdin=f"{API}\n")
        assert code == 2 and told in err and err.count("\n") == 1
