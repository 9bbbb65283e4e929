# SPDX-License-Identifier: MIT
"""The hop between program and supervisor: readiness around a connect that is decided at once, batches of all
sizes, room for writing while bytes are kept back. Each program runs on the kernel too, and must say the same."""
import subprocess

import pytest

import apps

OWN_LOOPBACK = ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]

# What a program that registered before it connected is told, and when.
CONNECT = """
import errno, select, socket
listener = socket.create_server(("127.0.0.1", 8000))

def told(port):
    sock = socket.socket()
    sock.setblocking(False)
    edges = select.epoll()
    edges.register(sock, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
    edges.poll(0)
    said = errno.errorcode[sock.connect_ex(("127.0.0.1", port))]
    bits = 0
    for _ in range(50):
        bits |= sum(event for _, event in edges.poll(0.1))
        if bits & select.EPOLLOUT:
            break
    error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return sock, said, bool(bits & select.EPOLLOUT), bool(bits & select.EPOLLERR), error, len(edges.poll(0))

print("accepted", *told(8000)[1:])
sock, *rest = told(8000)
print("again", *rest, sock.connect_ex(("127.0.0.1", 8000)), sock.connect_ex(("127.0.0.1", 8000)) == errno.EISCONN)
print("refused", *told(8001)[1:])

# A blocking socket may try again: refused where it is decided at once, then a success.
sock = socket.socket()
print("refused", sock.connect_ex(("127.0.0.1", 8001)) == errno.ECONNREFUSED)
print("then", sock.connect_ex(("127.0.0.1", 8000)), sock.send(b"hello"))
for _ in range(3):
    peer = listener.accept()[0]
print(peer.recv(100))
"""

# Writes of all sizes, each only once poll() says that there is room; large ones by sendfile, whose buffers a
# byte that is kept back would pin, with many of one byte behind them.
SIZES = """
import os, hashlib, select, socket, sys, tempfile, threading
sizes = [1, 1, 47, 48, 49, 111, 112, 113, 1000, 8079, 8080, 8191, 8192, 8193, 40000, 65536, 65537, 300000]
data = os.urandom(1 << 20)
file = tempfile.TemporaryFile()
file.write(data)
file.flush()
listener = socket.create_server(("127.0.0.1", 8000))
client = socket.create_connection(("127.0.0.1", 8000))
server = listener.accept()[0]
client.setblocking(False)
sent, got = hashlib.sha256(), hashlib.sha256()
total = 0

def room():
    poll = select.poll()
    poll.register(client, select.POLLOUT)
    if not poll.poll(20000):
        sys.exit("no room any more")

def write(size, by_file):
    global total
    while size:
        room()
        n = os.sendfile(client.fileno(), file.fileno(), 0, size) if by_file else client.send(data[:size])
        sent.update(data[:n])
        total += n
        size -= n

def read():
    while chunk := server.recv(1 << 16):
        got.update(chunk)

thread = threading.Thread(target=read)
thread.start()
for turn in range(4):
    for size in sizes:
        write(size, turn % 2)
        for _ in range(150):
            write(1, False)
client.shutdown(socket.SHUT_WR)
thread.join()
print(total, sent.digest() == got.digest())
"""

# A reset is read as one, however much the program had sent, and by whatever writes, in pings and pongs too.
RESETS = """
import socket, struct
listener = socket.create_server(("127.0.0.1", 8000))
for size in (0, 1, 50, 120, 5000, 8192, 100000):
    client = socket.create_connection(("127.0.0.1", 8000))
    server = listener.accept()[0]
    for _ in range(3 if size else 0):
        client.sendall(b"x" * size)
        left = size
        while left:
            left -= len(server.recv(left))
        server.send(b"y")
        client.recv(1)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    server.close()
    try:
        print(size, client.recv(10))
    except OSError as error:
        print(size, error.strerror)
"""


@pytest.mark.parametrize("program", [CONNECT, SIZES, RESETS], ids=["connect", "sizes", "resets"])
def test_as_on_the_kernel(program):
    native = subprocess.run([*OWN_LOOPBACK, "python3", "-c", program], capture_output=True, text=True,
                            timeout=apps.HANG, check=True)
    ran = apps.weir("run", "--", "python3", "-c", program)
    assert (ran.status, ran.err) == (0, ""), ran
    assert ran.out == native.stdout and ran.out
