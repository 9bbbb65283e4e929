# SPDX-License-Identifier: MIT
"""Programs that wish no good. wrong.c: wrong arguments of every kind get the kernel's errors, line by line.
hostile.c: threads and processes that pull the ground from under each other's calls do no harm to others."""
import subprocess

import pytest

import apps

# words of a line -> why it may differ
ALLOWED = {
    "sendto address at NULL": "that is send(): the pair takes bytes before there is a connection, and its own "
                              "error after a reset",
    "setsockopt TCP_CONGESTION over the edge": "a string that ends before the length that is told",
}


def lines_of(text):
    return dict(line.rsplit(": ", 1) for line in text.splitlines())


def test_wrong_arguments_as_on_the_kernel(tmp_path):
    program = apps.compile_c("wrong.c", tmp_path / "wrong")
    native = subprocess.run([program], capture_output=True, text=True, timeout=60, check=True)
    weir = apps.weir("run", "--", program)
    assert (weir.status, weir.err) == (0, ""), weir.err
    on_kernel, on_weir = lines_of(native.stdout), lines_of(weir.out)
    assert len(on_kernel) > 15_000 and on_kernel.keys() == on_weir.keys()
    differ = {words: (value, on_weir[words]) for words, value in on_kernel.items() if on_weir[words] != value}
    unexpected = {words: both for words, both in differ.items()
                  if not any(words.endswith(allowed) for allowed in ALLOWED)}
    assert not unexpected, f"(kernel, weir), {len(unexpected)} of them: {dict(list(unexpected.items())[:40])}"
    assert {allowed for allowed in ALLOWED for words in differ if words.endswith(allowed)} == set(ALLOWED), \
        "an allowed difference is gone: take it off the list"


@pytest.mark.parametrize("seed", range(1, 4))
def test_hostile_threads_and_processes_do_no_harm(seed, tmp_path):
    program = apps.compile_c("hostile.c", tmp_path / "hostile")
    ran = apps.weir("run", "--", program, str(seed), timeout=120)
    assert (ran.status, ran.out, ran.err) == (0, "works\n", ""), ran
