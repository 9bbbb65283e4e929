# SPDX-License-Identifier: MIT
"""Python's asyncio: streams over TCP, datagrams over UDP.

    streams.py server PORT          two processes, each with its own sockets on the port (SO_REUSEPORT)
    streams.py client HOST PORT     does the work below and prints a line for each part
"""
import asyncio
import errno
import hashlib
import os
import signal
import socket
import struct
import sys


def pattern(n, salt=0):
    return (bytes(range(salt, 251)) * (n // (251 - salt) + 1))[:n]


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        self.transport.sendto(b"%d " % os.getpid() + data, peer)


async def answer(reader, writer):
    """A request is a word, a number and a line's end."""
    try:
        while line := await reader.readline():
            what, number = line.split()
            number = int(number)
            if what == b"hash":
                digest = hashlib.sha256()
                while number:
                    piece = await reader.read(min(number, 1 << 16))
                    digest.update(piece)
                    number -= len(piece)
                writer.write(digest.hexdigest().encode() + b"\n")
            elif what == b"bytes":
                for offset in range(0, number, 50_000):
                    writer.write(pattern(number)[offset:offset + 50_000])
                    await writer.drain()
            elif what == b"pid":
                writer.write(b"%d\n" % os.getpid())
            elif what == b"all":  # what comes until the client's half-close, back
                writer.write(await reader.read())
                writer.write_eof()
            elif what == b"reset":
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
                return
            await writer.drain()
        writer.close()
        await writer.wait_closed()
    except ConnectionError:
        pass


async def serve(port):
    server = await asyncio.start_server(answer, None, port, reuse_port=True, backlog=200)
    loop = asyncio.get_running_loop()
    for host in ("0.0.0.0", "::"):
        try:
            await loop.create_datagram_endpoint(Echo, (host, port), reuse_port=True)
        except OSError as error:  # a socket of each family
            print(host, error)
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    server.close()


def lead(port):
    children = []
    for _ in range(2):
        if (pid := os.fork()) == 0:
            asyncio.run(serve(port))
            os._exit(0)
        children.append(pid)
    signal.signal(signal.SIGTERM, lambda *_: [os.kill(pid, signal.SIGTERM) for pid in children])
    sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children))


async def one(host, port, n):
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"pid 0\nhash %d\n" % n + pattern(n, n % 100))
    pid = await reader.readline()
    good = await reader.readline() == hashlib.sha256(pattern(n, n % 100)).hexdigest().encode() + b"\n"
    writer.write(b"bytes %d\n" % n)
    good = await reader.readexactly(n) == pattern(n) and good
    writer.close()
    await writer.wait_closed()
    return pid, good


async def datagrams(host, port):
    loop = asyncio.get_running_loop()
    pids, good = set(), 0
    for n in range(40):  # each from a port of its own, so that both processes get some
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.setblocking(False)
            await loop.sock_connect(s, (host, port))
            await loop.sock_sendall(s, pattern(n * 30))
            pid, _, data = (await asyncio.wait_for(loop.sock_recv(s, 2000), 5)).partition(b" ")
            pids.add(pid)
            good += data == pattern(n * 30)
    print("datagrams", good, "by", len(pids))


async def work(host, port):
    done = await asyncio.gather(*(one(host, port, n * 1000) for n in range(100)))
    print("connections", sum(good for _, good in done), "by", len({pid for pid, _ in done}))

    reader, writer = await asyncio.open_connection(host, port)
    size = 4_000_000
    writer.write(b"all 0\n" + pattern(size))
    writer.write_eof()
    print("half-close", await reader.read() == pattern(size))
    writer.close()

    reader, writer = await asyncio.open_connection(host, port)
    try:
        await asyncio.wait_for(reader.read(1), 0.05)
    except asyncio.TimeoutError:
        print("timed out")
    writer.write(b"reset 0\n")
    try:
        print("reset", await reader.read())
    except ConnectionError as error:
        print("reset", errno.errorcode[error.errno])
    try:
        await asyncio.open_connection(host, 1)
    except OSError as error:
        print(errno.errorcode[error.errno])
    names = {info[4][0] for info in await asyncio.get_running_loop().getaddrinfo("localhost", 1)}
    print("resolved", bool(names & {"127.0.0.1", "::1"}))


if sys.argv[1] == "server":
    lead(int(sys.argv[2]))
asyncio.run(work(sys.argv[2], int(sys.argv[3])))
if "udp" in sys.argv:
    asyncio.run(datagrams(sys.argv[2], int(sys.argv[3])))
