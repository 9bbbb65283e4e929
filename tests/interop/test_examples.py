# SPDX-License-Identifier: MIT
"""The programs of examples/ do what their first lines say, with real clients: whole, split and pipelined input, slow
and silent clients, wrong arguments. The servers stand behind a TUN device in a network namespace of the test's own."""
import contextlib
import ctypes
import os
import pathlib
import select
import socket
import struct
import subprocess
import threading
import time

import pytest

EXAMPLES = pathlib.Path(os.environ["WEIR_BUILD"]) / "examples"
NEEDS_TUN = pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists("/dev/net/tun"),
                               reason="needs root and /dev/net/tun")
ADDR = "10.0.0.2"
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def network():
    """This thread, and what it starts, is in a network namespace of its own."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        assert LIBC.unshare(CLONE_NEWNET) == 0
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        yield
    finally:
        assert LIBC.setns(home, CLONE_NEWNET) == 0
        os.close(home)


def connect(port, addr=ADDR):
    for _ in range(200):
        try:
            sock = socket.create_connection((addr, port), timeout=20)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"nobody listens on port {port}")


def give_address(device, address):
    """As soon as the device is there."""
    for _ in range(200):
        done = subprocess.run(["ip", "addr", "add", address, "dev", device], stderr=subprocess.DEVNULL)
        if done.returncode == 0:
            subprocess.run(["ip", "link", "set", device, "up"], check=True)
            return
        time.sleep(0.05)
    raise AssertionError(f"there is no {device}")


@contextlib.contextmanager
def server(program, port):
    """An example that takes NAME ADDR/PREFIX KERNEL PORT, or NAME ADDR if port is None."""
    where = ["weirex", ADDR] if port is None else ["weirex", f"{ADDR}/24", "10.0.0.1", str(port)]
    with network():
        process = subprocess.Popen([EXAMPLES / program, *where])
        try:
            if port is None:
                give_address("weirex", "10.0.0.1/24")
            connect(port or 7).close()
            yield
            assert process.poll() is None, "the server has ended"
        finally:
            process.kill()
            process.wait()


def read_exactly(sock, size):
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        assert part, f"the connection ended after {len(data)} of {size} bytes"
        data += part
    return data


def read_to_end(sock):
    data = b""
    while part := sock.recv(65536):
        data += part
    return data


# ---- echo ------------------------------------------------------------------------------------------


def echo_is_whole(port, size):
    """More than all buffers hold, so that both directions fill."""
    data = os.urandom(4096) * (size // 4096)
    sock = connect(port)
    sender = threading.Thread(target=lambda: (sock.sendall(data), sock.shutdown(socket.SHUT_WR)))
    sender.start()
    got = read_to_end(sock)
    sender.join()
    sock.close()
    assert got == data


@NEEDS_TUN
@pytest.mark.parametrize("program,port", [("echo_threads", 7), ("echo_epoll", 7), ("own_loop", None)])
def test_echo(program, port):
    with server(program, port):
        echo_is_whole(7, 8 << 20)
        # Many at once, one of which does not read and one of which says nothing.
        silent, deaf = connect(7), connect(7)
        deaf.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                deaf.send(bytes(65536))
        clients = [connect(7) for _ in range(40)]
        for turn in range(3):
            for number, client in enumerate(clients):
                client.sendall(b"%d:%d" % (turn, number))
            for number, client in enumerate(clients):
                text = b"%d:%d" % (turn, number)
                assert read_exactly(client, len(text)) == text
        # Resets in the middle of it, byte by byte input, and the end of input.
        for client in clients[:10]:
            client.sendall(bytes(100000))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        for byte in b"slowly":
            clients[20].sendall(bytes([byte]))
            assert read_exactly(clients[20], 1) == bytes([byte])
        answer = subprocess.run(["nc", "-N", ADDR, "7"], input=b"from nc\n", capture_output=True,
                                timeout=20, check=True)
        assert answer.stdout == b"from nc\n"
        # The deaf one reads at last: nothing is lost.
        deaf.setblocking(True)
        deaf.shutdown(socket.SHUT_WR)
        assert set(read_to_end(deaf)) == {0}
        silent.shutdown(socket.SHUT_WR)
        assert read_to_end(silent) == b""


# ---- framing ---------------------------------------------------------------------------------------

HEARTBEAT = {7000: b"\n", 7001: bytes(4), 7002: bytes(16)}


def frame(port, text):
    if port == 7000:
        return text + b"\n"
    if port == 7001:
        return struct.pack(">I", len(text)) + text
    return text.ljust(16, b".")


def reply(port, text):
    return frame(port, (text.ljust(16, b".") if port == 7002 else text)[::-1])


@NEEDS_TUN
def test_framing():
    with server("framing", 7000):
        for port in HEARTBEAT:
            sock = connect(port)
            texts = [b"one", b"second", b"3", b"x" * (16 if port == 7002 else 4096)]
            sock.sendall(b"".join(frame(port, t) for t in texts))  # all at once
            for text in texts:
                assert read_exactly(sock, len(reply(port, text))) == reply(port, text)
            for byte in frame(port, b"split"):  # and each byte alone
                sock.sendall(bytes([byte]))
                time.sleep(0.005)
            assert read_exactly(sock, len(reply(port, b"split"))) == reply(port, b"split")
            sock.sendall(HEARTBEAT[port] + frame(port, b"abc")[:2])  # a message and a half, and the end
            sock.shutdown(socket.SHUT_WR)
            assert read_to_end(sock) == b""


@NEEDS_TUN
def test_framing_refuses_what_is_too_large():
    with server("framing", 7000):
        sock = connect(7001)
        sock.sendall(struct.pack(">I", 4097) + b"x")
        assert ended(sock)
        sock = connect(7000)
        sock.sendall(b"x" * 5000)
        assert ended(sock)


def ended(sock):
    """The server closes, with a reset if it has left something unread."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


@NEEDS_TUN
def test_heartbeat():
    with server("framing", 7000):
        silent = {port: connect(port) for port in HEARTBEAT}
        live = connect(7000)
        began = time.monotonic()
        beats = 0
        while time.monotonic() - began < 5.5:  # answers each heartbeat
            if select.select([live], [], [], 0.1)[0]:
                assert live.recv(100) == b"\n"
                beats += 1
                live.sendall(b"\n")
        assert beats >= 3
        for port, sock in silent.items():  # these do not: three, and then it is over
            assert read_to_end(sock) == HEARTBEAT[port] * 3
        live.sendall(b"still here\n")
        assert b"ereh llits\n" in live.recv(100)


# ---- HTTP ------------------------------------------------------------------------------------------


def curl(*args):
    done = subprocess.run(["curl", "-sS", "--max-time", "30", *args], capture_output=True, check=True)
    return done.stdout


def get(path, *headers, method="GET"):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: weir", *headers, "", ""]).encode()


def read_response(sock, head=False):
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += read_exactly(sock, 1)
    status, *lines = data.decode().split("\r\n")[:-2]
    headers = dict(line.lower().split(": ") for line in lines)
    body = b"" if head else read_exactly(sock, int(headers["content-length"]))
    return status, headers, body


@NEEDS_TUN
def test_http_with_curl():
    url = f"http://{ADDR}"
    with server("http", 80):
        assert curl(f"{url}/") == b"Hello.\n"
        assert len(curl(f"{url}/bytes/5000000")) == 5000000
        # One connection for all.
        log = curl("-w", "%{num_connects} ", f"{url}/", f"{url}/", f"{url}/bytes/10").decode()
        assert log.count("1 ") == 1 and log.count("0 ") == 2
        # A body with Content-Length and in chunks.
        assert curl("--data-binary", "x" * 100000, f"{url}/") == b"100000 bytes\n"
        assert curl("-H", "Transfer-Encoding: chunked", "--data-binary", "y" * 70000, f"{url}/") == b"70000 bytes\n"
        assert b"HTTP/1.1 404" in curl("-i", f"{url}/nothing")
        assert b"HTTP/1.1 414" in curl("-i", f"{url}/{'u' * 300}")
        assert b"HTTP/1.1 501" in curl("-i", "-X", "DELETE", f"{url}/")
        head = curl("-I", f"{url}/bytes/12345")
        assert b"Content-Length: 12345" in head and head.endswith(b"\r\n\r\n")
        assert curl("-0", f"{url}/") == b"Hello.\n"


@NEEDS_TUN
def test_http_pipelining_and_split_requests():
    with server("http", 80):
        sock = connect(80)
        paths = ["/", "/bytes/20000", "/nothing", "/bytes/3", "/"] * 20
        sock.sendall(b"".join(get(path) for path in paths))
        bodies = {"/": b"Hello.\n", "/bytes/20000": b"." * 20000, "/nothing": b"", "/bytes/3": b"..."}
        for path in paths:
            status, _, body = read_response(sock)
            assert body == bodies[path] and ("404" in status) == (path == "/nothing")
        # A request in single bytes, with the beginning of the next at its end.
        for byte in get("/bytes/7") + b"GE":
            sock.sendall(bytes([byte]))
        assert read_response(sock)[2] == b"." * 7
        sock.sendall(b"T /bytes/5 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_response(sock)[2] == b"." * 5
        # HEAD has no body; after "close" nothing more is answered.
        sock.sendall(get("/bytes/9", method="HEAD") + get("/", "Connection: close") + get("/bytes/99"))
        assert read_response(sock, head=True)[1]["content-length"] == "9"
        assert read_response(sock)[1]["connection"] == "close"
        assert read_to_end(sock) == b""
        # A client that does not read is no matter to others.
        deaf = connect(80)
        deaf.sendall(get("/bytes/50000000"))
        sock = connect(80)
        sock.sendall(get("/"))
        assert read_response(sock)[2] == b"Hello.\n"


@NEEDS_TUN
def test_http_errors_and_time_outs():
    with server("http", 80):
        idle, slow, trickle = connect(80), connect(80), connect(80)
        began = time.monotonic()
        slow.sendall(b"GET / HT")
        bad = connect(80)
        bad.sendall(get("/") + b"NONSENSE\r\n\r\n")
        assert read_response(bad)[2] == b"Hello.\n"
        assert "400" in read_response(bad)[0]
        assert read_to_end(bad) == b""
        # Bytes now and then do not keep a request alive for ever.
        sent = 0
        while not select.select([trickle], [], [], 1)[0]:
            trickle.sendall(get("/" + "x" * 100)[sent:sent + 1])
            sent += 1
            assert time.monotonic() - began < 20
        assert "408" in read_response(trickle)[0]
        assert read_to_end(trickle) == b""
        assert "408" in read_response(slow)[0]
        assert read_to_end(slow) == b""
        assert read_to_end(idle) == b""


# ---- the others ------------------------------------------------------------------------------------


def test_two_stacks_take_the_same_time_each_time():
    def run(*args):
        return subprocess.run([EXAMPLES / "two_stacks", *args], capture_output=True, text=True,
                              timeout=60, check=True).stdout

    first = run("delay=20ms rate=10mbit loss=1% seed=7")
    assert first.startswith("1000000 bytes in ")
    assert run("delay=20ms rate=10mbit loss=1% seed=7") == first
    assert run("delay=20ms rate=10mbit loss=1% seed=8") != first
    # 20 ms each way: handshake and slow start take a few round trips at least.
    assert float(run().split()[3]) > 0.12
    assert subprocess.run([EXAMPLES / "two_stacks", "delay=quick"], capture_output=True).returncode == 2


@pytest.mark.parametrize("size", [0, 6, 3000000])
def test_own_link_joins_two_processes(size, tmp_path):
    data = os.urandom(size)
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for sock in sockets:
        sock.bind(("127.0.0.1", 0))
    ports = [str(sock.getsockname()[1]) for sock in sockets]
    for sock in sockets:
        sock.close()
    command = [EXAMPLES / "own_link", "127.0.0.1"]
    with open(tmp_path / "out", "wb") as out:
        listener = subprocess.Popen([*command, ports[0], "127.0.0.1", ports[1], "10.1.0.1/24"], stdout=out)
    try:
        for _ in range(100):  # refused until the other one listens
            speaker = subprocess.run([*command, ports[1], "127.0.0.1", ports[0], "10.1.0.2/24", "10.1.0.1"],
                                     input=data, timeout=60, stderr=subprocess.PIPE)
            if b"refused" not in speaker.stderr:
                break
            time.sleep(0.05)
        assert speaker.returncode == 0, speaker.stderr
        assert listener.wait(timeout=60) == 0
        assert (tmp_path / "out").read_bytes() == data
    finally:
        listener.kill()


@pytest.mark.parametrize("program,args", [
    ("echo_threads", []), ("echo_threads", ["x", "10.0.0.2/24", "10.0.0.1", "0"]),
    ("echo_epoll", ["x", "10.0.0.2/24", "10.0.0.1", "7x"]), ("framing", ["x", "10.0.0.2/24", "host", "7"]),
    ("http", ["x"]), ("own_loop", []), ("own_link", ["a", "b"]), ("two_stacks", ["a", "b"]),
    ("own_link", ["127.0.0.1", "99999", "127.0.0.1", "1", "10.0.0.1/8"]),
])
def test_wrong_arguments_are_told(program, args):
    done = subprocess.run([EXAMPLES / program, *args], capture_output=True, text=True, timeout=20)
    assert done.returncode in (1, 2) and done.stderr


def test_each_is_short():
    sources = list((pathlib.Path(os.environ["WEIR_SOURCE"]) / "examples").glob("*.c"))
    assert len(sources) == 8
    for source in sources:
        assert len(source.read_text().splitlines()) < 150, source.name
