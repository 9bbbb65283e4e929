#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the seed corpus of fuzz_sight: tests/fuzz/corpus/fuzz_sight/*.

A capture of a connection as a file of each kind (pcapng of both byte orders, pcap), as a stream, and programs in
the language of fuzz_sight.c.
"""

import struct

import corpus

FIN, SYN, RST, PSH, ACK = (1 << bit for bit in range(5))
FILE, STREAM, PROGRAM = b"\0", b"\1", b"\2"


def segment(side, seq, ack, flags, data=0, options=b"", link=b""):
    tcp = struct.pack(">HHIIBBHHH", *((80, 1000) if side else (1000, 80)), seq, ack,
                      (20 + len(options)) // 4 << 4, flags, 65535, 0, 0) + options + bytes(data)
    ends = [bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])]
    return link + struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, ends[side],
                              ends[not side]) + tcp


SYN_OPTIONS = bytes([2, 4, 5, 0xb4, 1, 3, 3, 7])
HUGE_SCALE = bytes([2, 4, 5, 0xb4, 1, 3, 3, 200])


def connection(options=SYN_OPTIONS, link=b""):
    """With one segment lost and sent again."""
    return [segment(0, 99, 0, SYN, options=options, link=link),
            segment(1, 499, 100, SYN | ACK, options=options, link=link),
            segment(0, 100, 500, ACK, link=link),
            segment(0, 100, 500, ACK, 100, link=link), segment(0, 300, 500, ACK, 100, link=link),
            segment(1, 500, 200, ACK, link=link), segment(0, 200, 500, ACK, 100, link=link),
            segment(1, 500, 400, FIN | ACK, link=link), segment(0, 400, 501, RST | ACK, link=link)]


def option(order, code, value):
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def block(order, kind, body):
    size = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + size + body + size


def pcapng(order="<", link=101, packets=(), comment=b"sent fast: held cwnd | ESTABLISHED Open cwnd=1000 mss=100"):
    out = block(order, 0x0a0d0d0a, struct.pack(order + "IHHq", 0x1a2b3c4d, 1, 0, -1))
    out += block(order, 1, struct.pack(order + "HHI", link, 0, 0) + option(order, 2, b"eth0") +
                 option(order, 9, b"\x09") + option(order, 0, b""))
    for number, frame in enumerate(packets):
        time = 1700000000000000000 + number * 20000000
        out += block(order, 6, struct.pack(order + "IIIII", 0, time >> 32, time & 0xffffffff, len(frame), len(frame)) +
                     frame + bytes(-len(frame) % 4) + option(order, 1, comment) +
                     option(order, 2, struct.pack(order + "I", 2)) + option(order, 0, b""))
    return out + block(order, 5, struct.pack(order + "III", 0, 0, 0) + option(order, 5, bytes(8)))


def pcap(order="<", link=101, packets=()):
    out = struct.pack(order + "IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, link)
    for number, frame in enumerate(packets):
        out += struct.pack(order + "IIII", 1700000000, number * 20000, len(frame), len(frame)) + frame
    return out


def step(side, flags, hundreds=0, talk=0, pause=50, options=0, scale=7, seq=0, ack=0, comment=0):
    more = (bytes([scale]) if options & 1 else b"") + (b"\1\1" if options & 2 else b"") + \
        (bytes(4) if options & 4 else b"")
    return bytes([side | talk << 1, pause, flags, options | hundreds << 4, seq, ack]) + more + bytes([255, comment])


def opened(talk=0, scale=7):
    return step(0, SYN, talk=talk, options=1, scale=scale) + step(1, SYN | ACK, talk=talk, options=1, scale=scale) + \
        step(0, ACK, talk=talk)


ETHERNET = bytes(12) + b"\x81\0\0\1\x08\0"
COOKED = bytes(14) + b"\x08\0"
COOKED2 = b"\x08\0" + bytes(18)
transfer = b"".join(step(0, ACK, 10, comment=1) + step(1, ACK) for _ in range(8))
seeds = {
    "pcapng": FILE + pcapng(packets=connection()),
    "pcapng-swapped": FILE + pcapng(">", packets=connection()),
    "pcapng-ethernet": FILE + pcapng(link=1, packets=connection(link=ETHERNET)),
    "pcapng-cooked": FILE + pcapng(link=113, packets=connection(link=COOKED)),
    "pcapng-cooked2": FILE + pcapng(link=276, packets=connection(link=COOKED2)),
    "pcap": FILE + pcap(packets=connection()),
    "pcap-swapped": FILE + pcap(">", link=1, packets=connection(link=ETHERNET)),
    "stream": STREAM + pcapng(packets=connection()),
    "huge-scale": FILE + pcapng(packets=connection(HUGE_SCALE)),
    "transfer": PROGRAM + opened() + transfer + step(0, FIN | ACK) + step(1, FIN | ACK) + step(0, ACK),
    "loss": PROGRAM + opened() + step(0, ACK, 10) + step(0, ACK, 10, seq=221) + step(1, ACK, options=4, ack=210) * 3 +
    step(0, ACK, 10, seq=210, comment=2) + step(1, ACK),
    "black-hole": PROGRAM + opened(1) + step(0, ACK, 10, talk=1) + step(0, ACK, 10, talk=1, seq=210, pause=249) * 6 +
    step(1, ACK, talk=1, ack=210),
    "icmp": PROGRAM + step(0, SYN, options=1) + bytes([240, 10, 1, 0, 0, 0, 0]) + bytes([248 | 2, 10, 1, 0, 0, 5, 0]),
    "refused": PROGRAM + step(0, SYN, options=1) + step(1, RST | ACK),
    "queue-full": PROGRAM + opened() + step(0, ACK, 1, comment=6) * 3 + step(1, SYN | ACK, seq=210) * 3,
    "huge-scale-program": PROGRAM + opened(scale=255) + transfer,
}


if __name__ == "__main__":
    corpus.write("fuzz_sight", seeds)
