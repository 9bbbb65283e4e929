# SPDX-License-Identifier: MIT
"""What a program can see of UDP and ICMP, line by line: run natively and on Weir, the lines must be the same.

    datagrams.py serve ADDR...          echo on port 7000; stops at the datagram "stop"
    datagrams.py watch 4|6 LOCAL PEER   says what it sees
"""
import errno
import select
import socket
import struct
import sys

PORT, CLOSED = 7000, 7001
IP_MTU_DISCOVER, IP_RECVERR, IP_MTU, IP_RECVTTL = 10, 11, 14, 12
IPV6_MTU_DISCOVER, IPV6_MTU, IPV6_RECVERR, IPV6_RECVHOPLIMIT = 23, 24, 25, 51
MSG_ERRQUEUE = 0x2000


def serve(addresses):
    """An echo; "send N" is answered with N bytes, "who" with the sender's address and the TTL it came with."""
    socks, listeners = [], []
    for address in addresses:
        six = ":" in address
        s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP,
                     IPV6_RECVHOPLIMIT if six else IP_RECVTTL, 1)
        if six:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        s.bind((address, PORT))
        socks.append(s)
        # `weir net` waits for a TCP port before it starts what comes after a daemon.
        listeners.append(socket.create_server((address, PORT), family=s.family))
    while True:
        for s in select.select(socks, [], [])[0]:
            data, anc, _, peer = s.recvmsg(65536, 100)
            if data == b"stop":
                return
            if data[:5] == b"send ":
                data = pattern(int(data[5:]))
            elif data == b"who":
                data = f"{peer[0]} {struct.unpack('i', anc[0][2])[0]}".encode()
            s.sendto(data, peer)


def pattern(n):
    return bytes(i * 7 + i // 253 & 0xff for i in range(n))


def tell(what, call):
    try:
        print(what, call())
    except socket.timeout:
        print(what, "nothing")
    except OSError as e:
        print(what, errno.errorcode[e.errno])


def queued_error(s):
    """The error queue's first: errno, origin, type, code, offender."""
    select.select([s], [], [], 2)
    data, anc, flags, _ = s.recvmsg(100, 500, MSG_ERRQUEUE)
    number, origin, kind, code = struct.unpack("IBBB", anc[0][2][:7])
    at = 16 + (4 if s.family == socket.AF_INET else 8)
    offender = socket.inet_ntop(s.family, anc[0][2][at:at + (4 if s.family == socket.AF_INET else 16)])
    return errno.errorcode[number], origin, kind, code, offender, data[:4]


def watch(family, local, peer):
    six = family == "6"
    af = socket.AF_INET6 if six else socket.AF_INET
    level = socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP

    def fresh(port=None):
        s = socket.socket(af, socket.SOCK_DGRAM)
        s.settimeout(5)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        if port:
            s.connect((peer, port))
        return s

    def trip(n):
        s.send(pattern(n))
        return s.recv(70000) == pattern(n)

    def down(n):
        s.send(b"send %d" % n)
        return s.recv(70000) == pattern(n)

    s = fresh(PORT)
    print("own name", s.getsockname()[0] == local, s.getpeername()[:2])
    for n in (0, 1, 1452, 1453, 1472, 1473, 8000, 65507):
        tell(f"there and back {n}", lambda: trip(n))
    tell("too much", lambda: s.send(bytes(65536)))
    tell("from the other side", lambda: down(60000))
    s.send(b"who")
    tell("seen as", lambda: s.recv(100))
    s.setsockopt(level, 16 if six else 2, 3)  # IPV6_UNICAST_HOPS, IP_TTL
    s.send(b"who")
    tell("seen with few hops as", lambda: s.recv(100))

    t = fresh()
    t.bind((local, 0))
    t.sendto(b"unconnected", (peer, PORT))
    tell("unconnected", lambda: (t.recvfrom(100)[0], t.getsockname()[0] == local))
    tell("bind elsewhere", lambda: fresh().bind((peer, 0)))
    tell("bind twice", lambda: fresh().bind(t.getsockname()))

    # One refusal a socket, and no more than six of them: the peer's limit of ICMP errors.
    s = fresh(CLOSED)
    s.send(b"a")
    tell("refused", lambda: s.recv(10))
    s.send(b"b")
    select.select([s], [], [], 2)
    tell("SO_ERROR", lambda: errno.errorcode[s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)])
    s = fresh()
    s.setsockopt(level, IPV6_RECVERR if six else IP_RECVERR, 1)
    s.sendto(b"quoted", (peer, CLOSED))
    tell("error queue", lambda: queued_error(s))

    # The link's MTU is known without a packet lost.
    s = fresh(PORT)
    s.setsockopt(level, IPV6_MTU_DISCOVER if six else IP_MTU_DISCOVER, 2)
    tell("never cut, fits", lambda: trip(1452 if six else 1472))
    tell("never cut, too big", lambda: s.send(bytes(1473)))
    tell("MTU", lambda: s.getsockopt(level, IPV6_MTU if six else IP_MTU))
    tell("no route", lambda: fresh().sendto(b"x", ("2001:db8::1" if six else "192.0.2.1", 9)))
    if not six:
        tell("broadcast", lambda: s.connect(("255.255.255.255", 9)))

    ping(af, peer)
    fresh().sendto(b"stop", (peer, PORT))


def ping(af, peer):
    """By a raw socket where that is allowed."""
    six = af == socket.AF_INET6
    try:
        s = socket.socket(af, socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP)
    except PermissionError:
        print("ping not permitted")
        return
    s.settimeout(5)
    message = struct.pack("!BBHHH", 128 if six else 8, 0, 0, 0x4711, 1) + pattern(4000)
    if not six:
        total = sum(struct.unpack(f"!{len(message) // 2}H", message))
        total = (total & 0xffff) + (total >> 16)
        total = (total & 0xffff) + (total >> 16)
        message = message[:2] + struct.pack("!H", ~total & 0xffff) + message[4:]
    s.sendto(message, (peer, 0))
    while True:
        reply = s.recv(70000)
        reply = reply if six else reply[20:]
        if reply[4:6] == b"\x47\x11" and reply[0] == (129 if six else 0):
            break
    print("ping", reply[8:] == pattern(4000))


if sys.argv[1] == "serve":
    serve(sys.argv[2:])
else:
    watch(*sys.argv[2:])
