# SPDX-License-Identifier: MIT
"""The harness of places.py itself: each arrangement passes bytes, and trouble is told."""
import signal

import pytest

import apps
import places

ECHO = """
import socket, sys
l = socket.create_server((sys.argv[1], 7), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
while True:
    c = l.accept()[0]
    while (d := c.recv(65536)):
        c.sendall(d)
    c.close()
"""
ASK = """
import socket, sys
c = socket.create_connection((sys.argv[1], 7))
c.sendall(sys.stdin.buffer.read()); c.shutdown(socket.SHUT_WR)
while (d := c.recv(65536)):
    sys.stdout.buffer.write(d)
"""
EVERY = (*places.ARRANGEMENTS, "one", "nobody", "kernel")


@places.arrange(*EVERY)
def test_bytes_pass(hosts):
    data = b"there and back " * 1000
    for address in (hosts.server.addr, hosts.server.addr6):
        server = hosts.server.start("python3", "-c", ECHO, address, listens=7)
        ran = hosts.client.run("python3", "-c", ASK, address, stdin=data)
        assert (ran.status, ran.out.encode()) == (0, data), ran
        if address == hosts.server.addr:
            server.stop()
            places.until(lambda: not hosts.server.listens(7), "the first has let its port go")
    assert hosts.server.on_weir == (hosts.arrangement not in ("asks", "kernel"))
    rows = hosts.server.sockets("-a", "sport", "=", ":7")
    assert any(row.startswith("LISTEN") for row in rows), rows


@pytest.mark.hosts(pcap=True, impair="delay=1ms")
def test_the_link_is_captured(hosts):
    hosts.server.start("python3", "-c", ECHO, hosts.server.addr, listens=7)
    hosts.client.run("python3", "-c", ASK, hosts.server.addr, stdin=b"one segment")
    seen = hosts.packets("tcp.len > 0", "ip.src", "tcp.payload")
    payload = b"one segment".hex()
    assert seen == [(hosts.client.addr, payload), (hosts.server.addr, payload)]


@places.arrange("one", "both")
def test_status_signals_pipes_and_users(hosts):
    assert hosts.client.run("sh", "-c", "exit 3").status == 3
    cat = hosts.client.start("cat", stdin="pipe", stdout="pipe")
    cat.stdin.write(b"hello")
    assert cat.stdout.read(5) == b"hello"
    assert cat.stop(signal.SIGINT) == -signal.SIGINT
    with pytest.raises(OSError, match="no-such-program"):
        hosts.client.start("no-such-program")
    with pytest.raises(AssertionError, match="ended instead"):
        hosts.client.start("true", listens=1)
    if apps.is_root():
        assert hosts.client.run("id", "-un", user="nobody").out == "nobody\n"


@places.arrange("both", "kernel")
def test_what_is_left_running_is_told(hosts):
    hosts.server.shell("setsid sleep 1000 & exit 0")
    hosts.patience = 1
    with pytest.raises(AssertionError, match="sleep"):
        hosts.end()
    assert hosts.marked() == []
