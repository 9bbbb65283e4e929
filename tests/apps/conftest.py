# SPDX-License-Identifier: MIT
"""Fixtures of the tests with real programs; what they give is told in places.py."""
import pytest

import places


def pytest_configure(config):
    config.addinivalue_line("markers", "hosts(impair, pcap, options): how the fixture `hosts` is made")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    if report.when == "call":
        item.failed = report.failed


@pytest.fixture
def folder(tmp_path):
    """A folder that every user can read and write."""
    for up in [tmp_path, *tmp_path.parents]:
        if str(up).startswith("/tmp/"):
            up.chmod(up.stat().st_mode | 0o055)
    tmp_path.chmod(0o777)
    return tmp_path


@pytest.fixture(params=places.ARRANGEMENTS)
def hosts(request, folder):
    yield from places.make_hosts(request, folder)
