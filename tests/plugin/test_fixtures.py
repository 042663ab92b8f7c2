"""What tests get from the fixtures, and that all of it is gone afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Runs

pytestmark = pytest.mark.vm


def test_a_machine_in_one_line(vm_run: Runs) -> None:
    """The shortest test there is passes, on the built-in guest."""
    vm_run.pytester.makepyfile(
        'def test_x(vm): assert vm.ssh.run("uname -s").stdout.strip() == "Linux"'
    )
    vm_run().assert_outcomes(passed=1)


def test_the_image_is_built_once(vm_run: Runs) -> None:
    """A second run uses the image of the first one."""
    vm_run.pytester.makepyfile("def test_x(vm): assert vm.running")
    vm_run().assert_outcomes(passed=1)
    before = vm_run.look()["images"]
    vm_run().assert_outcomes(passed=1)
    assert vm_run.look()["images"] == before
    assert before


def test_each_test_has_a_machine_of_its_own(vm_run: Runs) -> None:
    """What a test does to its machine, the next one does not see."""
    vm_run.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("number", [1, 2])
        def test_fresh(vm, number):
            assert not vm.ssh.run("test -e /root/mark").ok
            vm.ssh.succeed("touch /root/mark")
        """
    )
    vm_run().assert_outcomes(passed=2)


def test_the_machine_bears_the_name_of_its_test(vm_run: Runs) -> None:
    """Whoever lists machines sees whose they are."""
    vm_run.pytester.makepyfile(
        """
        from vboxkit.lab import leases

        def test_named(vm, vm_lab, request):
            assert vm.name.startswith("test-named-")
            assert leases.find(vm_lab.places.leases, vm.name).test == request.node.nodeid
        """
    )
    vm_run().assert_outcomes(passed=1)


def test_vbox_is_the_virtualbox_of_the_home(vm_run: Runs) -> None:
    """`vbox` is the real one, apart from the user's machines."""
    vm_run.pytester.makepyfile(
        f"""
        def test_vbox(vbox):
            assert vbox.version >= (7, 0)
            assert str(vbox.home) == {str(vm_run.home)!r}
        """
    )
    vm_run().assert_outcomes(passed=1)


def test_the_factory_makes_several_machines(vm_run: Runs) -> None:
    """Two machines of one test are two: names, ports and guests of their own."""
    vm_run.pytester.makepyfile(
        """
        import secrets

        def test_two(vm_factory):
            name = f"mine-{secrets.token_hex(3)}"
            one, two = vm_factory(), vm_factory(name=name)
            assert two.name == name
            assert one != two
            assert one.ssh_port != two.ssh_port
            for vm in (one, two):
                vm.ssh.write_text("/tmp/who", vm.name)
            for vm in (one, two):
                assert vm.ssh.succeed("cat /tmp/who") == vm.name
        """
    )
    vm_run().assert_outcomes(passed=1)


def test_a_machine_may_be_destroyed_by_the_test(vm_run: Runs) -> None:
    """Whoever tidies up alone is not punished, also where machines are kept."""
    vm_run.pytester.makepyfile(
        """
        def test_early(vm_factory):
            with vm_factory() as vm:
                assert vm.running
        """
    )
    result = vm_run("--vm-keep=always")
    result.assert_outcomes(passed=1)
    assert "kept" not in result.stdout.str()


def test_vm_image_can_be_overridden(vm_run: Runs) -> None:
    """A conftest chooses another image for all tests below it, and may return just its name."""
    vm_run.pytester.makeconftest(
        """
        import dataclasses, pytest
        from vboxkit.lab.images import source_of

        @pytest.fixture(scope="session")
        def vm_image(vm_lab):
            return vm_lab.image(dataclasses.replace(source_of("tiny"), name="mine"))
        """
    )
    vm_run.pytester.makepyfile("def test_x(vm): assert vm.image.name in {'mine', 'tiny'}")
    vm_run().assert_outcomes(passed=1)
    vm_run.pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(scope="session")
        def vm_image():
            return "tiny"
        """
    )
    vm_run().assert_outcomes(passed=1)


def test_an_image_that_was_built_by_its_name(vm_run: Runs) -> None:
    """``--vm-image`` and the marker take the name of an image with steps, as it was built last."""
    look = "import pytest\ndef test_look(vm): assert vm.ssh.succeed('cat /web') == '{}\\n'"
    for text in ("one", "two"):
        make = (
            f"def test_make(vm_lab): vm_lab.image('tiny', steps=['echo {text} > /web'], name='web')"
        )
        vm_run(str(vm_run.pytester.makepyfile(test_make=make))).assert_outcomes(passed=1)
        mine = str(vm_run.pytester.makepyfile(test_look=look.format(text)))
        vm_run("--vm-image=web", mine).assert_outcomes(passed=1)
    marked = look.replace("def", "@pytest.mark.vm(image='web')\ndef").format("two")
    vm_run(str(vm_run.pytester.makepyfile(test_marked=marked))).assert_outcomes(passed=1)
    wrong = vm_run("--vm-image=wed")
    assert wrong.ret == pytest.ExitCode.USAGE_ERROR
    wrong.stderr.fnmatch_lines(
        ["ERROR: --vm-image=wed: there is no image 'wed'; *; built were *'web'"]
    )
    remove = """
        def test_remove(vm_lab):
            while "web" in [image.name for image in vm_lab.images()]:
                vm_lab.remove_image(vm_lab.image("web"))
    """
    vm_run(str(vm_run.pytester.makepyfile(test_remove=remove))).assert_outcomes(passed=1)
    vm_run("--vm-image=web").stderr.fnmatch_lines(["ERROR: *there is no image 'web'*"])


def test_the_marker_chooses_the_image(vm_run: Runs) -> None:
    """``@pytest.mark.vm(image=...)`` wins over `vm_image`, which is not even built then."""
    vm_run.pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(scope="session")
        def vm_image():
            raise RuntimeError("not wanted")
        """
    )
    vm_run.pytester.makepyfile(
        """
        import pytest
        from vboxkit.lab.images import source_of

        pytestmark = pytest.mark.vm

        @pytest.mark.vm(image="tiny")
        def test_name(vm):
            assert vm.image.name == "tiny"

        @pytest.mark.vm(image=source_of("tiny"))
        def test_source(vm_factory):
            assert vm_factory().image.name == "tiny"
        """
    )
    vm_run().assert_outcomes(passed=2)


def test_settings_can_be_overridden(vm_run: Runs) -> None:
    """A conftest sets what has no option."""
    vm_run.pytester.makeconftest(
        """
        import dataclasses, pytest

        @pytest.fixture(scope="session")
        def vm_settings(vm_settings):
            return dataclasses.replace(vm_settings, command_timeout=1.5)
        """
    )
    vm_run.pytester.makepyfile(
        """
        import pytest
        from vboxkit.errors import CommandTimeoutError

        def test_slow(vm):
            with pytest.raises(CommandTimeoutError):
                vm.ssh.run("sleep 60")
        """
    )
    vm_run().assert_outcomes(passed=1)


def test_warnings_as_errors(vm_run: Runs) -> None:
    """
    ``-W error`` does not fail for what the test's author cannot mend.

    That machines are emulated is said once, in the summary.
    """
    vm_run.pytester.makepyfile(
        """
        def test_start_again(vm):
            vm.power_off()
            vm.start()

        def test_next(request):
            request.getfixturevalue("vm").ssh.succeed("true")
        """
    )
    result = vm_run("-W", "error", "-p", "no:asyncio")
    result.assert_outcomes(passed=2)
    assert result.stdout.str().count("machines are emulated") <= 1
    assert "EmulatedWarning" not in result.stdout.str()
