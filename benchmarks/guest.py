"""A command over a warm SSH connection, against bare paramiko doing the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import paramiko
from figures import Figure, in_turn, rows

import vboxkit

if TYPE_CHECKING:
    from vboxkit import VM

#: Commands of each way; a round of the benchmark is one of each.
COMMANDS = 10


def bench(runs: int) -> list[Figure]:
    """Measure, in the home that the settings say."""
    with vboxkit.Lab() as lab, lab.fork(lab.image("tiny")) as vm, bare(vm) as client:
        vm.ssh.succeed("true")

        def ours() -> None:
            assert vm.ssh.run("true").ok

        def theirs() -> None:
            _, out, err = client.exec_command("true")
            assert not out.read() + err.read()
            assert out.channel.recv_exit_status() == 0

        mine, rival = 'vm.ssh.run("true"), warm', 'bare paramiko, "true"'
        found = rows(
            in_turn({mine: ours, rival: theirs}, max(runs, 10) * COMMANDS),
            ours=mine,
            unit="ms",
            scale=1000,
            target="<= 1.20 x bare paramiko",
            met=lambda ratio: 1 / ratio(rival) <= 1.20,
        )
        return [replace(row, values=[]) for row in found]


def bare(vm: VM, port: int | None = None) -> paramiko.SSHClient:
    """Connect as people do who have no vboxkit; to another port of this host if one is given."""
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.MissingHostKeyPolicy())
    client.connect(
        "127.0.0.1",
        port or vm.ssh_port,
        vm.credentials.user,
        key_filename=str(vm.credentials.key_file),
        allow_agent=False,
        look_for_keys=False,
    )
    return client
