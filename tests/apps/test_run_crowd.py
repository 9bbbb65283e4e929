# SPDX-License-Identifier: MIT
"""Ten thousand connections at once through one program: crowd.c, with both ends on Weir, and with the
kernel's TCP on the other side of a TUN device."""
import os
import resource
import subprocess
import sys

import pytest

import apps

NS = f"weir-crowd-{os.getpid()}"
ALL = 10_000
TUN = ("--netns", NS, "--tun", "wcrowd0,10.78.0.2/24,kernel=10.78.0.1/24")


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    return apps.compile_c("crowd.c", tmp_path_factory.mktemp("crowd") / "crowd")


@pytest.fixture
def netns():
    subprocess.run(["ip", "netns", "add", NS], check=True)
    yield NS
    subprocess.run(["ip", "netns", "del", NS], check=True)


def limits():
    """The supervisor has a descriptor for each of its program's sockets, and may not raise its own limit."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def counted(n):
    return [f"established {n}", f"answered {n}", f"ended by the server {n // 2}"]


def test_both_ends_on_weir(crowd):
    n = min(ALL, (limits() - 1000) // 2)
    assert n > 1000
    ran = apps.weir("run", "--", crowd, n, timeout=apps.HANG)
    print(ran.err, file=sys.stderr)
    assert ran.status == 0, ran
    *lines, last = ran.out.splitlines()
    assert lines == counted(n) + ["server 0"], ran
    what, _, left = last.rpartition(" ")
    assert what == "descriptors left in the supervisor" and int(left) <= 4, ran  # pidfds of threads


@pytest.mark.skipif(not apps.is_root() or not os.path.exists("/dev/net/tun"),
                    reason="needs root and /dev/net/tun")
def test_a_server_on_weir_and_a_client_on_the_kernel(crowd, netns):
    assert limits() > ALL + 1000
    server = subprocess.Popen([apps.WEIR, "run", *TUN, "--", crowd, str(ALL), "server", "10.78.0.2", "80"],
                              stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout.readline() == "listens\n"
        client = subprocess.run(["ip", "netns", "exec", NS, crowd, str(ALL), "client", "10.78.0.2", "80"],
                                capture_output=True, text=True, timeout=apps.HANG)
        print(client.stderr, file=sys.stderr)
        assert client.stdout.splitlines() == counted(ALL), client
        assert server.wait(timeout=apps.HANG) == 0
    finally:
        server.kill()
        server.wait()


def test_the_supervisors_limit_is_not_the_programs(crowd):
    """Where the supervisor has no descriptor left the program reads ENFILE, and what it has goes on working;
    a connection that cannot be accepted for that reason waits in the queue."""
    script = """
import errno, socket
l = socket.create_server(("127.0.0.1", 0), backlog=1000)
a = socket.create_connection(l.getsockname())
b, _ = l.accept()
clients = []
while True:
    try:
        clients.append(socket.create_connection(l.getsockname()))
    except OSError as e:
        print(errno.errorcode[e.errno], len(clients) > 100)
        break
a.sendall(b"goes on")
print(b.recv(10).decode(), b.getsockname() == l.getsockname())
clients[0].sendall(b"waited")
try:
    l.accept()
except OSError as e:
    print(errno.errorcode[e.errno])
del clients[-20:]
print(l.accept()[0].recv(10).decode())
"""
    low = ["prlimit", "--nofile=1024:1024"]
    ran = apps.weir("run", "--", "prlimit", "--nofile=1024:1024", "python3", "-c", script, prefix=low)
    assert (ran.status, ran.out) == (0, "ENFILE True\ngoes on True\nENFILE\nwaited\n"), ran
