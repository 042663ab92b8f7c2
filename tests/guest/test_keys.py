"""Ways in: keys with passphrases, the SSH agent, passwords, conversations; and ssh_config."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paramiko
import pytest

from vboxkit.errors import AlreadyExistsError, GuestAuthError, HostKeyError, SettingsError
from vboxkit.guest import SSH, Address, Credentials
from vboxkit.guest.handover import pinned_transport
from vboxkit.guest.ssh_config import alias_of, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.guest.conftest import MakeGuest, MakeSSH


@pytest.fixture
def locked_key(keys: dict[str, Path], tmp_path: Path) -> Path:
    """Make the user's key one with a passphrase."""
    path = tmp_path / "locked"
    path.write_bytes(keys["user"].read_bytes())
    path.chmod(0o600)
    subprocess.run(
        ["ssh-keygen", "-q", "-p", "-N", "open sesame", "-f", path], check=True, timeout=60
    )
    return path


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start an SSH agent without keys."""
    sock = tmp_path / "agent"
    with subprocess.Popen(
        ["ssh-agent", "-D", "-a", sock], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(sock))
        yield
        process.terminate()


def add(key: Path) -> None:
    """Load a key into the agent."""
    subprocess.run(["ssh-add", "-q", key], check=True, timeout=60)


def test_a_key_with_a_passphrase(guest: Any, make_ssh: MakeSSH, locked_key: Path) -> None:
    """With its passphrase the key opens; without or with a wrong one, the error says which."""
    assert make_ssh(guest, key_file=locked_key, passphrase="open sesame").connect().connected
    with pytest.raises(GuestAuthError, match="has a passphrase") as caught:
        make_ssh(guest, key_file=locked_key).connect()
    assert "passphrase=" in str(caught.value.hint)
    with pytest.raises(GuestAuthError, match="cannot be read") as caught:
        make_ssh(guest, key_file=locked_key, passphrase="wrong").connect()
    assert "passphrase" in str(caught.value.hint)


def test_secrets_are_not_shown() -> None:
    """Neither password nor passphrase is in the repr."""
    way = Credentials(password="hush1", passphrase="hush2", answer=lambda _: "hush3")
    assert "hush" not in repr(way)


def test_the_agent_is_used_only_if_asked_for(
    guest: Any, make_ssh: MakeSSH, keys: dict[str, Path], agent: None
) -> None:
    """The agent's second key lets us in with agent=True, and is not offered without."""
    add(keys["stranger"])
    add(keys["user"])
    with pytest.raises(GuestAuthError, match="neither key nor password"):
        make_ssh(guest, key_file=None).connect()
    assert guest.offers == 0
    assert make_ssh(guest, key_file=None, agent=True).connect().connected


def test_an_agent_that_does_not_help_is_named(
    guest: Any, make_ssh: MakeSSH, keys: dict[str, Path], agent: None
) -> None:
    """The error has the fingerprints of what was tried, or that there is no key."""
    with pytest.raises(GuestAuthError, match=r"SSH agent \(which is not there, or has no key\)"):
        make_ssh(guest, key_file=None, agent=True).connect()
    add(keys["stranger"])
    seen = paramiko.PKey.from_path(str(keys["stranger"])).fingerprint
    with pytest.raises(GuestAuthError) as caught:
        make_ssh(guest, key_file=None, agent=True).connect()
    assert seen in str(caught.value)


def test_a_wrong_key_is_named_with_its_fingerprint(
    guest: Any, make_ssh: MakeSSH, keys: dict[str, Path]
) -> None:
    """The error tells which key was refused, and what to check."""
    seen = paramiko.PKey.from_path(str(keys["stranger"])).fingerprint
    with pytest.raises(GuestAuthError) as caught:
        make_ssh(guest, key_file=keys["stranger"]).connect()
    assert seen in str(caught.value)
    assert "authorized_keys" in str(caught.value.hint)


def test_a_password_goes_into_a_conversation(make_guest: MakeGuest, make_ssh: MakeSSH) -> None:
    """A server that takes passwords only by keyboard-interactive gets it so, and only once."""
    guest = make_guest(auths="keyboard-interactive", questions={"Password:": "pw"})
    assert make_ssh(guest, key_file=None, password="pw").connect().connected
    with pytest.raises(GuestAuthError, match="password or keyboard-interactive"):
        make_ssh(guest, key_file=None, password="wrong").connect()


def test_prompts_are_answered(make_guest: MakeGuest, make_ssh: MakeSSH) -> None:
    """Each prompt of a conversation is given to `answer`."""
    asked = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return {"Name:": "me", "Code:": "123"}[prompt]

    guest = make_guest(auths="keyboard-interactive", questions={"Name:": "me", "Code:": "123"})
    assert make_ssh(guest, key_file=None, answer=answer).connect().connected
    assert asked == ["Name:", "Code:"]


def test_a_guest_may_ask_for_key_and_code(make_guest: MakeGuest, make_ssh: MakeSSH) -> None:
    """A key that is half of the way in is followed by the conversation."""
    guest = make_guest(auths="keyboard-interactive", key_is_half=True, questions={"Code:": "123"})
    assert make_ssh(guest, answer=lambda _: "123").connect().connected


def test_a_host_key_that_changed_stays_refused(
    make_guest: MakeGuest, make_ssh: MakeSSH, keys: dict[str, Path]
) -> None:
    """The key seen first is pinned: a changed one is an error each time, with no login tried."""
    guest = make_guest()
    ssh = make_ssh(guest).connect()
    ssh.disconnect()
    guest.key = paramiko.PKey.from_path(str(keys["other"]))
    offers = guest.offers
    for _ in range(2):
        with pytest.raises(HostKeyError):
            ssh.connect()
    assert guest.offers == offers


def test_fabrics_transport_is_pinned(guest: Any, ssh: SSH, keys: dict[str, Path]) -> None:
    """The client of paramiko gets in with our transport, and not to another host key."""
    ssh.connect()
    options = ssh.fabric()["connect_kwargs"]

    def connect(factory: Any) -> None:
        with paramiko.SSHClient() as client:
            client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
            options["transport_factory"] = factory
            client.connect("127.0.0.1", guest.port, username="root", **options)

    connect(options["transport_factory"])
    offers = guest.offers
    other = keys["other"].with_name("other.pub").read_text()
    with pytest.raises(HostKeyError):
        connect(pinned_transport(other, "machine 'web'"))
    assert guest.offers == offers


def test_the_written_configuration_leads_back(guest: Any, ssh: SSH, tmp_path: Path) -> None:
    """What write_config() writes is read by from_config(), also with odd folders' names."""
    folder = tmp_path / "100 %h of it"
    folder.mkdir()
    ssh.connect()
    path = ssh.write_config(folder / "a config", name="web 1")
    beside = folder / "a config.known_hosts"
    assert [stat.S_IMODE(it.stat().st_mode) for it in (path, beside)] == [0o600, 0o600]
    with SSH.from_config("web-1", file=path) as again:
        assert again.connect().connected
        assert again.credentials.host_key == ssh.host_key
    beside.unlink()
    with pytest.raises(HostKeyError, match="demands a known key"):
        SSH.from_config("web-1", file=path)


def test_openssh_reads_the_written_configuration(
    guest: Any, ssh: SSH, keys: dict[str, Path], tmp_path: Path
) -> None:
    """OpenSSH's client understands each line, and finds the files of an odd folder."""
    folder = tmp_path / "100 % it's"
    folder.mkdir()
    key = folder / "key"
    key.write_bytes(keys["user"].read_bytes())
    key.chmod(0o600)
    with SSH(ssh.address, Credentials(key_file=key)) as odd:
        odd.connect()
        path = odd.write_config(folder / "config", name="web")
    told = subprocess.run(
        ["ssh", "-G", "-F", path, "web"], capture_output=True, text=True, check=True, timeout=60
    ).stdout.splitlines()
    assert f"port {guest.port}" in told
    assert "stricthostkeychecking true" in told
    assert any(line.startswith("identityfile ") and line.endswith("/key") for line in told)
    got = subprocess.run(
        ["ssh", "-F", path, "-o", "BatchMode=yes", "web", "echo $((6*7))"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (got.returncode, got.stdout) == (0, "42\n"), got.stderr


def test_files_for_others_go_with_close(ssh: SSH) -> None:
    """The files behind config() are removed by close(), and nothing else is replaced."""
    ssh.connect()
    path = ssh.write_config()
    known = ssh.known_hosts
    assert str(known) in path.read_text()
    ssh.close()
    assert not path.parent.exists()
    assert not known.exists()


def test_a_file_of_somebody_else_is_not_replaced(ssh: SSH, tmp_path: Path) -> None:
    """write_config() replaces its own files and no others."""
    mine = tmp_path / "mine"
    assert ssh.write_config(mine) == ssh.write_config(mine)
    theirs = tmp_path / "theirs"
    theirs.write_text("Host *\n")
    with pytest.raises(AlreadyExistsError):
        ssh.write_config(theirs)
    assert theirs.read_text() == "Host *\n"


@pytest.mark.parametrize(
    "line",
    [
        "ProxyJump gate",
        "ProxyCommand nc %h %p",
        "CertificateFile ~/x",
        "Port ssh",
        "Host=",
        "Match exec true",
    ],
)
def test_what_is_not_supported_is_refused(tmp_path: Path, line: str) -> None:
    """Lines that would change where the connection leads to, and broken ones, are named."""
    path = tmp_path / "config"
    path.write_text(f"Host web\n  {line}\n")
    with pytest.raises(SettingsError, match="config"):
        SSH.from_config("web", file=path)


def test_a_configuration_is_read_as_openssh_does(tmp_path: Path) -> None:
    """Patterns, includes, the first key that exists, and "none" for what is not supported."""
    key = tmp_path / "key"
    key.write_text("")
    (tmp_path / "more").write_text("Host other\n  User nobody\nHost w*\n  Port 2200\n")
    path = tmp_path / "config"
    path.write_text(
        f"Include {tmp_path}/mo*\nUser anna\nHost web\n  HostName 10.0.0.5\n  ProxyJump none\n"
        f"  IdentityFile {tmp_path}/missing\n  IdentityFile {key}\n  UserKnownHostsFile /dev/null\n"
    )
    ssh = SSH.from_config("web", file=path)
    assert ssh.address == Address("10.0.0.5", 2200)
    assert ssh.credentials == Credentials(user="anna", key_file=key)


def test_a_missing_configuration_is_an_error(tmp_path: Path) -> None:
    """A file that was asked for is missed by its name."""
    with pytest.raises(SettingsError, match="there is no file"):
        SSH.from_config("web", file=tmp_path / "none")


@pytest.mark.parametrize("path", ['/a"b', "/a${HOME}", "/a\nb"])
def test_paths_that_cannot_be_written_are_refused(path: str) -> None:
    """What OpenSSH would read as something else is no value."""
    with pytest.raises(SettingsError):
        quoted(path)


def test_names_become_words() -> None:
    """No name of a machine is a pattern, an option, or two words in a tool's file."""
    assert [alias_of(it) for it in ("a b", "-x", "w*?!", "ok-1.2_3", "***")] == [
        "a-b",
        "x",
        "w",
        "ok-1.2_3",
        "guest",
    ]
