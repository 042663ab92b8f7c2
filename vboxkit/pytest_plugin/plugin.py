"""
The plugin's hooks; pytest finds this module by its entry point.

Only pytest and the standard library are loaded here: a run without machines must not notice it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from vboxkit.core import signals
from vboxkit.pytest_plugin import (
    gather,
    limits,
    markers,
    networks,
    options,
    replay,
    report,
    shared,
    table,
    workers,
)
from vboxkit.pytest_plugin.fixtures import (
    vbox,
    vm,
    vm_class,
    vm_factory,
    vm_image,
    vm_image_of_test,
    vm_lab,
    vm_module,
    vm_network,
    vm_pool,
    vm_provision,
    vm_ready,
    vm_self,
    vm_session,
    vm_settings,
    vms,
)

if TYPE_CHECKING:
    from collections.abc import Generator

# Fixtures are found by being names of a plugin's module.
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


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare options and ini values."""
    options.add_options(parser)
    limits.add_options(parser)
    gather.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse wrong options before anything runs; declare the marker."""
    table.load(config)
    options.check_options(config)
    limits.check_options(config)
    gather.check_options(config)
    config.addinivalue_line("markers", markers.LINE)
    config.stash[report.NOTES] = report.Notes()
    config.pluginmanager.register(report.Summary(config), "vboxkit-summary")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let a test whose marker names several images run with each."""
    chosen = markers.images(metafunc.definition)
    if chosen:
        if markers.PARAMETER not in metafunc.fixturenames:
            metafunc.fixturenames.append(markers.PARAMETER)
        # What is no image is refused once all tests are collected.
        names = [str(getattr(image, "name", image)) for image in chosen]
        metafunc.parametrize(markers.PARAMETER, chosen, ids=names)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None]:
    """Refuse wrong arguments and settings; tell xdist which tests belong together."""
    try:
        for item in items:
            markers.check(item)
        options.check_settings(config, items)
    except pytest.UsageError as error:
        workers.refuse(config, items, error)
    workers.group(config, items)
    yield
    workers.name_groups(config, items)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take note of what a worker of xdist refused."""
    workers.note_refusal(node)


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """End the run with what workers of xdist refused."""
    result = yield
    workers.raise_refusal(session.config)
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember whether the test failed; add what its machines look like then."""
    made = yield
    report.complete(item, made)
    networks.complete(item, made)
    if made.failed:
        # Then: a snapshot writes a lot into VBox.log, whose end is part of the report.
        replay.note_failure(item)
    return made


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin anew: a test that is run once more has not failed yet."""
    item.stash[report.FAILED] = False
    signals.defer_alarm()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Put shared machines back before the test, where its marker says so."""
    signals.defer_alarm()
    shared.rewind(item)
