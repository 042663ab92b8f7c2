"""Cron, users, logs and services of the built-in guest."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vboxkit import VM

_TABLE = "mkdir -p /var/spool/cron/crontabs && "


def test_a_table_of_cron_is_kept(vm: VM) -> None:
    """It is listed as it was given."""
    vm.ssh.succeed(_TABLE + "echo '5 4 * * * true' | crontab -")
    assert vm.ssh.succeed("crontab -l") == "5 4 * * * true\n"


def test_a_table_of_cron_is_removed(vm: VM) -> None:
    """Then there is none to list."""
    vm.ssh.succeed(_TABLE + "echo '5 4 * * * true' | crontab - && crontab -r")
    assert not vm.ssh.run("crontab -l").ok


def test_cron_runs_what_is_due(vm: VM) -> None:
    """Started two seconds before the full minute; on a busy machine that may take two tries."""
    vm.ssh.succeed(_TABLE + "echo '* * * * * touch /tmp/due' | crontab -")
    vm.ssh.succeed(
        "for try in 1 2 3 4 5; do date -u -s '2026-01-01 11:59:58' && crond -L /dev/null;"
        " for second in 1 2 3 4 5; do test -e /tmp/due && exit; sleep 1; done;"
        " killall crond; done; exit 1"
    )


def test_a_user_has_rights_of_their_own(vm: VM) -> None:
    """What root alone may read is refused."""
    vm.ssh.succeed("echo ann:x:1000:1000::/tmp:/bin/sh >>/etc/passwd; chmod 600 /etc/hosts")
    assert vm.ssh.succeed("su ann -c 'id -u'") == "1000\n"
    assert "Permission denied" in vm.ssh.fail("su ann -c 'cat /etc/hosts'").stderr


def test_a_file_is_given_to_a_user(vm: VM) -> None:
    """By number."""
    assert vm.ssh.succeed("touch /tmp/f; chown 65534:7 /tmp/f; stat -c %u:%g /tmp/f") == "65534:7\n"


def test_a_login_shell_that_is_none_is_refused(vm: VM) -> None:
    """`nobody` cannot do anything."""
    assert not vm.ssh.run("su nobody -c true").ok


def test_the_log_has_what_was_said(vm: VM) -> None:
    """From `logger` by way of `syslogd`."""
    vm.ssh.succeed("syslogd -O /var/log/all && logger -t sample hello")
    vm.ssh.wait_until_succeeds("grep -q 'sample: hello' /var/log/all", timeout=30)


def test_a_service_is_started_once(vm: VM) -> None:
    """`start-stop-daemon` finds the one that runs."""
    line = "start-stop-daemon -S -b -m -p /run/s.pid -x /bin/sleep -- 600"
    vm.ssh.succeed(line)
    assert not vm.ssh.run(line).ok


def test_a_service_is_stopped(vm: VM) -> None:
    """Its process is gone."""
    vm.ssh.succeed("start-stop-daemon -S -b -m -p /run/s.pid -x /bin/sleep -- 600")
    vm.ssh.succeed("start-stop-daemon -K -p /run/s.pid")
    vm.ssh.wait_until_succeeds("! kill -0 $(cat /run/s.pid)", timeout=30)


def test_the_host_name_can_be_changed(vm: VM) -> None:
    """For all processes."""
    assert vm.ssh.succeed("hostname other; uname -n") == "other\n"


def test_a_kernel_setting_can_be_changed(vm: VM) -> None:
    """By `sysctl`, and it is read back."""
    vm.ssh.succeed("sysctl -w kernel.panic=7")
    assert vm.ssh.succeed("cat /proc/sys/kernel/panic") == "7\n"
