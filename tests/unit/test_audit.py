"""The audit log: what is written, and that an edit, a gap or a cut is found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from vboxkit.cli.__main__ import main
from vboxkit.core import audit
from vboxkit.core.audit import HEAD, NAME, AuditLog, digest, files, is_change
from vboxkit.core.audit_check import entries, verify
from vboxkit.core.secrets import masked
from vboxkit.errors import AuditWarning, StorageError


def written(home: Path, count: int) -> AuditLog:
    """Return a log with some changes."""
    log = AuditLog(home)
    for number in range(count):
        with log.change(f"set number {number}", "machine 'web'"):
            pass
    return log


def lines(home: Path) -> list[str]:
    """Return the lines of the file that is written to."""
    return (home / NAME).read_text().splitlines()


def put(home: Path, new: list[str]) -> None:
    """Write other lines."""
    (home / NAME).write_text("\n".join(new) + "\n")


def sentences(home: Path) -> list[str]:
    """Return what `verify` finds."""
    return [each.sentence for each in verify(home).damages]


def test_a_change_is_one_line(tmp_path: Path) -> None:
    """Who, when, what, on which object, from and to, what came of it, how long."""
    log = AuditLog(tmp_path)
    with log.change("set memory_mb to 2048", "machine 'web'"):
        assert log.current is not None
        log.current.note("memory_mb", 1024, 2048)
    (entry,) = entries(tmp_path)
    assert entry["object"] == "machine 'web'"
    assert entry["operation"] == "set memory_mb to 2048"
    assert entry["values"] == [{"name": "memory_mb", "from": 1024, "to": 2048}]
    assert entry["result"] == "done"
    assert entry["user"]
    assert entry["number"] == 1
    assert 0 <= entry["seconds"] < 60
    assert verify(tmp_path).hash == entry["hash"]


def test_a_failure_is_written_too(tmp_path: Path) -> None:
    """The error passes, and is in the line."""
    with pytest.raises(StorageError), AuditLog(tmp_path).change("destroy", "machine 'web'"):
        raise StorageError("no space", operation="destroy")
    (entry,) = entries(tmp_path)
    assert entry["result"].startswith("StorageError: no space")


def test_an_outer_change_is_the_line(tmp_path: Path) -> None:
    """What a change does on its way is not a line of its own."""
    log = AuditLog(tmp_path)
    with log.change("destroy", "machine 'web'"), log.change("power off", "machine 'web'"):
        pass
    assert [entry["operation"] for entry in entries(tmp_path)] == ["destroy"]


def test_reading_is_no_change(tmp_path: Path) -> None:
    """Operations that read write nothing."""
    log = AuditLog(tmp_path)
    with log.change("read the state", "machine 'web'"):
        assert log.current is None
    assert list(tmp_path.iterdir()) == []
    assert is_change("take a snapshot")
    assert not is_change("take a screenshot")


def test_a_whole_log_is_whole(tmp_path: Path) -> None:
    """Nothing is found where nothing is wrong; an empty log is whole, and stays no log."""
    assert verify(tmp_path).damages == []
    assert list(tmp_path.iterdir()) == []
    written(tmp_path, 5)
    assert verify(tmp_path).damages == []
    assert verify(tmp_path).lines == 5


@pytest.mark.parametrize(
    ("field", "value"),
    [("user", "mallory"), ("result", "done!"), ("time", "2020-01-01T00:00:00+00:00")],
)
def test_an_edit_is_found(tmp_path: Path, field: str, value: str) -> None:
    """A value that was changed does not fit its hash."""
    written(tmp_path, 3)
    all_of_them = lines(tmp_path)
    entry = json.loads(all_of_them[1])
    entry[field] = value
    put(tmp_path, [all_of_them[0], json.dumps(entry), all_of_them[2]])
    assert sentences(tmp_path) == ["change 2 was edited: its hash is another one"]


def test_an_edit_with_a_new_hash_is_found(tmp_path: Path) -> None:
    """Who computes the hash anew breaks the chain at the next line, or at the head."""
    written(tmp_path, 3)
    for index in (1, 2):
        new = lines(tmp_path)
        entry = json.loads(new[index])
        entry["user"] = "mallory"
        entry["hash"] = digest(entry)
        new[index] = json.dumps(entry)
        put(tmp_path, new)
    found = sentences(tmp_path)
    assert "change 3 does not follow from the one before it" in found
    assert "change 3 is not the one that was written" in found


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_line_that_is_missing_is_found(tmp_path: Path, gone: int) -> None:
    """At the beginning, in the middle and at the end."""
    written(tmp_path, 4)
    new = lines(tmp_path)
    del new[gone]
    put(tmp_path, new)
    assert sentences(tmp_path) == [f"change {gone + 2} stands where {gone + 1} is due"]


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_a_cut_end_is_found(tmp_path: Path, kept: int) -> None:
    """The head knows how many there were, also when the log goes on afterwards."""
    written(tmp_path, 5)
    (tmp_path / NAME).write_text("".join(f"{line}\n" for line in lines(tmp_path)[:kept]))
    assert sentences(tmp_path) == [f"the last change is 5, and the log ends with {kept}"]
    written(tmp_path, 1)
    assert sentences(tmp_path) == [f"change 6 stands where {kept + 1} is due"]


def test_a_line_that_was_put_in_is_found(tmp_path: Path) -> None:
    """A copy of another line does not follow."""
    written(tmp_path, 3)
    old = lines(tmp_path)
    put(tmp_path, [old[0], old[0], *old[1:]])
    assert "change 1 stands where 2 is due" in sentences(tmp_path)


def test_a_torn_line_does_not_end_the_log(tmp_path: Path) -> None:
    """Who died while he wrote leaves half a line; the chain goes on behind it."""
    written(tmp_path, 2)
    with (tmp_path / NAME).open("a") as file:
        file.write('{"number": 3, "ti')
    written(tmp_path, 2)
    assert verify(tmp_path).lines == 4
    assert sentences(tmp_path) == [
        "it is no line of this log: cut off while it was written, or edited"
    ]


def test_a_head_that_is_one_behind_is_no_damage(tmp_path: Path) -> None:
    """A process may die between the line and the head."""
    written(tmp_path, 2)
    head = (tmp_path / HEAD).read_text()
    written(tmp_path, 1)
    (tmp_path / HEAD).write_text(head)
    assert sentences(tmp_path) == []
    written(tmp_path, 1)
    assert sentences(tmp_path) == []
    assert [entry["number"] for entry in entries(tmp_path)] == [1, 2, 3, 4]


def test_a_missing_head_is_said(tmp_path: Path) -> None:
    """Without it nobody knows whether the end is there."""
    written(tmp_path, 1)
    (tmp_path / HEAD).unlink()
    assert len(sentences(tmp_path)) == 1


def test_rotation_keeps_the_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is full gets a number; a missing one is a gap."""
    monkeypatch.setattr(audit, "_FULL", 2000)
    written(tmp_path, 30)
    assert len(files(tmp_path)) > 3
    assert verify(tmp_path).damages == []
    assert [entry["number"] for entry in entries(tmp_path)] == list(range(1, 31))
    files(tmp_path)[1].unlink()
    assert len(sentences(tmp_path)) == 1


def test_processes_share_one_chain(tmp_path: Path) -> None:
    """Four processes that write at once: all lines are there, and in order."""
    code = (
        "import sys; from pathlib import Path; from vboxkit.core.audit import AuditLog\n"
        "log = AuditLog(Path(sys.argv[1]))\n"
        "for number in range(25):\n"
        "    with log.change(f'set number {number}', 'machine'): pass\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, tmp_path]) for _ in range(4)]
    assert [process.wait(120) for process in running] == [0, 0, 0, 0]
    verdict = verify(tmp_path)
    assert verdict.damages == []
    assert verdict.lines == 100
    assert len({entry["pid"] for entry in entries(tmp_path)}) == 4


def test_it_is_whole_while_others_write(tmp_path: Path) -> None:
    """Whoever verifies meanwhile, while files get full, sees no cut, no gap and no half line."""
    home, enough = tmp_path / "home", tmp_path / "enough"
    home.mkdir()
    code = (
        "import sys; from pathlib import Path; from vboxkit.core import audit\n"
        "audit._FULL = 2000; log = audit.AuditLog(Path(sys.argv[1])); number = 0\n"
        "while not Path(sys.argv[2]).exists():\n"
        "    number += 1\n"
        "    with log.change(f'set number {number}', 'machine'): pass\n"
        "print(number)\n"
    )
    looks = []
    with subprocess.Popen(
        [sys.executable, "-c", code, home, enough], stdout=subprocess.PIPE, text=True
    ) as process:
        while process.poll() is None:
            verdict = verify(home)
            assert verdict.damages == []
            looks.append(verdict.lines)
            assert len(list(entries(home))) >= verdict.lines
            if len(set(looks)) > 20:
                enough.touch()
        written_lines = int(process.communicate()[0])
    assert process.returncode == 0
    assert verify(home).lines == written_lines
    assert len(files(home)) > 1
    assert looks == sorted(looks)


def test_what_cannot_be_written_is_said_once(tmp_path: Path) -> None:
    """The change itself goes on."""
    (tmp_path / "file").write_text("")
    with pytest.warns(AuditWarning, match="set number 0") as told:
        written(tmp_path / "file" / "home", 3)
    assert len(told) == 1


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("password", "hunter2", "***"),
        ("VNCPassword", "hunter2", "***"),
        ("api_key", 12345, "***"),
        ("password", None, None),
        ("memory_mb", 2048, 2048),
        ("proxy", "http://me:hunter2@proxy:3128/", "http://me:***@proxy:3128/"),
        ("description", "login root, password: hunter2 please", "login root, password: *** please"),
        ("description", "--password=hunter2", "--password=***"),
        ("", "set password to 'hunter2'", "set password to ***"),
        ("description", "a plain text", "a plain text"),
    ],
)
def test_secrets_never_get_in(tmp_path: Path, name: str, value: object, shown: object) -> None:
    """Neither as a value, nor in an operation, nor in an error."""
    assert masked(name, value) == shown
    log = AuditLog(tmp_path)
    with pytest.raises(ValueError, match="could not"), log.change("set it", "machine 'web'"):
        assert log.current is not None
        log.current.note(name, value, value)
        raise ValueError(f"could not set it: password={value}")
    assert "hunter2" not in (tmp_path / NAME).read_text()


def test_the_command_shows_and_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`vboxkit audit show` filters; `verify` ends with 1 if something is wrong."""
    log = written(tmp_path, 2)
    with log.change("start", "machine 'web-2'"):
        pass
    home = ["--home", str(tmp_path), "audit"]
    assert main([*home, "show", "--vm", "web", "--since", "1h", "--json"]) == 0
    assert [each["number"] for each in json.loads(capsys.readouterr().out)] == [1, 2]
    assert main([*home, "show", "--last", "1"]) == 0
    assert "web-2" in capsys.readouterr().out
    assert main([*home, "show", "--failed"]) == 0
    assert capsys.readouterr().out == "no changes\n"
    assert main([*home, "verify"]) == 0
    assert capsys.readouterr().out.startswith("3 changes, as they were written\n")
    put(tmp_path, lines(tmp_path)[1:])
    assert main([*home, "verify"]) == 1
    assert f"{NAME}:1: change 2 stands where 1 is due" in capsys.readouterr().out
    assert main([*home, "show", "--since", "yesterday"]) == 2
    assert "1h" in capsys.readouterr().err
