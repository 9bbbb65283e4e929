# SPDX-License-Identifier: MIT
"""The kernel's side of the interop tests, in a network namespace without a name.

The test process enters it by enter_namespace(): the namespace, its devices and routes go with the last
process in it, however the tests end. So do namespaces with names that a test makes, since /run/netns is
a mount of ours alone. A Weir peer (peer.c) is a child whose standard input is held here: it ends
when this process does.
"""

import ctypes
import hashlib
import os
import select
import shutil
import socket
import struct
import subprocess
import threading
import time

import pytest

CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWUSER = 0x40000000, 0x00020000, 0x10000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
NETNS = "/run/netns"
PEER = os.path.join(os.environ.get("WEIR_BUILD", "build/dev"), "tests/interop/peer")
# The kernel's ICMP errors quote packets cut short, whose checksums tshark cannot verify.
FAULTS = ("(_ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0 || "
          "udp.checksum.status == 0 || icmp.checksum.status == 0 || icmpv6.checksum.status == 0) && "
          "!(icmp.type == 3 && ip.src == 10.78.0.1) && !(icmpv6.type == 2 && ipv6.src == fd78::1) && "
          # The kernel writes 0xffff for a TCP checksum of 0 too; tshark wants that of UDP alone.
          "!(tcp.checksum == 0xffff && (ip.src in {10.78.0.1, 10.79.0.2} || ipv6.src in {fd78::1, fd79::2}))")
CHECKS = ["-n", "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE",
          "-o", "udp.check_checksum:TRUE", "-o", "tcp.desegment_tcp_streams:FALSE",
          "-o", "tcp.analyze_sequence_numbers:FALSE",
          # A port that the kernel chose may be some protocol's, as which random data is malformed.
          "-d", "tcp.port==1-65535,data", "-d", "udp.port==1-65535,data"]
CHUNK = MB = 1 << 20
IS_ROOT = os.geteuid() == 0  # of the machine, not only of a user namespace


def enter_namespace():
    """Enters a network namespace of our own, in a user namespace where we are not root."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWNET | CLONE_NEWNS) != 0:
        if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) != 0:
            pytest.skip("no network namespace can be made here (root or user namespaces are needed): "
                        + os.strerror(ctypes.get_errno()), allow_module_level=True)
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"),
                           ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w") as f:
                f.write(text)
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        pytest.skip("there is no /dev/net/tun here, or it may not be opened", allow_module_level=True)
    mounts = [(b"none", b"/", None, MS_REC | MS_PRIVATE, None), (b"tmpfs", NETNS.encode(), b"tmpfs", 0, None)]
    try:
        os.makedirs(NETNS, exist_ok=True)
    except PermissionError:  # nobody has made a namespace with a name yet, and we are not root
        mounts[1] = (b"tmpfs", os.path.dirname(NETNS).encode(), b"tmpfs", 0, None)
    for words in mounts:
        assert libc.mount(*words) == 0, os.strerror(ctypes.get_errno())
    os.makedirs(NETNS, exist_ok=True)
    run("ip", "link", "set", "lo", "up")


def run(*words, check=True, timeout=60):
    """Runs a program; its output. Fails the test if the program fails."""
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=timeout)
    if check and done.returncode != 0:
        pytest.fail(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def ping(host, count=3, size=56, prefix=()):
    """Echo requests that are all answered. One by one: after a first answer ping waits for two round trips only."""
    for _ in range(count):
        run(*prefix, "ping", "-c1", "-W5", "-s", str(size), host)


class Peer:
    """A Weir host on a TUN or TAP device: 10.78.0.2, fd78::2; the kernel is 10.78.0.1, fd78::1. With `link`, the
    words of another link, it is there beside the kernel; with `bare` it has no addresses yet."""

    v4, v6 = "10.78.0.2", "fd78::2"
    kernel4, kernel6 = "10.78.0.1", "fd78::1"

    def __init__(self, *options, mtu=1500, pcap=None, name="weirlk0", tap=False, offload=False, plain=False,
                 link=None, bare=False, v4=None, v6=None):
        self.v4, self.v6 = v4 or self.v4, v6 or self.v6
        if link and "--xdp" in link and not IS_ROOT:
            pytest.skip("needs root: the kernel takes XDP programs from no user namespace")
        words = [PEER, *(link or ["--tun", name]), "--mtu", str(mtu), *options]
        self.has_v6 = mtu >= 1280 and not bare
        if not bare:
            words += ["--addr", f"{self.v4}/24"]
        if self.has_v6:
            words += ["--addr", f"{self.v6}/64"]
        if not link:
            words += ["--kernel", f"{self.kernel4}/24"]
            words += ["--kernel", f"{self.kernel6}/64"] * self.has_v6
        tap = tap or (link is not None and not bare)
        words += ["--tap"] * (tap and not link) + ["--offload"] * offload + ["--plain"] * plain
        if pcap:
            words += ["--pcap", str(pcap)]
        self.pcap, self.name = pcap, name
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, bufsize=1)
        self.lock = threading.Lock()
        assert self.line(30).startswith("ready"), "the peer did not start"
        if tap and self.has_v6:
            self.wait_for_v6()

    def wait_for_v6(self):
        """Until duplicate address detection is over (RFC 4862 5.4: a second)."""
        for _ in range(50):
            if " 0% packet loss" in run("ping", "-6", "-c1", "-W1", self.v6, check=False):
                return
            time.sleep(0.1)
        pytest.fail(f"{self.v6} does not answer")

    def line(self, timeout):
        if not select.select([self.process.stdout], [], [], timeout)[0]:
            pytest.fail("the peer does not answer")
        return self.process.stdout.readline().strip()

    def do(self, *words, timeout=120):
        """Has the peer do something; its answer, "ok ..." or "error NAME"."""
        with self.lock:
            self.process.stdin.write(" ".join(str(w) for w in words) + "\n")
            return self.line(timeout)

    def drops(self):
        return dict(d.split("=") for d in self.do("drops").split()[1:])

    def close(self):
        try:
            self.process.stdin.close()
            status = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            pytest.fail("the peer did not end")
        self.process.stdout.close()
        assert status == 0, f"the peer ended with {status}"

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            self.process.kill()
            self.process.wait()
            return
        self.close()
        if self.pcap:
            check_capture(self.pcap)


def check_capture(path):
    """tshark must find no malformed packet and no wrong checksum, and must find packets at all."""
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed: captures are not checked")
    count = run("capinfos", "-c", "-M", "-T", "-r", str(path), timeout=120).split()
    assert int(count[-1]) > 0, "the capture is empty"
    done = subprocess.run(["tshark", "-r", str(path), *CHECKS, "-Y", FAULTS], text=True, timeout=400,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "", f"tshark objects to {path}:\n{done.stdout[:2000]}"


# ---- the kernel's sockets -------------------------------------------------------------------------

def connect(host, port, timeout=60):
    return socket.create_connection((host, port), timeout)


def read_all(s, most=1 << 62):
    """Reads to the end, or `most` bytes; how many, and their SHA-256."""
    digest, view, total = hashlib.sha256(), memoryview(bytearray(CHUNK)), 0
    while total < most:
        n = s.recv_into(view[:min(CHUNK, most - total)])
        if n == 0:
            break
        digest.update(view[:n])
        total += n
    return total, digest.hexdigest()


def write_all(s, total):
    """Writes `total` bytes that do not repeat by the megabyte; their SHA-256."""
    digest, block, number = hashlib.sha256(), bytearray(os.urandom(CHUNK)), 0
    view = memoryview(block)
    while total > 0:
        block[0:8] = struct.pack("<Q", number)
        part = view[:min(CHUNK, total)]
        digest.update(part)
        s.sendall(part)
        total -= len(part)
        number += 1
    return digest.hexdigest()


def to_sink(host, total, port=9):
    """Sends to a sink of the peer's, half-closes, and checks its answer."""
    with connect(host, port) as s:
        digest = write_all(s, total)
        s.shutdown(socket.SHUT_WR)
        answer = b""
        while not answer.endswith(b"\n"):
            more = s.recv(200)
            assert more, f"the sink closed after {answer!r}"
            answer += more
        assert answer.decode().split() == [str(total), digest]
        assert s.recv(1) == b""


def from_source(host, total, port=19):
    """Has a source of the peer's send, and checks the hash that follows."""
    with connect(host, port) as s:
        s.sendall(b"%d\n" % total)
        n, digest = read_all(s, total)
        assert n == total
        told = b""
        while len(told) < 64:
            more = s.recv(64 - len(told))
            assert more
            told += more
        assert told.decode() == digest
        assert s.recv(1) == b""


class Server:
    """A TCP server of the kernel's: each connection is given to `serve` in a thread."""

    def __init__(self, serve, host="::", backlog=1024):
        self.serve = serve
        self.listener = socket.create_server((host, 0), family=socket.AF_INET6, backlog=backlog,
                                             dualstack_ipv6=True)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(s,), daemon=True).start()

    def one(self, s):
        with s:
            s.settimeout(60)
            try:
                self.serve(s)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)


def sink(s):
    total, digest = read_all(s)
    s.sendall(f"{total} {digest}\n".encode())


def source(s):
    line = b""
    while not line.endswith(b"\n"):
        line += s.recv(1)
    s.sendall(write_all(s, int(line)).encode())


def echo(s):
    while data := s.recv(65536):
        s.sendall(data)


def reset(s):
    s.recv(1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
