# SPDX-License-Identifier: MIT
"""The static probes (USDT) of the command: one at least for each decision of WEIR_TRACE_LIST."""
import os
import re
import subprocess
from pathlib import Path

import pytest

import apps

TRACE_H = Path(os.environ["WEIR_SOURCE"]) / "include/weir/trace.h"


def had_header():
    """What the build found out: True, False."""
    cache = Path(os.environ["WEIR_BUILD"]) / "CMakeCache.txt"
    found = re.search(r"^WEIR_SDT_INCLUDE:PATH=(.*)$", cache.read_text(), re.MULTILINE)
    assert found, f"{cache} does not say whether sys/sdt.h was there"
    return not found[1].endswith("-NOTFOUND")


def test_each_decision_is_a_probe():
    if not had_header():
        pytest.skip("built without sys/sdt.h (systemtap-sdt-dev): there are no probes")
    points = re.findall(r"^    X\((\w+),\s*(\w+),\s*(\w+),", TRACE_H.read_text(), re.MULTILINE)
    assert len(points) > 50
    notes = subprocess.run(["readelf", "--notes", "--wide", apps.WEIR], text=True, timeout=apps.HANG, capture_output=True,
                           check=True).stdout
    probes = dict(re.findall(r"Provider: weir\n +Name: (\w+)\n +Location: .*\n +Arguments: (.*)\n", notes))
    assert sorted(probes) == sorted(f"{kind}__{why}" for _, kind, why in points)
    # The record's address, and seq, len, cwnd and pipe: sizes in bytes as systemtap writes them.
    assert {re.sub(r"@\S+", "", args) for args in probes.values()} == {"8 4 4 4 4"}
