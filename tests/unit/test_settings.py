"""Settings: sources, precedence, and what is wrong with a wrong one."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
from pathlib import Path

import pytest

from vboxkit import settings
from vboxkit.cli.__main__ import main
from vboxkit.errors import SettingsError
from vboxkit.settings import Settings, cache_dir, config_file

SECONDS = [f.name for f in dataclasses.fields(Settings) if f.name.endswith("_timeout")]


@pytest.fixture(autouse=True)
def no_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Variables and files of whoever runs the tests do not count."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
    for name in list(os.environ):
        if name.startswith("VBOXKIT_"):
            monkeypatch.delenv(name)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make a folder with a pyproject.toml that sets something."""
    (tmp_path / "pyproject.toml").write_text(
        '[tool.vboxkit]\nboot-timeout = 11\nimage = "a.ova"\nkeep = "failed"\n'
    )
    return tmp_path


def test_defaults(tmp_path: Path) -> None:
    """Without any source the defaults are those of the class."""
    (tmp_path / "pyproject.toml").write_text("[tool.other]\nx = 1\n")
    assert Settings.load(folder=tmp_path) == Settings()
    assert Settings().start_mode == "auto"
    assert Settings().home.name == "home"


def test_the_nearest_pyproject_counts(project: Path) -> None:
    """It is looked for upwards; dashes and underscores are the same."""
    deep = project / "tests" / "unit"
    deep.mkdir(parents=True)
    loaded = Settings.load(folder=deep)
    # A path is meant from where it is written.
    image = str(project / "a.ova")
    assert (loaded.boot_timeout, loaded.image, loaded.keep) == (11.0, image, "failed")
    (deep / "pyproject.toml").write_text("[tool.vboxkit]\nboot_timeout = 12\n")
    nearer = Settings.load(folder=deep)
    assert (nearer.boot_timeout, nearer.image) == (12.0, "tiny")


def test_the_current_folder_is_where_it_begins(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `folder`, the search starts where the process is."""
    monkeypatch.chdir(project)
    assert Settings.load().boot_timeout == 11


def test_precedence(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments beat the environment, which beats pyproject.toml, which beats the defaults."""
    monkeypatch.setenv("VBOXKIT_BOOT_TIMEOUT", "22")
    monkeypatch.setenv("VBOXKIT_KEEP", "always")
    loaded = Settings.load(folder=project, boot_timeout=33)
    assert (loaded.boot_timeout, loaded.keep, loaded.image) == (
        33.0,
        "always",
        str(project / "a.ova"),
    )
    assert Settings.load(folder=project).boot_timeout == 22.0


def test_the_users_file(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is weaker than the project's; `vboxkit config show` says where each value comes from."""
    mine = config_file()
    mine.parent.mkdir(parents=True)
    mine.write_text('keep = "always"\nssh-timeout = 44\nhome = "vms"\naudit = false\n')
    monkeypatch.setenv("VBOXKIT_LOCK_TIMEOUT", "7")
    loaded = Settings.load(folder=project)
    assert (loaded.keep, loaded.ssh_timeout, loaded.audit) == ("failed", 44.0, False)
    assert loaded.home == mine.parent / "vms"
    monkeypatch.chdir(project)
    assert main(["--home", "here", "config", "show", "--json"]) == 0
    shown = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert list(shown) == [field.name for field in dataclasses.fields(Settings)]
    assert shown["home"] == {
        "name": "home",
        "value": str(project / "here"),
        "source": "the arguments",
    }
    assert shown["keep"]["source"] == f"{project / 'pyproject.toml'} [tool.vboxkit]"
    assert shown["ssh_timeout"]["source"] == str(mine)
    assert shown["lock_timeout"]["source"] == "VBOXKIT_LOCK_TIMEOUT"
    assert shown["command_timeout"] == {
        "name": "command_timeout",
        "value": 300.0,
        "source": "the default",
    }
    assert main(["config", "show"]) == 0
    assert "VBOXKIT_LOCK_TIMEOUT" in capsys.readouterr().out


def test_a_wrong_line_in_the_users_file(capsys: pytest.CaptureFixture[str]) -> None:
    """The command names the file, and what was meant."""
    mine = config_file()
    mine.parent.mkdir(parents=True)
    mine.write_text('kep = "always"\n')
    assert main(["config", "show"]) == 2
    said = capsys.readouterr().err
    assert str(mine) in said
    assert "'keep'" in said


@pytest.mark.parametrize("name", ["VBOXKIT_BOOT_TIMOUT", "VBOXKIT_KEEPS"])
def test_a_variable_that_is_nearly_a_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """It would be taken without a word, and change nothing."""
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsError, match="there is no setting"):
        Settings.load(folder=tmp_path)


def test_an_argument_that_is_none_was_not_given(project: Path) -> None:
    """Options that a command did not get do not hide the other sources."""
    assert Settings.load(folder=project, boot_timeout=None, keep=None).keep == "failed"


@pytest.mark.parametrize("name", SECONDS)
def test_all_timeouts_are_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Each timeout is a number, also from the environment, where all is text."""
    monkeypatch.setenv(f"VBOXKIT_{name.upper()}", "1.5")
    value = getattr(Settings.load(folder=tmp_path), name)
    assert (type(value), value) == (float, 1.5)
    assert getattr(Settings.load(folder=tmp_path, **{name: 3}), name) == 3.0


def test_home_is_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative one is below the current folder, and ~ is the user's home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert Settings.load(folder=tmp_path, home="vms").home == tmp_path / "vms"
    assert Settings.load(folder=tmp_path, home="~/vms").home == Path("/home/somebody/vms")


def test_homes_with_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Isolated is the default; the user's is where VirtualBox looks; from each source."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("VBOX_USER_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    isolated = cache_dir() / "home"
    assert Settings.load().home == Settings.load(home="isolated").home == isolated
    users = settings.user_home() / "vboxkit"
    if sys.platform == "linux":
        assert users == Path(os.environ["XDG_CONFIG_HOME"]) / "VirtualBox" / "vboxkit"
        (tmp_path / ".VirtualBox").mkdir()
        assert settings.user_home() == tmp_path / ".VirtualBox"  # of old
    monkeypatch.setenv("VBOX_USER_HOME", str(tmp_path / "vbox"))
    users = tmp_path / "vbox" / "vboxkit"
    assert Settings.load(home="user").home == users
    monkeypatch.setenv("VBOXKIT_HOME", "user")
    assert Settings.load().home == users
    (tmp_path / "pyproject.toml").write_text('[tool.vboxkit]\nhome = "isolated"\n')
    assert Settings.load().home == users
    monkeypatch.delenv("VBOXKIT_HOME")
    assert Settings.load().home == isolated
    (tmp_path / "pyproject.toml").write_text('[tool.vboxkit]\nhome = "user"\n')
    assert Settings.load().home == users
    assert settings.in_user_home(users)
    assert not settings.in_user_home(isolated)


def test_a_home_that_is_nearly_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip of the pen makes no folder, unless it is there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[tool.vboxkit]\nhome = "usr"\n')
    with pytest.raises(SettingsError, match=r"pyproject.toml.*no such folder") as caught:
        Settings.load()
    assert "'user'? Right are 'isolated', 'user', and a folder" in str(caught.value)
    with pytest.raises(SettingsError, match="'isolated'"):
        Settings.load(home="Isolate")
    (tmp_path / "usr").mkdir()
    assert Settings.load().home == tmp_path / "usr"


@pytest.mark.parametrize(
    ("name", "near"), [("boot_timout", "boot_timeout"), ("hom", "home"), ("images", "image")]
)
def test_an_unknown_name_suggests_the_nearest(tmp_path: Path, name: str, near: str) -> None:
    """A slip of the pen is answered with what was meant, and where it was written."""
    (tmp_path / "pyproject.toml").write_text(f"[tool.vboxkit]\n{name} = 1\n")
    with pytest.raises(SettingsError) as caught:
        Settings.load(folder=tmp_path)
    assert repr(name) in str(caught.value)
    assert caught.value.hint == repr(near)
    assert str(tmp_path / "pyproject.toml") in str(caught.value)


def test_a_name_that_is_near_to_nothing_lists_all(tmp_path: Path) -> None:
    """All names are shown."""
    with pytest.raises(SettingsError, match="the arguments") as caught:
        Settings.load(folder=tmp_path, zzzzz=1)
    for field in dataclasses.fields(Settings):
        assert field.name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("keep", "sometimes", "never"),
        ("start_mode", "sideways", "driverless"),
        ("boot_timeout", "soon", "a number of seconds"),
        ("boot_timeout", "-1", "a number of seconds, 0 or more"),
        ("lock_timeout", "nan", "a number of seconds, 0 or more"),
        ("keep", "Allways", "try: 'always': one of never, failed, always"),
        ("start_mode", "headles", "try: 'headless': one of auto,"),
        ("audit", "flase", "try: 'false': one of true, false"),
    ],
)
def test_a_wrong_value_names_the_right_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    """Source, name, value and what would do, the nearest first."""
    monkeypatch.setenv(f"VBOXKIT_{name.upper()}", value)
    with pytest.raises(SettingsError, match="the environment") as caught:
        Settings.load(folder=tmp_path)
    assert isinstance(caught.value, ValueError)
    assert f"{name} = {value!r}" in str(caught.value)
    assert allowed in str(caught.value)


def test_what_is_no_table_or_no_text(tmp_path: Path) -> None:
    """Each says what is right; a [tool] that is none has nothing of ours."""
    file = tmp_path / "pyproject.toml"
    for content, said in (
        ("[tool]\nvboxkit = 3\n", r"vboxkit = 3 is no table\n  try: \[tool\.vboxkit\]"),
        ("[tool.vboxkit]\nimage = 3\n", r"image = 3: .*\n  try: a text in quotes"),
    ):
        file.write_text(content)
        with pytest.raises(SettingsError, match=said):
            Settings.load(folder=tmp_path)
    file.write_text("tool = 3\n")
    assert Settings.load(folder=tmp_path).image == "tiny"


@pytest.mark.parametrize("content", [b"[tool.vboxkit\n", b"\xff\xfe", b"x = \n"])
def test_a_damaged_pyproject_is_named(tmp_path: Path, content: bytes) -> None:
    """A file that is not TOML is an error with its path."""
    (tmp_path / "pyproject.toml").write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        Settings.load(folder=tmp_path)
    assert str(tmp_path / "pyproject.toml") in str(caught.value)


def test_other_variables_of_ours_are_not_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """VBOXKIT_ANYTHING that is no setting is no error."""
    monkeypatch.setenv("VBOXKIT_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("VBOXKIT_SOMETHING", "x")
    Settings.load(folder=tmp_path)


def test_settings_cannot_be_changed() -> None:
    """They are frozen."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().boot_timeout = 1  # type: ignore[misc]


def test_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """VBOXKIT_CACHE_DIR, made absolute; otherwise the user's."""
    monkeypatch.chdir(tmp_path)
    try:
        cache_dir.cache_clear()
        monkeypatch.setenv("VBOXKIT_CACHE_DIR", "cache")
        assert cache_dir() == tmp_path / "cache"
        cache_dir.cache_clear()
        monkeypatch.delenv("VBOXKIT_CACHE_DIR")
        assert cache_dir().name == "vboxkit"
    finally:
        cache_dir.cache_clear()


def test_the_environment_is_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read can be changed without an effect; set_environment() has one."""
    copy = settings.environment()
    copy["VBOXKIT_UNIT"] = "x"
    assert "VBOXKIT_UNIT" not in settings.environment()
    monkeypatch.setenv("VBOXKIT_UNIT", "old")
    settings.set_environment("VBOXKIT_UNIT", "new")
    assert settings.environment()["VBOXKIT_UNIT"] == "new"


def test_the_page_has_every_setting() -> None:
    """docs/configuration.md has each setting with its default."""
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", page, re.MULTILINE))
    assert list(rows) == [field.name for field in dataclasses.fields(Settings)]
    defaults = Settings()
    for name, shown in rows.items():
        if name != "home":
            value = getattr(defaults, name)
            text = f"{value:g}" if isinstance(value, float) else str(value).lower()
            assert shown.strip("`") == text, name
