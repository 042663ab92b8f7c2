"""Logging in: keys, the user's SSH agent, a password, a conversation; in this order."""

from __future__ import annotations

import threading
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import paramiko
from paramiko.auth_handler import AuthHandler

from vboxkit.errors import GuestAuthError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vboxkit.guest.credentials import Credentials

__all__ = ["Refusals", "load_key", "log_in"]

_CHECK = (
    "check the user, that the key's public half is in the guest's authorized_keys, "
    "and the mode of that file"
)


class Refusals:
    """What was tried so far, and what the guest said to the last of it."""

    def __init__(self) -> None:
        self.tried: list[str] = []
        self.last: Exception | None = None

    @property
    def allowed(self) -> list[str]:
        """The methods that the guest takes, as far as it said so."""
        return list(getattr(self.last, "allowed_types", None) or [])


def log_in(
    transport: paramiko.Transport,
    credentials: Credentials,
    *,
    name: str,
    where: str,
    finish: Callable[[threading.Event], Exception | None],
) -> None:
    """
    Try each way in that the credentials have, until the guest is content.

    A guest may ask for several, such as a key and then a code.

    Args:
        transport: The connection.
        credentials: Who logs in.
        name: How messages call the guest.
        where: The guest with its address.
        finish: Waits for the answer; gives the guest's refusal, or `None` if we are in.

    Raises:
        GuestAuthError: The guest refused them all, or a key cannot be used.
    """
    so_far = Refusals()

    def tried(what: str, begin: Callable[[threading.Event], object]) -> bool:
        so_far.tried.append(what)
        done = threading.Event()
        begin(done)
        so_far.last = finish(done)
        return so_far.last is None

    user = credentials.user
    if credentials.key_file is not None:
        key = load_key(credentials, name)
        what = f"key {credentials.key_file} ({key.fingerprint})"
        if tried(what, lambda done: transport.auth_publickey(user, key, done)):
            return
    if credentials.agent and _by_agent(transport, user, so_far, tried):
        return
    password = credentials.password
    if password is not None and tried(
        "password",
        # No fallback: it would try the password once more, in a conversation.
        lambda done: transport.auth_password(user, password, done, fallback=False),
    ):
        return
    # With a password alone, only where the guest takes it in this form and no other.
    talks = "keyboard-interactive" in so_far.allowed and "password" not in so_far.allowed
    if (credentials.answer is not None or (password is not None and talks)) and tried(
        "keyboard-interactive", lambda done: _converse(transport, credentials, done)
    ):
        return
    offer = f"; it takes {', '.join(so_far.allowed)}" if so_far.allowed else ""
    raise GuestAuthError(
        f"{where} did not let {user!r} in with "
        f"{' or '.join(so_far.tried) or 'neither key nor password'}{offer}",
        hint=_CHECK,
    ) from so_far.last


def load_key(credentials: Credentials, name: str) -> paramiko.PKey:
    """
    Read the private key.

    Raises:
        GuestAuthError: There is none, it is damaged, or its passphrase is missing or wrong.
    """
    path = credentials.key_file
    phrase = credentials.passphrase
    try:
        # The stubs say str, which cryptography does not take.
        secret: Any = phrase.encode() if phrase else None
        return paramiko.PKey.from_path(str(path), secret)
    except FileNotFoundError as error:
        raise GuestAuthError(
            f"the key {path} for {name} does not exist",
            hint="give the private key's file in Credentials(key_file=...)",
        ) from error
    except TypeError as error:  # cryptography's word for a passphrase that is missing
        raise GuestAuthError(
            f"the key {path} for {name} has a passphrase, which was not given",
            hint="give it in Credentials(passphrase=...), or load the key into an SSH agent and "
            "use Credentials(agent=True)",
        ) from error
    except Exception as error:  # whatever cryptography makes of a damaged file
        raise GuestAuthError(
            f"the key {path} for {name} cannot be read: {error}",
            hint="is the passphrase right?"
            if phrase
            else "a private key in OpenSSH format is needed, not its public half",
        ) from error


def _by_agent(
    transport: paramiko.Transport,
    user: str,
    so_far: Refusals,
    tried: Callable[[str, Callable[[threading.Event], object]], bool],
) -> bool:
    try:
        agent = paramiko.Agent()
    except (paramiko.SSHException, OSError, EOFError) as error:
        so_far.tried.append(f"SSH agent (which does not answer: {error})")
        return False
    with closing(agent):
        keys = agent.get_keys()
        if not keys:
            # Also when there is none: paramiko does not tell.
            so_far.tried.append("SSH agent (which is not there, or has no key)")
        for key in keys:
            comment = getattr(key, "comment", "") or key.get_name()
            what = f"SSH agent's key {comment} ({key.fingerprint})"
            if tried(what, partial(transport.auth_publickey, user, key)):
                return True
    return False


def _converse(
    transport: paramiko.Transport, credentials: Credentials, done: threading.Event
) -> None:
    def reply(_title: str, _instructions: str, prompts: list[tuple[str, bool]]) -> list[str]:
        if credentials.answer is not None:
            return [credentials.answer(prompt) for prompt, _ in prompts]
        # What is echoed is no password.
        return ["" if echo else credentials.password or "" for _, echo in prompts]

    # paramiko's own method waits without a limit.
    handler = AuthHandler(transport)
    transport.auth_handler = handler
    handler.auth_interactive(credentials.user, reply, done, "")
