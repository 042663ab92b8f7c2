"""The fixtures. Their docstrings are the manual that ``pytest --fixtures`` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vboxkit.pytest_plugin.factory import VMFactory
from vboxkit.pytest_plugin.markers import wanted
from vboxkit.pytest_plugin.networks import VMNetworks
from vboxkit.pytest_plugin.options import settings_arguments
from vboxkit.pytest_plugin.session import open_lab, say_once_that_it_is_emulated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vboxkit.lab.images import Image
    from vboxkit.lab.lab import Lab
    from vboxkit.lab.pool import Pool
    from vboxkit.lab.provisioning import AnyStep
    from vboxkit.lab.vm import VM
    from vboxkit.machines.virtualbox import VirtualBox
    from vboxkit.settings import Settings

__all__ = [
    "vbox",
    "vm",
    "vm_class",
    "vm_factory",
    "vm_image",
    "vm_image_of_test",
    "vm_lab",
    "vm_module",
    "vm_network",
    "vm_pool",
    "vm_provision",
    "vm_ready",
    "vm_self",
    "vm_session",
    "vm_settings",
    "vms",
]


@pytest.fixture(scope="session")
def vm_settings(pytestconfig: pytest.Config) -> Settings:
    """
    Give the settings of all machines of this run: image, home, what is kept, timeouts.

    Collected from, the later the stronger: ``[tool.vboxkit]`` in pyproject.toml, pytest's ini
    values (``vm_keep``, ``vm_image``, ``vm_home``), environment variables (``VBOXKIT_KEEP`` and
    so on), options (``--vm-keep`` and so on). Override it to set more::

        @pytest.fixture(scope="session")
        def vm_settings(vm_settings):
            return dataclasses.replace(vm_settings, boot_timeout=600)
    """
    from vboxkit.settings import Settings

    return Settings.load(folder=pytestconfig.rootpath, **settings_arguments(pytestconfig))


@pytest.fixture(scope="session")
def vm_lab(pytestconfig: pytest.Config, vm_settings: Settings) -> Iterator[Lab]:
    """
    Give the lab: images, forks and their clean-up, in a VirtualBox home apart from your own.

    When the first test asks for it, it removes what runs that were killed left behind, and at the
    end what is left of this run. Without VirtualBox the tests that need it are skipped, and the
    reason says what mends it; with ``--vm-required`` they fail. Example::

        def test_images(vm_lab):
            assert "tiny" in [image.name for image in vm_lab.images()]
    """
    say_once_that_it_is_emulated()
    with open_lab(pytestconfig, vm_settings) as lab:
        yield lab


@pytest.fixture(scope="session")
def vbox(vm_lab: Lab) -> VirtualBox:
    """
    Give VirtualBox itself: its machines and appliances, without starting any.

    Example::

        def test_version(vbox):
            assert vbox.version >= (7, 0)

    It is the VirtualBox of the lab's home: your own machines are not in it.
    """
    say_once_that_it_is_emulated()
    return vm_lab.vbox


@pytest.fixture(scope="session")
def vm_image(vm_lab: Lab, vm_provision: Sequence[AnyStep]) -> Image:
    """
    Give the image that machines are forks of: booted once, and kept for all later runs.

    The first run builds it (some seconds for the built-in guest), whichever process comes first;
    others wait for it. ``--vm-image`` chooses another one. Override it for an appliance of your
    own, for all tests or those of a folder::

        @pytest.fixture(scope="session")
        def vm_image(vm_lab):
            return vm_lab.image("debian.ova", credentials=Credentials(user="root", password="x"))

    or for one with more in it, each step of which is done once, and again when it changes::

        @pytest.fixture(scope="session")
        def vm_image(vm_lab):
            return vm_lab.image("tiny", steps=[Put("site", "/srv/www"), "httpd -h /srv/www"])
    """
    say_once_that_it_is_emulated()
    return vm_lab.image(steps=vm_provision)


@pytest.fixture(scope="session")
def vm_provision() -> Sequence[AnyStep]:
    """
    Give the steps that make `vm_image` of the image that is chosen; none if not overridden.

    Each is done once, when the image is built, and again when it changes. Example::

        @pytest.fixture(scope="session")
        def vm_provision():
            return [Put("site", "/srv/www"), "httpd -h /srv/www"]
    """
    return ()


@pytest.fixture(scope="session")
def vm_ready() -> Callable[[VM], object] | None:
    """
    Give what is called with each new machine before its test gets it; nothing if not overridden.

    Override it for readiness that is more than SSH::

        @pytest.fixture(scope="session")
        def vm_ready():
            return lambda vm: vm.wait_for_port(80)
    """
    return None


@pytest.fixture
def vm_image_of_test() -> None:
    """Hold the image of this run of a test that has several: ``@pytest.mark.vm(image=[...])``."""


def _made(request: pytest.FixtureRequest, lab: Lab) -> VMFactory:
    say_once_that_it_is_emulated()
    factory = VMFactory(request, lab)
    # Also of a fixture that fails itself, as by `vm_ready`: the report comes before it.
    request.addfinalizer(factory.close)
    return factory


@pytest.fixture
def vm_factory(request: pytest.FixtureRequest, vm_lab: Lab) -> VMFactory:
    """
    Make any number of machines: ``vm_factory(image=None, *, name=None)``, ``.many(count)``.

    Each is a fork of its own, running, with SSH ready; all are destroyed after the test, each one
    even if another resists. Without an image it takes that of ``@pytest.mark.vm(image=...)``, or
    else `vm_image`. Example::

        def test_two(vm_factory):
            one, two = vm_factory(), vm_factory()
            one.ssh.succeed("hostname one")
            assert two.ssh.succeed("hostname").strip() != "one"
    """
    return _made(request, vm_lab)


@pytest.fixture
def vm(vm_factory: VMFactory) -> VM:
    """
    Give a virtual machine of this test's own: running, SSH ready, gone afterwards.

    Example::

        def test_kernel(vm):
            assert vm.ssh.run("uname -s").stdout.strip() == "Linux"

    It is a fork of `vm_image`, or of what ``@pytest.mark.vm(image=...)`` names: it resumes a
    running guest instead of booting, so whatever a test does to it, the next one has a fresh one
    about a second later. When the test fails, the report shows its serial console and VBox.log;
    with ``--vm-keep=failed`` it goes on running, and the summary says how to get in.
    """
    return vm_factory()


@pytest.fixture
def vm_self(request: pytest.FixtureRequest, vm: VM) -> VM:
    """
    Give `vm` as ``self.vm``, to the tests of a ``unittest.TestCase``, which take no arguments.

    Example::

        @pytest.mark.usefixtures("vm_self")
        class TestKernel(unittest.TestCase):
            def test_name(self):
                self.assertEqual(self.vm.ssh.succeed("uname -s").strip(), "Linux")
    """
    if request.instance is not None:
        request.instance.vm = vm
    return vm


@pytest.fixture
def vms(request: pytest.FixtureRequest, vm_factory: VMFactory) -> Sequence[VM]:
    """
    Give several machines of this test's own, made at once: ``@pytest.mark.vm(count=3)``.

    Example::

        @pytest.mark.vm(count=3)
        def test_cluster(vms):
            assert len({vm.ssh.succeed("cat /proc/sys/kernel/random/uuid") for vm in vms}) == 3
    """
    return vm_factory.many(wanted(request.node).count)


@pytest.fixture
def vm_network(
    request: pytest.FixtureRequest, vm_lab: Lab, vm_factory: VMFactory
) -> Iterator[VMNetworks]:
    """
    Make machines on a private network: ``vm_network(names, *, seed=None, pcap=False, ...)``.

    They reach each other by name and by address, over a switch of ours that needs no rights, and
    loses, delays, corrupts and cuts on demand. All is gone after the test. A failure's report
    shows the seed of the faults, which is the same in each run; with ``pcap=True`` the frames are
    then in ``--vm-artifacts``. Example::

        def test_partition(vm_network):
            net = vm_network(["web", "db"])
            assert net["web"].ssh.run("ping -c 1 db").ok
            with net.partition({"web"}, {"db"}):
                assert not net["web"].ssh.run("ping -c 1 -W 1 db").ok
            net.drop(30)

    More arguments: ``image=``, ``ips={"db": "10.77.0.50"}``, ``subnet=``, and ``kind="internal"``
    for VirtualBox's own network, which needs its kernel driver and has no faults.
    """
    made = VMNetworks(request, vm_lab, vm_factory)
    yield made
    made.close()


@pytest.fixture(scope="class")
def vm_class(request: pytest.FixtureRequest, vm_lab: Lab) -> VM:
    """
    Give a machine that the tests of a class share; see `vm_module`.

    A function outside of a class has it for itself.
    """
    return _made(request, vm_lab)()


@pytest.fixture(scope="module")
def vm_module(request: pytest.FixtureRequest, vm_lab: Lab) -> VM:
    """
    Give a machine that the tests of a module share.

    With ``@pytest.mark.vm(rewind=True)`` (of a test, or ``pytestmark`` of the module) it is put
    back to the image's state before each test but the first, in less time than a new one takes;
    without, tests see what those before them did. Under xdist, ``--dist loadfile`` or ``loadscope``
    keeps the tests of a module on one worker; other ways make a machine for each worker. Example::

        pytestmark = pytest.mark.vm(rewind=True)

        def test_install(vm_module):
            vm_module.ssh.succeed("touch /etc/installed")

        def test_fresh(vm_module):
            assert not vm_module.ssh.run("test -e /etc/installed").ok
    """
    return _made(request, vm_lab)()


@pytest.fixture(scope="session")
def vm_session(request: pytest.FixtureRequest, vm_lab: Lab) -> VM:
    """Give a machine that all tests of the run share (under xdist, of a worker); as `vm_module`."""
    return _made(request, vm_lab)()


@pytest.fixture(scope="session")
def vm_pool(vm_lab: Lab, vm_image: Image) -> Iterator[Pool]:
    """
    Give forks of `vm_image` that are made before they are wanted, and wait paused.

    ``take()`` gives one in some milliseconds, with SSH connected; it is destroyed by
    ``give_back``. Neither the marker nor `vm_ready` count for it. Two wait at a time; override it
    for more::

        @pytest.fixture(scope="session")
        def vm_pool(vm_lab, vm_image):
            with vm_lab.pool(vm_image, size=4) as pool:
                yield pool

        def test_quick(vm_pool):
            vm = vm_pool.take()
            try:
                assert vm.ssh.run("true").ok
            finally:
                vm_pool.give_back(vm)
    """
    say_once_that_it_is_emulated()
    with vm_lab.pool(vm_image, size=2) as pool:
        yield pool
