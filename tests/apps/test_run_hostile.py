# SPDX-License-Identifier: MIT
"""Programs that wish no good. wrong.c: wrong arguments of every kind get the kernel's errors, line by line.
hostile.c: threads and processes that pull the ground from under each other's calls do no harm to others."""
import errno
import platform
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
    native = subprocess.run([program], capture_output=True, text=True, timeout=apps.HANG, check=True)
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
    ran = apps.weir("run", "--", program, str(seed), timeout=apps.HANG)
    assert (ran.status, ran.out, ran.err) == (0, "works\n", ""), ran


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the calls are those beside x86-64's")
def test_calls_of_other_architectures_are_told_that_there_are_no_sockets(tmp_path):
    program = apps.compile_c("foreign.c", tmp_path / "foreign", "-no-pie")
    ran = apps.weir("run", "--", program)
    no = errno.ENOSYS
    assert (ran.status, ran.out) == (0, f"i386 socket {no}\ni386 socketcall {no}\ni386 io_uring_setup {no}\n"
                                        f"x32 socket {no}\nsocket made\n"), ran


def test_a_second_notifying_filter_is_told_that_there_is_one():
    script = """
import ctypes, errno
class Filter(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint)]
class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.POINTER(Filter))]
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS, which all but root need for a filter
code = (Filter * 1)(Filter(6, 0, 0, 0x7fff0000))
print(libc.syscall(317, 1, 8, ctypes.byref(Program(1, code))), errno.errorcode[ctypes.get_errno()])
"""
    ran = apps.weir("run", "--", "python3", "-c", script)
    assert (ran.status, ran.out) == (0, "-1 EBUSY\n"), ran


def test_a_listener_that_is_read_still_accepts():
    """What a program reads from its listener (Linux: ENOTCONN) are the supervisor's tokens."""
    script = """
import os, socket
listener = socket.create_server(("127.0.0.1", 0), backlog=8)
clients = [socket.create_connection(listener.getsockname()) for _ in range(3)]
listener.setblocking(False)
try:
    os.read(listener.fileno(), 2)
except OSError:
    pass
print(len({listener.accept()[1] for _ in clients}))
"""
    ran = apps.weir("run", "--", "python3", "-c", script)
    assert (ran.status, ran.out) == (0, "3\n"), ran


def test_the_dead_are_forgotten_when_they_are_closed_and_not_before():
    """Sockets whose connections are over cost the supervisor a record, until the program closes them."""
    script = """
import errno, socket
listener = socket.create_server(("127.0.0.1", 0), backlog=64)
def ended():
    a = socket.create_connection(listener.getsockname())
    b, _ = listener.accept()
    names = a.getsockname(), a.getpeername()
    a.shutdown(socket.SHUT_WR)
    b.shutdown(socket.SHUT_WR)
    assert a.recv(1) == b.recv(1) == b""
    b.close()
    return a, names
kept = [ended() for _ in range(300)]
for _ in range(5000):
    ended()[0].close()
right = sum(a.getsockname() == names[0] and a.getsockopt(6, 1) == 0 for a, names in kept)
print(right)
"""
    ran = apps.weir("run", "--", "python3", "-c", script, timeout=apps.HANG)
    assert (ran.status, ran.out) == (0, "300\n"), ran
