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


SIGNALS = """
import os, signal
signal.signal(signal.SIGUSR1, lambda *_: None)
for _ in range(5000):
    os.kill(os.getpid(), signal.SIGUSR1)
"""
CALLS = """
import socket
s = socket.socket()
for _ in range(5000):
    s.getsockname()
"""


def test_a_signal_on_one_host_does_not_hold_the_calls_of_another_up(tmp_path):
    """Before a signal is sent the calls of all programs of the process are received, also one of which epoll has told in
    the same breath: received a second time it would wait for a next one, and nobody would be served."""
    net = tmp_path / "net"
    for name, script in (("signals", SIGNALS), ("calls", CALLS)):
        (tmp_path / f"{name}.py").write_text(script)
    net.write_text("".join(f"host h{i} 10.0.0.{i + 1} -- python3 {tmp_path}/{name}.py\n"
                           for i, name in enumerate(("signals", "calls", "signals", "calls"))))
    ran = apps.weir("net", net)
    assert (ran.status, ran.err) == (0, ""), ran
