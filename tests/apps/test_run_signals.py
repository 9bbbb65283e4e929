# SPDX-License-Identifier: MIT
"""Signals under `weir run`: a handler without SA_RESTART fails no call that Linux does not fail. The signal comes while
the call waits for a supervisor that stands still, or the call is made while the signal waits for it."""
import subprocess

import pytest

import apps


@pytest.mark.parametrize("prefix", [
    (), pytest.param(apps.NOBODY, marks=pytest.mark.skipif(not apps.is_root(), reason="needs root"))],
    ids=["as_we_are", "as_nobody"])
def test_signals_fail_no_call_that_does_not_wait(prefix, tmp_path):
    apps.open_folder(tmp_path)
    program = apps.compile_c("signals.c", tmp_path / "signals")
    native = subprocess.run([*prefix, program], capture_output=True, text=True, timeout=apps.HANG, check=True)
    ran = apps.weir("run", "--", program, "supervised", prefix=prefix)
    assert (ran.status, ran.err) == (0, ""), ran
    assert len(native.stdout.splitlines()) == 10
    assert ran.out == native.stdout
