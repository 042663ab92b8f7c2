"""Wrong values, wherever they are given, end a run before it begins, and name the right ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plugin.conftest import Runs


@pytest.mark.parametrize(
    ("option", "right"),
    [
        ("--vm-keep=sometimes", "never, failed, always"),
        ("--vm-image=debain", "'tiny', 'debian', or the path of an .ova or .ovf file"),
        ("--vm-image=missing.ova", "there is no file *missing.ova"),
        ("--vm-home=", "'isolated', 'user', or the path of a folder"),
        ("--vm-home=usr", "there is no home 'usr'; right: 'isolated', 'user', or the path"),
        ("--vm-home=test_it.py", "the path of a folder"),
        ("--vm-max=0", "a whole number above 0"),
        ("--vm-max=many", "a whole number above 0"),
        ("--vm-memory-budget=1.5", "a whole number above 0"),
        ("--vm-timeout=-1", "a number of seconds above 0"),
        ("--vm-artifacts=test_it.py", "the path of a folder"),
    ],
)
def test_wrong_option(run: Runs, option: str, right: str) -> None:
    """A wrong value ends the run before it begins; the message has the right ones."""
    run.pytester.makepyfile(test_it="def test_it(): pass")
    result = run(option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {option}: *{right}*"])


@pytest.mark.parametrize(
    ("ini", "right"),
    [
        ("vm_keep = sometimes", "never, failed, always"),
        ("vm_image = debain", "'tiny', 'debian', or the path of an .ova or .ovf file"),
        ("vm_home = shared", "there is no home 'shared'; right: 'isolated', 'user', or the path"),
        ("vm_required = perhaps", "true or false"),
        ("vm_no_fork = perhaps", "true or false"),
        ("vm_max = 0", "a whole number above 0"),
        ("vm_memory_budget = much", "a whole number above 0"),
        ("vm_timeout = -1", "a number of seconds above 0"),
        ("vm_artifacts = tox.ini", "the path of a folder"),
    ],
)
def test_wrong_ini_value(run: Runs, ini: str, right: str) -> None:
    """So does a wrong ini value; the message names the file."""
    run.pytester.makeini(f"[pytest]\n{ini}")
    result = run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *tox.ini: {ini.partition(' ')[0]}*{right}*"])


@pytest.mark.parametrize(
    ("mark", "right"),
    [
        ("imgae='tiny'", "does not take imgae; right: image=..."),
        ("'tiny'", "does not take 'tiny'; right: image=..."),
        ("image='debain'", "'tiny', 'debian', or the path of an .ova or .ovf file"),
        ("image=['tiny', 'debain']", "'tiny', 'debian', or the path of an .ova or .ovf file"),
        ("memory_mb='96'", "memory_mb='96'; right: a number above 0"),
        ("cpus=0", "cpus=0; right: a number above 0"),
        ("count=True", "count=True; right: a number above 0"),
        ("network='none'", "right: 'nat', 'isolated'"),
        ("snapshot='fresh'", "right: image='a machine of the home'"),
        ("rewind=1", "right: True or False"),
        ("image=3", "right: a name, a path as text, an Image, an ImageSource, or a list"),
        ("image=['tiny', None]", "right: a name, a path as text, an Image, an ImageSource, or"),
        ("image=[]", "right: a name, a path as text, an Image, an ImageSource, or a list"),
    ],
)
def test_wrong_marker(run: Runs, mark: str, right: str) -> None:
    """So does a wrong argument of the marker; the message names the test."""
    run.pytester.makepyfile(f"import pytest\n@pytest.mark.vm({mark})\ndef test_it(): pass")
    result = run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *::test_it*: @pytest.mark.vm*{right}*"])


@pytest.mark.parametrize(
    ("of_module", "of_test", "fixture", "right"),
    [
        ("", "memory_mb=96", "vm_module", "cannot heed memory_mb=96;*of their module"),
        ("", "image='tiny', cpus=2", "vm_session", "image='tiny', cpus=2;*the fixture vm_image"),
        ("", "network='isolated'", "vm_class", "cannot heed network='isolated';*of their class"),
        ("image=['tiny', 'debian']", "", "vm_module", "cannot heed image=?'tiny', 'debian'?"),
    ],
)
def test_marker_of_a_shared_machine(
    run: Runs, of_module: str, of_test: str, fixture: str, right: str
) -> None:
    """What a machine that tests share cannot be, as it is made once for all of them."""
    run.pytester.makepyfile(
        f"""
        import pytest

        pytestmark = pytest.mark.vm({of_module})

        class TestIt:
            @pytest.mark.vm({of_test})
            def test_it(self, {fixture}): pass
        """
    )
    result = run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *::test_it*: @pytest.mark.vm: {fixture}, *{right}*"])


def test_marker_that_a_shared_machine_heeds(run: Runs) -> None:
    """That of its owner, and those of a test with a machine of its own as well."""
    run.pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.vm(memory_mb=96)

        def test_module(vm_module): pass

        @pytest.mark.vm(cpus=2)
        def test_both(vm_module, vm): pass

        @pytest.mark.vm(rewind=True, count=2)
        def test_rewound(vm_module): pass

        @pytest.mark.vm(cpus=2)
        def test_lone(vm_class): pass
        """
    )
    run("--co").stdout.fnmatch_lines(["*4 tests collected*"])


@pytest.mark.parametrize(
    ("line", "right"),
    [
        ('keep = "sometimes"', "one of never, failed, always"),
        ('kep = "never"', "'keep'"),
        ('image = "debain"', "'tiny', 'debian', or the path of an .ova or .ovf file"),
        ('home = "usr"', "'isolated', 'user', and a folder"),
        ('boot_timeout = "long"', "a number of seconds"),
        ("max = 0", "a whole number above 0"),
        ("max = true", "a whole number above 0"),
        ("memory-budgt = 64", "'memory_budget'"),
        ('memory-budget = "much"', "a whole number above 0"),
        ("timeout = -1", "a number of seconds above 0"),
        ('artifacts = "pyproject.toml"', "the path of a folder"),
        ('report = "nowhere/page.html"', "the path of a file"),
        ("required = 1", "true or false"),
        ('no-fork = "no"', "true or false"),
        ("keep = ", "Invalid value"),
    ],
)
def test_wrong_table(
    run: Runs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str, right: str
) -> None:
    """So does a wrong line of ``[tool.vboxkit]``; the message names the file."""
    monkeypatch.delenv("VBOXKIT_HOME")
    monkeypatch.setenv("VBOXKIT_CACHE_DIR", str(tmp_path))
    path = run.pytester.makepyprojecttoml(f"[tool.vboxkit]\n{line}\n")
    run.pytester.makepyfile("def test_it(vm): pass")
    result = run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {path}*{right}*"])


def test_wrong_variable(run: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong environment does so where a test wants a machine, and nowhere else."""
    monkeypatch.setenv("VBOXKIT_KEEP", "sometimes")
    run.pytester.makepyfile(test_a="def test_it(): pass", test_b="def test_it(vm): pass")
    run("test_a.py").assert_outcomes(passed=1)
    result = run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *keep = 'sometimes'*one of never, failed, always*"])


@pytest.mark.parametrize("wrong", ["marker", "table", "variable"])
def test_wrong_with_workers(run: Runs, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    """Under xdist it is the same error, said once; no test runs, and nothing crashes."""
    pytest.importorskip("xdist")
    if wrong == "table":
        run.pytester.makepyprojecttoml('[tool.vboxkit]\nkeep = "sometimes"\n')
    elif wrong == "variable":
        monkeypatch.setenv("VBOXKIT_KEEP", "sometimes")
    mark = "@pytest.mark.vm(cpus=0)" if wrong == "marker" else ""
    run.pytester.makepyfile(
        f"""
        import pathlib, pytest

        {mark}
        def test_it(vm): pass

        def test_other(): pathlib.Path("ran").touch()
        """
    )
    for dist in ("load", "loadscope", "each"):
        result = run("-n2", f"--dist={dist}")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        lines = [line for line in result.errlines if line.startswith("ERROR")]
        assert len(lines) == 1
        assert ("cpus=0" if wrong == "marker" else "'sometimes'") in lines[0]
        assert "INTERNALERROR" not in result.stdout.str()
    assert not (run.pytester.path / "ran").exists()
