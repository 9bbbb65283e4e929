#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the seed corpus of fuzz_host: tests/fuzz/corpus/fuzz_host/*.

Each seed is a small program in the language of fuzz_host.c (one step an operation), which brings the
host into a state that random bytes would hardly find: connections established from both sides,
streams with holes, zero windows, TIME-WAIT, path MTU changes, half-done reassembly, routers on the link.
"""

import struct

import corpus

OPS = ("RAW_ETHER RAW_IP TCP TCP_NEW UDP ICMP_ERROR ICMP NDP ARP FRAGMENT REFLECT TIME SOCK CONFIG "
       "FAIL").split()
OP = {name: bytes([number]) for number, name in enumerate(OPS)}
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))
ETHER = 0x80
EXACT = b"\0"
MSS = bytes([2, 4, 5, 0xb4])
SACK_OK = bytes([4, 2])
TS = bytes([8, 10]) + struct.pack(">II", 1000, 0)
WS = bytes([1, 3, 3, 7])
SYN_OPTS = MSS + SACK_OK + TS + WS

# Flows as the host makes them at the start: 0 goes to 10.0.0.2:7 by Ethernet, 1 to fd01::2 by tun;
# what a peer opens comes behind.


def near(delta=0):
    if delta == 0:
        return EXACT
    if -20 <= delta < 20:
        return bytes([180 + delta])
    if delta % 1460 == 0 and -15 <= delta // 1460 < 15:
        return bytes([215 + delta // 1460])
    return b"\xff" + struct.pack(">I", delta & 0xffffffff)


def seg(flow, flags, data=0, seq=0, ack=0, opts=b"", window=0xffff, urgent=0, how=0, sack=None):
    """sack: blocks of (start, length) in segments behind `ack`; with it the timestamp is right too."""
    if sack is not None:
        out = OP["TCP"] + bytes([flow | how | 0x10, flags]) + near(seq) + near(ack)
        out += bytes([len(sack)]) + b"".join(bytes(block) for block in sack) + bytes([data])
    else:
        out = OP["TCP"] + bytes([flow | how, flags]) + near(seq) + near(ack)
        out += bytes([data, len(opts)]) + opts
    out += struct.pack(">H", window)
    return out + (struct.pack(">H", urgent) if flags & URG else b"")


def new(us, peer, port, seq=7, flags=SYN, opts=SYN_OPTS, window=0xffff, how=0):
    return (OP["TCP_NEW"] + bytes([us | peer << 3 | how, flags, port, seq, 0, len(opts)]) + opts +
            struct.pack(">H", window))


def time(step):
    return OP["TIME"] + bytes([step])


MS, MS40, MS200, S1, S3, S10, S31, S61, S601, H2, D30 = range(2, 13)


def sock(what, which, *args):
    return OP["SOCK"] + bytes([what, which, *args])


def open_tcp(which, v6=False):
    return sock(0x10 if v6 else 0, which)


def open_udp(which, v6=False):
    return sock(0x30 if v6 else 0x20, which)


def bind(which, addr, port):
    return sock(1, which, addr, port)


def listen(which, backlog):
    return sock(2, which, backlog)


def connect(which, addr, port):
    return sock(3, which, addr, port)


def accept(which, into):
    return sock(4, which, into)


def send(which, n, flags=0):
    return sock(5, which, 0, 0, n >> 8, n & 255, flags)


def sendto(which, addr, port, n):
    return sock(6, which, addr, port, n >> 8, n & 255, 0)


def recv(which, n, flags=0):
    return sock(7, which, 0, 0, n >> 8, n & 255, flags)


def consume(which, n):
    return sock(8, which, 0, 0, n >> 8, n & 255, 0)


def shutdown(which, how):
    return sock(9 | how << 4, which)


def close(which):
    return sock(10, which)


def setopt(which, level, option, value):
    return sock(11, which, 0x40 | level, option) + struct.pack(">I", value) + b"\0"


def icmp_error(type_, code, rest, quote, how=0):
    return OP["ICMP_ERROR"] + bytes([how, type_, code]) + struct.pack(">HH", rest, quote)


def icmp(type_, size, us=0, peer=0, how=0):
    return OP["ICMP"] + bytes([us | peer << 3 | how, type_, 0]) + bytes(4) + struct.pack(">H", size)


def frag(us, ident, off8, len8, proto, more, peer=0):
    return OP["FRAGMENT"] + bytes([us | peer << 3 | (0x40 if more else 0), ident, off8, len8, proto])


def ndp(kind, body, peer=2):
    # choose_us(how | 1): how % 5 is the kind, how >> 3 the peer
    how = next(h for h in range(peer << 3, (peer << 3) + 8) if h % 5 == kind)
    return OP["NDP"] + bytes([how, len(body)]) + body


def config(what, how, *args):
    return OP["CONFIG"] + bytes([what, how, *args])


WORLD = b"\x01"  # the peer answers
GSO = b"\x09"

established = seg(0, SYN | ACK, opts=SYN_OPTS, how=ETHER)
opened = new(2, 1, 0) + seg(2, ACK) + accept(0, 8)  # from 10.1.0.2 by tun

seeds = {
    "nothing": WORLD,
    "silent-peer": b"\x00" + time(S3) + time(S61),
    "probing": b"\x06" + time(S3) + OP["ARP"] + bytes([3, 0, 9]) + time(S10),
    "connect-accepted": WORLD + established + send(5, 5000) + seg(0, ACK, how=ETHER) + time(MS200) +
    seg(0, ACK | PSH, data=200, how=ETHER) + recv(5, 100) + recv(5, 1000) + close(5) +
    seg(0, ACK | FIN, how=ETHER) + time(S61),
    "connect-refused": WORLD + seg(0, RST | ACK, how=ETHER) + recv(5, 10),
    "connect-times-out": WORLD + time(S61) + time(S61) + time(S61),
    "simultaneous-open": WORLD + seg(0, SYN, opts=SYN_OPTS, how=ETHER) + seg(0, ACK, how=ETHER) + send(5, 10),
    "server": WORLD + opened + seg(2, ACK | PSH, data=240) + recv(8, 65535) + send(8, 60000) +
    seg(2, ACK) + seg(2, ACK) + shutdown(8, 1) + seg(2, ACK) + seg(2, FIN | ACK) + time(S61),
    "server-gso": GSO + opened + send(8, 60000) + seg(2, ACK) + seg(2, ACK | PSH, data=250, how=0x20) +
    consume(8, 30000) + seg(2, ACK),
    "server6": WORLD + new(3, 1, 0) + seg(2, ACK) + accept(0, 8) + seg(2, ACK, data=250) + recv(8, 65535) +
    close(8) + time(S10),
    "out-of-order": WORLD + established + seg(0, ACK, data=100, seq=1460, how=ETHER) +
    seg(0, ACK, data=100, seq=2920, how=ETHER) + seg(0, ACK, data=100, seq=10, how=ETHER) + seg(0, ACK, data=250, how=ETHER) +
    recv(5, 65535),
    "loss-and-sack": WORLD + established + send(5, 60000) +
    b"".join(seg(0, ACK, ack=-1460 * 9, opts=bytes([1, 1, 5, 10]) + bytes(8), how=ETHER) for _ in range(4)) +
    time(MS200) + time(S1) + time(S3) + seg(0, ACK, how=ETHER),
    "fast-recovery": WORLD + established + send(5, 14480) +
    b"".join(seg(0, ACK, ack=-1448 * 10, sack=[(1, n)], how=ETHER) for n in range(1, 9)) + time(MS40) +
    seg(0, ACK, ack=-1448 * 2, sack=[], how=ETHER) + seg(0, ACK, sack=[], how=ETHER) + send(5, 30000) +
    seg(0, ACK, sack=[], how=ETHER) + time(MS40) + seg(0, ACK, sack=[], how=ETHER),
    "holes-and-dsack": WORLD + established + send(5, 28960) + seg(0, ACK, ack=-1448 * 10, sack=[(1, 1), (3, 1), (5, 2)], how=ETHER) +
    time(MS200) + seg(0, ACK, ack=-1448 * 6, sack=[(250, 1), (2, 1)], how=ETHER) + time(S1) + time(S3) +
    seg(0, ACK, sack=[], how=ETHER) + seg(0, ACK, sack=[(255, 2)], how=ETHER),
    "tail-loss": WORLD + established + send(5, 2896) + time(MS200) + seg(0, ACK, ack=-1448, sack=[], how=ETHER) +
    time(MS200) + time(S1) + seg(0, ACK, sack=[], how=ETHER),
    "zero-window": WORLD + established + seg(0, ACK, window=0, how=ETHER) + send(5, 3000) + time(S1) +
    time(S3) + time(S10) + seg(0, ACK, window=0, how=ETHER) + time(S61) + seg(0, ACK, window=100, how=ETHER),
    "reader-stalls": WORLD + opened + b"".join(seg(2, ACK, data=255) for _ in range(12)) + recv(8, 65535) +
    time(S1) + recv(8, 65535),
    "urgent": WORLD + opened + seg(2, ACK | URG, data=20, urgent=5) + recv(8, 3) + recv(8, 1, 1) + recv(8, 90) +
    send(8, 10, 1) + sock(13, 8),
    "keepalive": WORLD + established + setopt(5, 0, 9, 1) + setopt(5, 1, 4, 10) + time(S10) + time(S61) +
    time(H2),
    "linger-reset": WORLD + opened + seg(2, ACK, data=30) + close(8) + seg(2, ACK, data=30),
    "time-wait": WORLD + established + close(5) + seg(0, ACK, how=ETHER) + seg(0, FIN | ACK, how=ETHER) +
    seg(0, SYN, seq=1000, opts=SYN_OPTS, how=ETHER) + seg(0, RST, how=ETHER) + time(S31) + seg(0, FIN | ACK, seq=-1, how=ETHER),
    "fin-wait-2": WORLD + established + shutdown(5, 1) + seg(0, ACK, how=ETHER) + close(5) + time(S61),
    "closing": WORLD + established + shutdown(5, 1) + seg(0, FIN | ACK, ack=-1, how=ETHER) + seg(0, ACK, how=ETHER),
    "blind-reset": WORLD + established + seg(0, RST, seq=100, how=ETHER) + seg(0, SYN, seq=50, how=ETHER) +
    seg(0, ACK, ack=99999, how=ETHER) + seg(0, ACK, ack=-99999, how=ETHER) + seg(0, RST, how=ETHER),
    "syn-flood": WORLD + b"".join(new(2, peer, 0, seq=n, how=0) for n in range(8) for peer in range(4)) +
    time(S1) + time(S3) + time(S61),
    "accept-queue-full": WORLD + b"".join(new(2, p, 0) + seg(2 + p, ACK) for p in range(4)) + accept(0, 8) +
    accept(0, 9) + time(S1) + close(0),
    "loopback": WORLD + send(3, 60000) + recv(4, 65535) + send(4, 100) + recv(3, 50) + shutdown(3, 1) +
    recv(4, 10) + close(4) + recv(3, 60) + recv(3, 60) + time(S61),
    "loopback-reset": WORLD + send(3, 100) + close(4) + send(3, 100) + recv(3, 10) + sock(12, 3),
    "udp": WORLD + OP["UDP"] + bytes([1, 5]) + b"hello" + OP["UDP"] + bytes([0, 0, 99, 4]) + b"port" +
    recv(1, 100) + recv(2, 100) + sendto(1, 0, 1, 3000) + sendto(2, 1, 1, 9000) + icmp_error(3, 3, 0, 60),
    "udp-loopback": WORLD + open_udp(9) + connect(9, 2, 1) + send(9, 60000) + recv(1, 65535) + send(7, 20),
    "path-mtu": WORLD + established + send(5, 20000) + icmp_error(3, 4, 600, 60, how=ETHER) + seg(0, ACK, how=ETHER) +
    icmp_error(3, 4, 0, 60, how=ETHER) + time(S1) + time(S601) + send(5, 9000),
    "path-mtu-6": WORLD + sendto(2, 1, 1, 8000) + icmp_error(2, 0, 0, 100, how=0x20) + send(6, 10) + time(S1),
    "unreachable": WORLD + icmp_error(3, 1, 0, 60) + send(5, 9) + icmp_error(3, 3, 0, 60) + icmp_error(11, 0, 0, 60) +
    icmp_error(12, 0, 0, 60) + icmp_error(4, 0, 0, 60) + icmp_error(1, 4, 0, 100),
    "ping": WORLD + icmp(8, 56) + icmp(8, 20000, how=ETHER) + icmp(128, 56, us=1) + icmp(128, 20000, us=3, peer=1) +
    icmp(8, 20, us=4) + icmp(13, 12) + icmp(5, 28),
    "fragments": WORLD + frag(2, 1, 0, 10, 0, True) + frag(2, 1, 10, 10, 0, True) + frag(2, 1, 10, 10, 0, True) +
    frag(2, 1, 20, 3, 0, False) + frag(2, 2, 0, 10, 2, True) + frag(2, 2, 5, 10, 2, True) + frag(3, 1, 0, 10, 0, True) +
    frag(3, 1, 10, 4, 0, False) + frag(3, 2, 0, 2, 4, True) + time(S31) + time(S61),
    "router": b"\x03" + ndp(1, bytes([64, 0, 0x07, 8]) + bytes(8) +
                            bytes([3, 4, 64, 0xc0]) + struct.pack(">III", 3600, 1800, 0) +
                            bytes.fromhex("20010db8000100000000000000000000") +
                            bytes([5, 1, 0, 0]) + struct.pack(">I", 1400)) + time(S10) + time(H2),
    "neighbours": WORLD + ndp(2, bytes(4) + bytes.fromhex("fd000000000000000000000000000001") +
                              bytes([1, 1, 2, 0, 0, 0, 0, 9])) +
    ndp(3, bytes([0x60, 0, 0, 0]) + bytes.fromhex("fd000000000000000000000000000002") +
        bytes([2, 1, 2, 0, 0, 0, 0, 9])) + sendto(2, 1, 1, 10) + time(S31) + sendto(2, 1, 1, 10) + time(S10) +
    OP["ARP"] + bytes([1, 0]) + OP["ARP"] + bytes([0x0a, 1, 7]),
    "interface-goes": WORLD + established + send(5, 5000) + config(0, 1) + time(S3) + config(0, 9) + time(S3) +
    config(1, 1, 0, 2, 0) + send(5, 2000) + config(3, 3, 0) + time(S10) + config(2, 3, 0) + config(4, 0, 8) +
    config(5, 0, 8),
    "no-memory": WORLD + OP["FAIL"] + bytes([1, 3]) + opened + OP["FAIL"] + bytes([2, 3]) + send(3, 40000) +
    OP["FAIL"] + bytes([0, 3]) + open_tcp(9) + connect(9, 4, 0) + frag(2, 1, 0, 10, 0, True) + time(S1),
    "sockets": WORLD + open_tcp(9, v6=True) + bind(9, 6, 2) + listen(9, 2) + new(3, 1, 1) + seg(2, ACK) +
    accept(9, 10) + setopt(10, 1, 1, 1) + setopt(10, 1, 3, 1) + setopt(10, 0, 8, 5000) + sock(11, 10, 1, 11, 0, 0, 0, 0, 255) +
    sock(14, 0) + sock(15, 0, 0, 0, 0, 1, 0, 0, 0, 2) + close(9) + sock(13, 10) + open_udp(11) + bind(11, 5, 4) + listen(11, 1),
    "reflected": WORLD + send(7, 20) + OP["REFLECT"] + b"\0" + established + OP["REFLECT"] + bytes([1, 0, 33, 0x12]) +
    send(5, 10) + OP["REFLECT"] + bytes([0x80]),
    "raw": WORLD + OP["RAW_IP"] + bytes([20]) + bytes.fromhex("4500001400000000400066e50a0100020a010001")[:20] +
    OP["RAW_ETHER"] + bytes([18]) + bytes.fromhex("02000000000102000000000286dd60000000"),
}


if __name__ == "__main__":
    corpus.write("fuzz_host", seeds)
