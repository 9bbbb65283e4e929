# SPDX-License-Identifier: MIT
"""Socket calls answer under `weir run` as they do on the kernel: the same program runs on both, and
its numbered observations are compared. The allowed differences are listed with their reasons."""
import subprocess

import apps

# observation -> why it may differ
ALLOWED = {
    "fresh poll": "the pair of a socket that is not connected shows OUT, TCP shows OUT and HUP",
    "fresh send": "the pair takes bytes before there is a connection",
    "fresh recv": "the pair is a stream without bytes",
}


def lines_of(text):
    found = {}
    for line in text.splitlines():
        number, _, rest = line.partition(" ")
        what, _, value = rest.partition(": ")
        found[number] = (what, value)
    return found


def test_observations_as_on_the_kernel(tmp_path):
    program = apps.compile_c("observe.c", tmp_path / "observe")
    native = subprocess.run([program], capture_output=True, text=True, timeout=60, check=True)
    weir = apps.weir("run", "--", program)
    assert weir.status == 0, weir
    on_kernel, on_weir = lines_of(native.stdout), lines_of(weir.out)
    assert len(on_kernel) > 280
    assert on_kernel.keys() == on_weir.keys(), weir
    differ = {what: (value, on_weir[n][1]) for n, (what, value) in on_kernel.items()
              if on_weir[n] != (what, value)}
    unexpected = {what: both for what, both in differ.items() if what not in ALLOWED}
    assert not unexpected, f"(kernel, weir): {unexpected}"
    assert differ.keys() == ALLOWED.keys(), "an allowed difference is gone: take it off the list"
