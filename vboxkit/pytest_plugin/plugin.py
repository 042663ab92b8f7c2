"""
The plugin's hooks; pytest finds this module by its entry point.

Only pytest and the standard library are loaded here: a run without machines must not notice it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vboxkit.pytest_plugin import markers, options, report
from vboxkit.pytest_plugin.fixtures import vbox, vm, vm_factory, vm_image, vm_lab, vm_settings

if TYPE_CHECKING:
    from collections.abc import Generator

# Fixtures are found by being names of a plugin's module.
__all__ = ["vbox", "vm", "vm_factory", "vm_image", "vm_lab", "vm_settings"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare options and ini values."""
    options.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse wrong options before anything runs; declare the marker."""
    options.check_options(config)
    config.addinivalue_line("markers", markers.LINE)
    config.stash[report.NOTES] = report.Notes()
    config.pluginmanager.register(report.Summary(config), "vboxkit-summary")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse wrong arguments of the marker before anything runs."""
    for item in items:
        markers.check(item)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember whether the test failed; add what its machines look like then."""
    made = yield
    report.complete(item, made)
    return made
