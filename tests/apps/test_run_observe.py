# SPDX-License-Identifier: MIT
"""The semantics differ: the observations of socket calls in observe/ are made on the kernel, under
`weir run` and through the library's calls, and compared line by line. What may differ is listed here, with
the value that each shows and the reason; no more than 14 lines may."""
import os
import subprocess
from pathlib import Path

import pytest

import apps

REFUSED = "SO_DONTROUTE SO_TIMESTAMP SO_INCOMING_CPU TCP_THIN_LINEAR_TIMEOUTS TCP_SAVE_SYN IP_RECVERR"
REFUSED_RUN = ("SO_DONTROUTE SO_TIMESTAMP SO_TIMESTAMPING SO_INCOMING_CPU SO_ZEROCOPY "
               "TCP_THIN_LINEAR_TIMEOUTS TCP_SAVE_SYN TCP_INQ IP_RECVERR")

# observation: (what `weir run` says, why). Behind all but the last is that reading, writing, polling and closing
# are the kernel's own, on a pair of AF_UNIX sockets: a filter sees the number of a descriptor but not whose it
# is, so that notifying such calls would cost every file of the program some 5 us a call.
RUN = {
    "fresh: send":
        ("-1 ENOTCONN", "a socket that is not connected is an AF_UNIX one, whose send() says ENOTCONN; a filter cannot know whose descriptor it is"),
    "fresh: recv that may block":
        ("-1 EINVAL", "the same of recv(): EINVAL"),
    "refused: read first":
        ("-1 ECONNRESET", "the only error that a pair can have is ECONNRESET; SO_ERROR tells the right one"),
    "refused: write first":
        ("-1 EPIPE", "a pair whose other end is gone says EPIPE at once"),
    "refused-retry: third begins anew":
        ("IN OUT HUP RDHUP", "a pair whose other end is gone cannot be connected again"),
    "syn-sent: send":
        ("1", "the pair of a connect under way takes bytes, and Weir sends them when there is a connection"),
    "accept: listener recv":
        ("-1 EAGAIN", "a listener's pair is connected, and has nothing to read"),
    "low-water: poll with 3":
        ("IN OUT", "poll() of a pair knows no SO_RCVLOWAT; recv() does. To withhold bytes would let a recv() of fewer wait for ever"),
    "shut: data after shutdown RD":
        ("0", "what is shut in a pair takes no more bytes"),
    "reset: write first":
        ("-1 EPIPE", "as refused: write first"),
    "timed-out: read first":
        ("-1 ECONNRESET", "as refused: read first"),
    "linger: has waited a second":
        ("0", "close() is not notified: each close of any file would cost 5 us. What was written goes out all the same"),
    "urgent: poll at the mark":
        ("IN PRI OUT", "an urgent byte in a pair is there to be read"),
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


# A network namespace of its own, so that no other program's ports are in the way.
ALONE = ["unshare", "-n" if apps.is_root() else "-rn", "sh", "-c", "ip link set lo up && exec \"$0\""]


@pytest.fixture(scope="module", name="kernel")
def on_kernel(tmp_path_factory):
    program = compile_native(tmp_path_factory.mktemp("observe") / "observe")
    ran = apps.run([*ALONE, program])
    assert ran.status == 0, ran
    lines = lines_of(ran.out)
    assert len(lines) > 1400, ran
    return program, lines


def differing(kernel, other, allowed):
    """(what differs, what of that is not as the list has it), each {what: (kernel, weir)}"""
    differ = {what: (value, other[n][1]) for n, (what, value) in kernel.items()
              if n in other and other[n] != (what, value)}
    return differ, {what: both for what, both in differ.items()
                    if what not in allowed or allowed[what][0] != both[1]}


def compare(kernel, other, allowed, again):
    """again(sections) makes the observations of these sections once more: on a loaded machine one that waits
    a fixed time may be too early once, but not twice."""
    differ, unexpected = differing(kernel, other, allowed)
    if unexpected:
        print("asked again:", unexpected)
        other = other | again(sorted({what.partition(":")[0] for what in unexpected}))
        differ, unexpected = differing(kernel, other, allowed)
    assert not unexpected, f"(kernel, weir): {unexpected}"
    assert differ.keys() == allowed.keys(), \
        f"an allowed difference is gone: {allowed.keys() - differ.keys()}"


def test_the_list_is_short():
    assert len(RUN.keys() | LIBRARY.keys()) < 15
    assert all(reason for _, reason in [*RUN.values(), *LIBRARY.values()])


def test_run_as_on_the_kernel(kernel):
    program, kernel = kernel

    def observe(sections=()):
        ran = apps.weir("run", "--", program, *sections)
        assert ran.status == 0, ran
        return lines_of(ran.out)

    other = observe()
    assert kernel.keys() == other.keys(), kernel.keys() ^ other.keys()
    compare(kernel, other, RUN, observe)


def test_library_as_on_the_kernel(kernel):
    _, kernel = kernel

    def observe(sections=()):
        ran = apps.run([Path(os.environ["WEIR_BUILD"], "tests/apps/observe_library"), *sections])
        assert ran.status == 0, ran
        return {n: line for n, line in lines_of(ran.out).items() if line[1] != "left out"}

    other = observe()
    assert other.keys() < kernel.keys(), other.keys() - kernel.keys()
    assert len(kernel) - len(other) <= LEFT_OUT_MOST, sorted(kernel.keys() - other.keys())
    compare(kernel, other, LIBRARY, observe)
