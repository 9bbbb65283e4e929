# SPDX-License-Identifier: MIT
"""Skips are seen: a file of which nothing could run ends with 77, which CTest reports as skipped,
and with CI=true any skip is a failure, since there everything must be able to run.

Temporary folders lie in one of this run's own. Pytest's usual one is shared by all runs of a user, and each closes it to other
users when it begins: tests whose programs run as nobody could not be run beside others. It is removed if all went well.

So do control sockets: a host is found by its name, which others' hosts may have, too."""
import os
import shutil
import tempfile

import pytest

SKIPPED = 77


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    if not config.option.basetemp:
        config.option.basetemp = config.own_basetemp = tempfile.mkdtemp(prefix="weir-pytest-")
    os.umask(0o022)  # programs of other users read what tests write
    # Servers lie where plain users do not look for programs.
    os.environ["PATH"] = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
    os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="weir-runtime-")


def pytest_unconfigure():
    shutil.rmtree(os.environ["XDG_RUNTIME_DIR"], ignore_errors=True)


def pytest_sessionfinish(session, exitstatus):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or exitstatus != 0:
        return
    own = getattr(session.config, "own_basetemp", None)
    if own:
        shutil.rmtree(own, ignore_errors=True)
    skipped = len(reporter.stats.get("skipped", []))
    if skipped and os.environ.get("CI") == "true":
        session.exitstatus = 1
    elif skipped and not reporter.stats.get("passed"):
        session.exitstatus = SKIPPED
