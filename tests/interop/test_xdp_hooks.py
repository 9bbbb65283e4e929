# SPDX-License-Identifier: MIT
"""AF_XDP at both hooks of a veth: super-segments and jumbo frames come whole, datagrams apart, and what is broken is
dropped and counted.

    here: the kernel, 10.78.0.1   lkxa ==== lkxb   namespace "weirxh": Weir, 10.78.0.2
"""

import os
import pathlib
import signal
import socket
import struct
import time

import pytest

import kernel
from kernel import MB, Peer, connect, from_source, run, to_sink

kernel.enter_namespace()

NS, NEAR, FAR = "weirxh", "lkxa", "lkxb"
SOL_PACKET, PACKET_VNET_HDR, SOL_UDP, UDP_SEGMENT = 263, 15, 17, 103
NEEDS_CSUM, GSO_TCPV4 = 1, 1
MAC = bytes.fromhex("02000a4e0002")  # as peer.c makes it of 10.78.0.2


@pytest.fixture(scope="module", autouse=True)
def veth():
    run("ip", "netns", "add", NS)
    run("ip", "link", "add", NEAR, "type", "veth", "peer", "name", FAR)
    run("ip", "link", "set", FAR, "netns", NS)
    run("ip", "addr", "add", "10.78.0.1/24", "dev", NEAR)
    run("ip", "addr", "add", "fd78::1/64", "dev", NEAR, "nodad")
    set_mtu(1500)
    run("ip", "link", "set", NEAR, "up")
    run("ip", "-n", NS, "link", "set", FAR, "up")
    yield
    run("ip", "link", "del", NEAR)


def set_mtu(mtu):
    run("ip", "link", "set", NEAR, "mtu", str(mtu))
    run("ip", "-n", NS, "link", "set", FAR, "mtu", str(mtu))


def host(hook, mtu=1500):
    return Peer(link=["--xdp", FAR, "--netns", NS, *([f"--{hook}"] if hook else [])], mtu=mtu)


def stat(peer, name):
    return int(peer.do("stat", name).split()[1])


def settled(read):
    """A number, once it no longer grows: for a while, since nobody tells when the last frame was read."""
    before, since = read(), time.monotonic()
    while time.monotonic() - since < 0.3:
        time.sleep(0.02)
        now = read()
        if now != before:
            before, since = now, time.monotonic()
    return before


# ---- hooks ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("hook, said", [("", "xdpgeneric"), ("generic", "xdpgeneric"), ("native", "xdp ")])
def test_the_hook_is_the_one_asked_for(hook, said):
    """Of a veth the generic one by default; while the program is there, no longer."""
    with host(hook):
        assert said in run("ip", "-n", NS, "link", "show", FAR)
    assert "xdp" not in run("ip", "-n", NS, "link", "show", FAR)


def test_super_segments_come_whole():
    """Both ways, and nothing had to be joined or sent again: few packets of IP, many segments (docs/DESIGN.md)."""
    with host("generic") as p:
        to_sink(p.v4, 8 * MB)
        to_sink(p.v6, 8 * MB)
        assert stat(p, "TcpInSegs") > 16 * MB // 1448
        assert stat(p, "IpInReceives") < 16 * MB // 1448 // 4
        from_source(p.v4, 8 * MB)
        from_source(p.v6, 8 * MB)
        # The last is a FIN that the kernel sent again, to a peer that had no processor for 200 ms.
        assert p.drops().keys() <= {"ip6_not_ours", "ip4_not_ours", "tcp_after_close"}


def test_segments_beyond_64_kb_are_counted_and_come_again_smaller():
    """BIG TCP, which an administrator has to ask for: the stack does not know such packets."""
    run("ip", "link", "set", NEAR, "gso_max_size", "200000")
    try:
        with host("generic") as p:
            to_sink(p.v6, 2 * MB)
            assert int(p.drops()["ip6_bad_ext"]) > 0
    finally:
        run("ip", "link", "set", NEAR, "gso_max_size", "65536")


def test_jumbo_frames():
    """9000 bytes are three chunks. The driver's hook has an MTU that fits into one."""
    set_mtu(9000)
    run("ethtool", "-K", NEAR, "tso", "off", "gso", "off")
    with host("generic", mtu=9000) as p, connect(p.v4, 9) as s:
        assert s.getsockopt(6, 2) == 9000 - 40 - 12  # TCP_MAXSEG
        for at in p.v4, p.v6:
            to_sink(at, 4 * MB)
            from_source(at, 4 * MB)
        assert "tcp_bad_checksum" not in p.drops()
    run("ethtool", "-K", NEAR, "tso", "on", "gso", "on")
    with host("generic", mtu=9000) as p:
        to_sink(p.v4, 4 * MB)
        from_source(p.v4, 4 * MB)
    set_mtu(1500)


@pytest.mark.parametrize("hook", ["generic", "native"])
def test_datagrams_of_one_call_stay_apart(hook):
    """UDP_SEGMENT, as QUIC's servers use it: a veth passes them on as one frame."""
    with host(hook) as p, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(20)
        s.connect((p.v4, 7))
        s.setsockopt(SOL_UDP, UDP_SEGMENT, 700)
        text = b"".join(bytes([i]) * 700 for i in range(20)) + b"end"
        s.send(text)
        got = [s.recv(65536) for _ in range(21)]
        assert sorted(map(len, got)) == [3] + [700] * 20
        assert b"".join(sorted(got, key=lambda d: text.index(d))) == text


# ---- frames by hand -------------------------------------------------------------------------------------------

def fold(data, start=0):
    total = start + sum(struct.unpack(f"!{len(data) // 2}H", data[:len(data) & ~1]))
    total += data[-1] << 8 if len(data) % 2 else 0
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def segment(data, claim=0, doff=5, finish=True, wrong=0):
    """Ethernet, IPv4, TCP to the discard port of a connection that is not there; `claim` more than its length is said."""
    tcp = bytearray(struct.pack("!HHIIBBHHH", 5000, 9, 1, 1, doff << 4, 0x10, 512, 0, 0) + data)
    ip = bytearray(struct.pack("!BBHHHBBH4s4s", 0x45, 0, min(20 + len(tcp) + claim, 65535), 1, 0x4000, 64, 6, 0,
                               bytes([10, 78, 0, 1]), bytes([10, 78, 0, 2])))
    struct.pack_into("!H", ip, 10, fold(ip) ^ 0xffff)
    pseudo = fold(bytes(ip[12:20]) + struct.pack("!HI", 6, len(tcp)))
    struct.pack_into("!H", tcp, 16, pseudo if not finish else (fold(bytes(tcp), pseudo) ^ 0xffff) ^ wrong)
    return MAC + bytes(6) + b"\x08\0" + bytes(ip) + bytes(tcp)


class Wire:
    """Sends frames as they are; `gso`: as super-segments."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 * MB)

    def send(self, frame, gso=0):
        head = struct.pack("=BBHHHH", NEEDS_CSUM, GSO_TCPV4, 54, gso, 34, 16) if gso else bytes(10)
        self.socket.sendto(head + frame, (NEAR, 0x0800))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def test_a_wrong_checksum_is_dropped():
    """In one piece and in several, by the sum alone: the same frames with a right sum are not."""
    set_mtu(9000)
    with host("generic", mtu=9000) as p, Wire() as wire:
        for size in 100, 1400, 5000, 8800:
            for wrong, counted in ((0x0100, 1), (0, 0)):
                before = int(p.drops().get("tcp_bad_checksum", 0))
                wire.send(segment(os.urandom(size), wrong=wrong))
                assert settled(lambda: int(p.drops().get("tcp_bad_checksum", 0))) - before == counted, (size, wrong)
        to_sink(p.v4, MB)
    set_mtu(1500)


def test_hostile_lengths():
    """What the headers say of super-segments need not be so. Each is counted, and the host lives on."""
    with host("generic") as p, Wire() as wire:
        for frame, reason in ((segment(bytes(30000), claim=2000, finish=False), "ip4_bad_total_length"),
                              (segment(bytes(30000), claim=-20000, finish=False), "tcp_bad_checksum"),
                              (segment(bytes(30000), claim=-30010, finish=False), "tcp_short"),
                              (segment(bytes(30000), claim=-29990, doff=15, finish=False), "tcp_bad_offset")):
            before = int(p.drops().get(reason, 0))
            wire.send(frame, 1448)
            assert settled(lambda: int(p.drops().get(reason, 0))) == before + 1, (reason, p.drops())
        to_sink(p.v4, 2 * MB)
        from_source(p.v6, 2 * MB)


def stop(process):
    """Until each of its threads stands still."""
    process.send_signal(signal.SIGSTOP)
    tasks = list(pathlib.Path(f"/proc/{process.pid}/task").iterdir())
    for _ in range(1000):
        if all((task / "stat").read_text().rsplit(") ", 1)[1][0] == "T" for task in tasks):
            return
        time.sleep(0.01)
    pytest.fail("the peer does not stop")


@pytest.mark.parametrize("hook, holds", [("generic", [256, 512, 1024, 2048, 2048]), ("native", [2048] * 3)])
def test_a_full_ring_loses_frames_and_no_chunks(hook, holds):
    """5000 frames while Weir stands still: what its rings hold is read afterwards, and as much the next time, or more, up to
    all chunks."""
    with host(hook) as p, Wire() as wire:
        frame, taken = segment(bytes(1000), wrong=0x0100), []
        for _ in holds:
            before = settled(lambda: int(p.drops().get("tcp_bad_checksum", 0)))
            stop(p.process)
            for _ in range(5000):
                wire.send(frame)
            p.process.send_signal(signal.SIGCONT)
            taken.append(settled(lambda: int(p.drops().get("tcp_bad_checksum", 0))) - before)
        # A busy machine may deliver the last of them after Weir has gone on.
        assert all(least <= n < 5000 for n, least in zip(taken, holds)), taken
        to_sink(p.v4, 2 * MB)
