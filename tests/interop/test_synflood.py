# SPDX-License-Identifier: MIT
"""RFC 4987: a SYN flood on a TUN device, the short form of bench/synflood."""

import json
import os
import pathlib
import subprocess

import kernel

ROOT = pathlib.Path(__file__).resolve().parents[2]

kernel.enter_namespace()


def test_4987_1_4987_2_LNX_SYSCTL_14_flood():
    """Every real connection succeeds, memory is bounded, and the table is clean after it."""
    build = os.environ.get("WEIR_BUILD", "build/dev")
    words = [ROOT / "bench/synflood", "--build", build, "--seconds", "3", "--rate", "50000",
             "net.ipv4.tcp_synack_retries=1"]
    run = subprocess.run(words, text=True, capture_output=True, timeout=300, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    figures = json.loads(run.stdout)
    assert figures["half_open_most"] <= 4097
    assert figures["cookies_taken"] > 0
