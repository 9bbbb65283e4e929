# SPDX-License-Identifier: MIT
"""The semantics differ: the observations of socket calls in observe/ are made on the kernel, under
`weir run` and through the library's calls, and compared line by line. What may differ is listed here, with
the value that each shows and the reason; no more than 14 lines may."""
import os
import subprocess
from pathlib import Path

import apps

REFUSED = "SO_DONTROUTE SO_TIMESTAMP SO_INCOMING_CPU TCP_THIN_LINEAR_TIMEOUTS TCP_SAVE_SYN IP_RECVERR"
REFUSED_RUN = ("SO_DONTROUTE SO_TIMESTAMP SO_TIMESTAMPING SO_INCOMING_CPU SO_ZEROCOPY "
               "TCP_THIN_LINEAR_TIMEOUTS TCP_SAVE_SYN TCP_INQ IP_RECVERR")

# observation: (what `weir run` says, why). The kernel's own reading and writing of a pair of AF_UNIX
# sockets is behind all but the last; no filter can see these calls without making each of them slow.
RUN = {
    "fresh: poll": ("OUT", "the pair of AF_UNIX sockets behind it"),
    "fresh: send": ("1", "the pair of AF_UNIX sockets behind it"),
    "fresh: recv that may block": ("-1 EAGAIN", "the pair of AF_UNIX sockets behind it"),
    "bind: poll of a bound one": ("OUT", "the pair of AF_UNIX sockets behind it"),
    "connect: after refusal": ("OUT", "the pair of AF_UNIX sockets behind it"),
    "refused: read first": ("-1 ECONNRESET", "the pair of AF_UNIX sockets behind it"),
    "refused: write first": ("-1 EPIPE", "the pair of AF_UNIX sockets behind it"),
    "refused-retry: third begins anew": ("IN OUT HUP RDHUP", "the pair of AF_UNIX sockets behind it"),
    "syn-sent: send": ("1", "the pair of AF_UNIX sockets behind it"),
    "accept: listener recv": ("-1 EAGAIN", "the pair of AF_UNIX sockets behind it"),
    "trunc: 4 thrown away": ("-1 EFAULT", "the pair of AF_UNIX sockets behind it"),
    "trunc: SIOCINQ": ("10", "the pair of AF_UNIX sockets behind it"),
    "trunc: which is not written": ("0", "the pair of AF_UNIX sockets behind it"),
    "trunc: first byte": ("49", "the pair of AF_UNIX sockets behind it"),
    "trunc: more than there is": ("-1 EFAULT", "the pair of AF_UNIX sockets behind it"),
    "trunc: nothing is left": ("1", "the pair of AF_UNIX sockets behind it"),
    "trunc: at the end": ("-1 EFAULT", "the pair of AF_UNIX sockets behind it"),
    "low-water: poll with 3": ("IN OUT", "the pair of AF_UNIX sockets behind it"),
    "shut: data after shutdown RD": ("0", "the pair of AF_UNIX sockets behind it"),
    "reset: write first": ("-1 EPIPE", "the pair of AF_UNIX sockets behind it"),
    "timed-out: read first": ("-1 ECONNRESET", "the pair of AF_UNIX sockets behind it"),
    "linger: has waited a second": ("0", "the pair of AF_UNIX sockets behind it"),
    "cork: held": ("2", "the pair of AF_UNIX sockets behind it"),
    "cork: together": ("1", "the pair of AF_UNIX sockets behind it"),
    "poll: fresh": ("OUT", "the pair of AF_UNIX sockets behind it"),
    "edge: fresh": ("OUT", "the pair of AF_UNIX sockets behind it"),
    "edge-refused: fresh": ("OUT", "the pair of AF_UNIX sockets behind it"),
    "urgent: poll at the mark": ("IN PRI OUT", "the pair of AF_UNIX sockets behind it"),

    "option-refused: options that are refused":
        (REFUSED_RUN, "their answers would come by recvmsg() of a TCP socket, or nothing here would obey them"),
}
# The same for the library.
LIBRARY = {
    "option-refused: options that are refused":
        (REFUSED, "nothing here would obey them"),
}
# Observations that the library cannot make: they need descriptors, signals or processes of the kernel.
LEFT_OUT_MOST = 80


def lines_of(text):
    """{"section.number": ("section: what", value)}"""
    found = {}
    for line in text.splitlines():
        number, _, rest = line.partition(" ")
        section, dot, digits = number.rpartition(".")
        if dot and digits.isdigit():
            what, _, value = rest.rpartition(": ")
            found[number] = (f"{section}: {what}", value.strip())
    return found


def compile_native(to):
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu11", "-O1", "-w", "-o", to,
                    *sorted((apps.HERE / "observe").glob("*.c")), "-lpthread"], check=True)
    os.chmod(to, 0o755)
    return to


def on_kernel(tmp_path):
    program = compile_native(tmp_path / "observe")
    ran = apps.run([program])
    assert ran.status == 0, ran
    lines = lines_of(ran.out)
    assert len(lines) > 1400, ran
    return program, lines


def compare(kernel, other, allowed, ran):
    differ = {what: (value, other[n][1]) for n, (what, value) in kernel.items()
              if n in other and other[n] != (what, value)}
    unexpected = {what: both for what, both in differ.items()
                  if what not in allowed or allowed[what][0] != both[1]}
    assert not unexpected, f"(kernel, weir): {unexpected}\n{ran.err[-2000:]}"
    assert differ.keys() == allowed.keys(), \
        f"an allowed difference is gone: {allowed.keys() - differ.keys()}"


def test_the_list_is_short():
    assert len(RUN.keys() | LIBRARY.keys()) <= 30
    assert all(reason for _, reason in [*RUN.values(), *LIBRARY.values()])


def test_run_as_on_the_kernel(tmp_path):
    program, kernel = on_kernel(tmp_path)
    ran = apps.weir("run", "--", program)
    assert ran.status == 0, ran
    other = lines_of(ran.out)
    assert kernel.keys() == other.keys(), ran
    compare(kernel, other, RUN, ran)


def test_library_as_on_the_kernel(tmp_path):
    _, kernel = on_kernel(tmp_path)
    ran = apps.run([Path(os.environ["WEIR_BUILD"], "tests/apps/observe_library")])
    assert ran.status == 0, ran
    other = {n: line for n, line in lines_of(ran.out).items() if line[1] != "left out"}
    assert other.keys() < kernel.keys(), ran
    assert len(kernel) - len(other) <= LEFT_OUT_MOST, sorted(kernel.keys() - other.keys())
    compare(kernel, other, LIBRARY, ran)
