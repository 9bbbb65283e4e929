# SPDX-License-Identifier: MIT
"""`weir run --tun` against the kernel's TCP, in a network namespace that the test makes and removes."""
import os
import shutil
import subprocess
import time

import pytest

import apps

NS = f"weir-run-{os.getpid()}"

pytestmark = pytest.mark.skipif(not apps.is_root() or not os.path.exists("/dev/net/tun"),
                                reason="needs root and /dev/net/tun")


@pytest.fixture
def netns():
    subprocess.run(["ip", "netns", "add", NS], check=True)
    subprocess.run(["ip", "-n", NS, "link", "set", "lo", "up"], check=True)
    yield NS
    subprocess.run(["ip", "netns", "del", NS], check=True)


TUN = ("--netns", NS, "--tun", "wrun0,10.77.0.2/24,fd77::2/64,kernel=10.77.0.1/24,kernel=fd77::1/64")


def in_ns(*words):
    return ["ip", "netns", "exec", NS, *map(str, words)]


def until(condition, what):
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"never: {what}")


def kernel_listens(port):
    done = subprocess.run(in_ns("ss", "-Hltn"), capture_output=True, text=True, check=True)
    return f":{port} " in done.stdout


def kernel_reaches(address, port):
    done = subprocess.run(in_ns("curl", "-sg", "--max-time", "2", "-o", "/dev/null",
                                f"http://{address}:{port}/"))
    return done.returncode == 0


@pytest.mark.parametrize("size, options", [(20_000_000, ()),
                                           (1_000_000, ("--impair", "delay=2ms loss=0.2%",
                                                        "--pcap", "x.pcapng")),
                                           (1_000_000, ("--busy-poll", "100"))])
def test_curl_on_weir_fetches_from_the_kernel(netns, tmp_path, size, options):
    digest = apps.make_file(tmp_path / "file", size)
    # The device is made by the first run and gone with it, so the server listens on all addresses.
    server = subprocess.Popen(in_ns("python3", "-m", "http.server", "--bind", "::", "8000"),
                              cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        until(lambda: kernel_listens(8000), "the kernel's server listens")
        script = ("for u in http://10.77.0.1:8000/file 'http://[fd77::1]:8000/file'; do "
                  "curl -sg $u | sha256sum; done; curl -s http://10.77.0.1:8001/; echo $?")
        ran = apps.weir("run", *TUN, *options, "--", "sh", "-c", script, cwd=tmp_path)
    finally:
        server.terminate()
        server.wait()
    lines = [line.split()[0] for line in ran.out.splitlines()]
    assert (ran.status, lines) == (0, [digest, digest, "7"]), ran
    if "--pcap" in options and shutil.which("tshark"):
        done = subprocess.run(["tshark", "-r", tmp_path / "x.pcapng", "-o", "tcp.check_checksum:TRUE",
                               "-Y", '_ws.malformed || tcp.checksum.status == "Bad"'],
                              capture_output=True, text=True, check=True)
        assert done.stdout == ""


@pytest.mark.parametrize("workers", [False, True])
def test_the_kernels_curl_fetches_from_nginx_on_weir(netns, tmp_path, workers):
    digest = apps.make_file(tmp_path / "file", 30_000_000)
    for folder in [tmp_path, *tmp_path.parents]:
        if str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    conf = apps.nginx_conf(tmp_path, 80, workers)
    server = subprocess.Popen([apps.WEIR, "run", *TUN, "--", "nginx", "-c", conf])
    try:
        until(lambda: kernel_reaches("10.77.0.2", 80), "nginx on Weir answers")
        for url in ("http://10.77.0.2/file", "http://[fd77::2]/file"):
            done = subprocess.run(in_ns("sh", "-c", f"curl -sg '{url}' | sha256sum"),
                                  capture_output=True, text=True, check=True)
            assert done.stdout.split()[0] == digest
        done = subprocess.run(in_ns("curl", "-s", "http://10.77.0.2:81/"))
        assert done.returncode == 7  # refused
    finally:
        server.terminate()
        assert server.wait(apps.HANG) == 0


def test_kernel_and_weir_reset_each_other(netns, tmp_path):
    """A reset by the kernel's side is read as ECONNRESET on Weir, and the other way round."""
    kernel = tmp_path / "kernel.py"
    kernel.write_text("""
import socket, struct
l = socket.create_server(("0.0.0.0", 9000))
hard = struct.pack("ii", 1, 0)
a = l.accept()[0]
a.recv(1); a.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, hard); a.close()
b = l.accept()[0]
b.sendall(b"go")
try:
    print(b.recv(10))
except OSError as e:
    print(e.errno, flush=True)
""")
    weir = ("import socket, struct, time\n"
            "s = socket.create_connection(('10.77.0.1', 9000)); s.sendall(b'x')\n"
            "try:\n    print(s.recv(10))\nexcept OSError as e:\n    print(e.errno)\n"
            "s = socket.create_connection(('10.77.0.1', 9000)); s.recv(2)\n"
            "s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); s.close()\n")
    server = subprocess.Popen(in_ns("python3", kernel), stdout=subprocess.PIPE, text=True)
    try:
        until(lambda: kernel_listens(9000), "the kernel's server listens")
        ran = apps.weir("run", *TUN, "--", "python3", "-c", weir)
        out, _ = server.communicate(timeout=apps.HANG)
    finally:
        server.kill()
    assert (ran.out, out) == ("104\n", "104\n"), ran


DNS_SERVER = """
import socket, struct, sys, threading
def answer(q):
    end = q.index(b"\\0", 12) + 5
    name, kind = q[12:end - 4], struct.unpack("!H", q[end - 4:end - 2])[0]
    host = name[1:1 + name[0]]
    data = {1: socket.inet_aton("10.77.0.1"), 28: socket.inet_pton(socket.AF_INET6, "fd77::1")}.get(kind)
    if host == b"none" or not data:
        return q[:2] + struct.pack("!HHHHH", 0x8183 if host == b"none" else 0x8180, 1, 0, 0, 0) + q[12:end]
    return (q[:2] + struct.pack("!HHHHH", 0x8180, 1, 1, 0, 0) + q[12:end] +
            b"\\xc0\\x0c" + struct.pack("!HHIH", kind, 1, 60, len(data)) + data)
def over_tcp(l):
    while True:
        c = l.accept()[0]
        n = struct.unpack("!H", c.recv(2))[0]
        a = answer(c.recv(n)); c.sendall(struct.pack("!H", len(a)) + a); c.close()
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("0.0.0.0", 53))
t = socket.create_server(("0.0.0.0", 53))
threading.Thread(target=over_tcp, args=(t,), daemon=True).start()
while True:
    q, a = u.recvfrom(2000)
    r = answer(q)
    if q[13:17] == b"long":
        r = r[:2] + struct.pack("!HHHHH", 0x8380, 1, 0, 0, 0) + q[12:q.index(b"\\0", 12) + 5]
    u.sendto(r, a)
"""


def test_names_resolve_by_a_server_over_weirs_udp(netns, tmp_path):
    """By UDP; by TCP after a truncated answer; a name that is not there; a server that is not."""
    (tmp_path / "dns.py").write_text(DNS_SERVER)
    server = subprocess.Popen(in_ns("python3", tmp_path / "dns.py"))
    try:
        until(lambda: kernel_listens(53), "the name server listens")
        script = ("getent ahostsv4 some.test | head -1; getent ahostsv6 some.test | head -1; "
                  "getent ahostsv4 long.test | head -1; getent ahostsv4 none.test; echo $?")
        ran = apps.weir("run", *TUN, "--dns", "10.77.0.1", "--", "sh", "-c", script)
    finally:
        server.kill()
        server.wait()
    lines = [line.split()[0] for line in ran.out.splitlines()]
    assert lines == ["10.77.0.1", "fd77::1", "10.77.0.1", "2"], ran


def test_nothing_of_the_device_is_left(netns):
    assert apps.weir("run", *TUN, "--", "true").status == 0
    left = subprocess.run(["ip", "-n", NS, "-br", "link"], capture_output=True, text=True, check=True)
    assert "wrun0" not in left.stdout


def test_busy_polling_is_set_and_tuned(netns):
    name = f"busy-{os.getpid()}"
    sysctl = f"{apps.WEIR} sysctl --host {name} -n net.core.busy_poll"
    ran = apps.weir("run", *TUN, "--host", name, "--busy-poll", "70", "--", "sh", "-c",
                    f"{sysctl}; {sysctl}=0; {sysctl}; {sysctl}=-1")
    assert (ran.status, ran.out) == (1, "70\n0\n0\n") and "invalid argument" in ran.err, ran


def test_trouble_with_the_device_is_told():
    ran = apps.weir("run", "--tun", "a-name-that-is-too-long,10.0.0.1/24", "--", "true")
    assert ran.status == 125 and "TUN device" in ran.err
    ran = apps.weir("run", "--netns", "no-such-ns", "--tun", "wrun1", "--", "true")
    assert ran.status == 125 and "no-such-ns" in ran.err
    ran = apps.weir("run", "--tun", "wrun1,10.0.0.1/24", "--", "true", prefix=apps.NOBODY)
    assert ran.status == 125 and "root" in ran.err
