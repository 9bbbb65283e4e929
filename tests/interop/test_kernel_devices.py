# SPDX-License-Identifier: MIT
"""Weir and the kernel's TCP/IP, joined by each kind of device: TUN and TAP, with the kernel's offload, with super-segments in
software, and with one segment a frame."""

import re
import socket
import time

import pytest

import kernel
from kernel import MB, Peer, Server, connect, from_source, ping, run, to_sink

kernel.enter_namespace()

DEVICES = {"tun": {}, "tun-plain": {"plain": True}, "tun-offload": {"offload": True},
           "tap": {"tap": True}, "tap-offload": {"tap": True, "offload": True}}


@pytest.fixture(params=DEVICES, scope="module")
def peer(request, tmp_path_factory):
    """One peer a kind of device for all tests that ask for it; its capture is checked at the end."""
    pcap = tmp_path_factory.mktemp(request.param) / "run.pcapng"
    with Peer(pcap=pcap, **DEVICES[request.param]) as p:
        yield p


def both(peer):
    return (peer.v4, peer.v6)


def test_bulk_by_every_device(peer):
    for host in both(peer):
        to_sink(host, 3 * MB)
        from_source(host, 3 * MB)
    with Server(kernel.source) as server:
        for host in (peer.kernel4, peer.kernel6):
            assert peer.do("recv", host, server.port, 3 * MB).startswith("ok")


def test_thousand_connections_opened_and_closed_by_the_kernel(peer):
    """The kernel opens; half of them it closes first, half of them Weir closes first."""
    for i in range(1000):
        with connect(both(peer)[i % 2], 7 if i % 4 < 2 else 8) as s:
            if i % 4 < 2:
                s.sendall(b"%04d" % i)
                assert s.recv(4) == b"%04d" % i
            else:
                assert s.recv(1) == b""


def test_thousand_connections_opened_and_closed_by_weir(peer):
    with Server(kernel.echo) as server:
        assert peer.do("churn", peer.kernel4, server.port, 500) == "ok 500"
        assert peer.do("churn", peer.kernel6, server.port, 500) == "ok 500"


def test_hundred_connections_at_once(peer):
    sockets = [connect(peer.v4, 7) for _ in range(100)]
    for i, s in enumerate(sockets):
        s.sendall(b"%04d" % i * 1000)
    for i, s in enumerate(sockets):
        data = b""
        while len(data) < 4000:
            data += s.recv(4000 - len(data))
        assert data == b"%04d" % i * 1000
        s.close()


def test_refused_by_weir(peer):
    for host in both(peer):
        with pytest.raises(ConnectionRefusedError):
            connect(host, 4)


def test_refused_by_the_kernel(peer):
    for host in (peer.kernel4, peer.kernel6):
        assert peer.do("connect", host, 4) == "error ECONNREFUSED"


def test_reset_by_weir(peer):
    with connect(peer.v4, 13) as s:
        s.sendall(b"x")
        with pytest.raises(ConnectionResetError):
            s.recv(1)


def test_reset_by_the_kernel(peer):
    with Server(kernel.reset) as server:
        assert peer.do("await-reset", peer.kernel4, server.port) == "error ECONNRESET"


def test_data_to_a_closed_socket_is_reset(peer):
    """RFC 9293 3.10.4: data after close() means that it was lost, and is answered by RST."""
    with connect(peer.v4, 8) as s:
        assert s.recv(1) == b""
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            for _ in range(100):
                s.sendall(b"x")
                time.sleep(0.01)


def test_half_closed(peer):
    """Each side's half outlives the other: the sink answers after it has seen the end."""
    to_sink(peer.v4, 100000)
    with Server(kernel.sink) as server:
        assert peer.do("send", peer.kernel6, server.port, 100000).startswith("ok")


def test_datagrams(peer):
    for host, family in ((peer.v4, socket.AF_INET), (peer.v6, socket.AF_INET6)):
        with socket.socket(family, socket.SOCK_DGRAM) as s:
            s.settimeout(5)
            for size in (0, 1, 1400, 1473, 9000, 60000):
                s.sendto(bytes(size), (host, 7))
                assert s.recv(65536) == bytes(size)
    for host in both(peer):  # Weir to itself, over its loopback
        assert peer.do("udp", host, 7, 10) == "ok 10"


def test_super_datagrams_are_cut(peer):
    """UDP_SEGMENT (udp(7)): the kernel may pass one packet that stands for ten."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        s.setsockopt(socket.IPPROTO_UDP, 103, 1000)
        data = bytes(i % 251 for i in range(9500))
        s.sendto(data, (peer.v4, 7))
        for at in range(0, 9500, 1000):
            assert s.recv(65536) == data[at:at + 1000]


def test_datagram_refused(peer):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        s.connect((peer.v4, 4))
        s.send(b"x")
        with pytest.raises(ConnectionRefusedError):
            s.recv(1)
    assert peer.do("udp", peer.kernel4, 4, 10) == "error ECONNREFUSED"
    assert peer.do("udp", peer.kernel6, 4, 10) == "error ECONNREFUSED"


@pytest.mark.parametrize("size", [0, 56, 1472, 20000, 65000])
def test_ping(peer, size):
    for host in both(peer):
        ping(host, size=size)


def test_traceroute(peer):
    """One hop: UDP ends with port unreachable, TCP with SYN-ACK or RST, ICMP with an echo reply."""
    for host in both(peer):
        for how in ([], ["-T", "-p", "7"], ["-T", "-p", "4"], ["-I"]):
            out = run("traceroute", "-n", "-q1", "-w2", "-m3", "-N1", *how, host)
            assert re.search(rf"^ 1  {re.escape(host)} ", out, re.M), out
            assert len(out.splitlines()) == 2, out
