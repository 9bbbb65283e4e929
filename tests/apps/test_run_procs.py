# SPDX-License-Identifier: MIT
"""Processes, threads, signals and descriptors under `weir run` as on the kernel: procs.c runs on both, all
its scenarios at once, and what they print is compared."""
import subprocess

import pytest

import apps


def lines_of(text):
    """By scenario, in the order in which each said them."""
    found = {}
    for line in text.splitlines():
        scenario, _, rest = line.partition(" ")
        found.setdefault(scenario, []).append(rest)
    return found


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("procs")
    apps.open_folder(folder)
    parts = [apps.HERE / name for name in ("procs_kit.c", "procs_waits.c", "procs_ends.c")]
    return apps.compile_c("procs.c", folder / "procs", *parts)


@pytest.mark.parametrize("prefix", [
    (), pytest.param(apps.NOBODY, marks=pytest.mark.skipif(not apps.is_root(), reason="needs root"))],
    ids=["as_we_are", "as_nobody"])
def test_scenarios_as_on_the_kernel(program, prefix):
    native = subprocess.run([*prefix, program], capture_output=True, text=True, timeout=apps.HANG, check=True)
    weir = apps.weir("run", "--", program, prefix=prefix)
    assert (weir.status, weir.err) == (0, ""), weir
    on_kernel, on_weir = lines_of(native.stdout), lines_of(weir.out)
    assert sum(map(len, on_kernel.values())) > 170
    assert not [name for name, lines in on_kernel.items() if any("hangs" in line for line in lines)]
    differ = {name: (lines, on_weir.get(name)) for name, lines in on_kernel.items()
              if on_weir.get(name) != lines}
    assert not differ and on_kernel.keys() == on_weir.keys(), f"(kernel, weir): {differ}"
