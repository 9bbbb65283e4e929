# SPDX-License-Identifier: MIT
"""Fixtures of the tests with real programs; what they give is told in places.py."""
import shutil
import tempfile
from pathlib import Path

import pytest

import places


def pytest_configure(config):
    config.addinivalue_line("markers", "hosts(impair, pcap, options): how the fixture `hosts` is made")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    item.failed = report.failed or getattr(item, "failed", False)


@pytest.fixture
def folder(request):
    """A new folder that every user can read and write; kept if the test fails. It does not lie in pytest's own, which
    another pytest that starts at the same time closes to others."""
    path = Path(tempfile.mkdtemp(prefix=f"weir-{request.node.originalname[:40]}-"))
    path.chmod(0o777)
    yield path
    if getattr(request.node, "failed", False):
        print(f"kept: {path}")
    else:
        shutil.rmtree(path)


@pytest.fixture(params=places.ARRANGEMENTS)
def hosts(request, folder):
    yield from places.make_hosts(request, folder)
