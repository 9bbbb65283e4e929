# SPDX-License-Identifier: MIT
"""Addresses from real servers: DHCP by dnsmasq and by busybox's udhcpd, SLAAC by dnsmasq's advertisements; over
a TAP on a bridge of the kernel's, and beside the kernel on a veth.

    weirbr 10.78.0.1, fd78::1  ==  the bridge: weirlkt0 (the TAP), lkpa ==== lkpb (for --packet)
"""

import os
import re
import shutil
import socket
import subprocess
import threading
import time

import pytest

import kernel
from kernel import MB, Peer, from_source, run, to_sink

kernel.enter_namespace()

WEIR = os.environ.get("WEIR", "build/dev/weir")


@pytest.fixture(scope="module", autouse=True)
def bridge():
    run("ip", "link", "add", "weirbr", "type", "bridge")
    run("ip", "addr", "add", "10.78.0.1/24", "dev", "weirbr")
    run("ip", "addr", "add", "fd78::1/64", "dev", "weirbr", "nodad")
    run("ip", "link", "set", "weirbr", "up")
    run("ip", "tuntap", "add", "weirlkt0", "mode", "tap")
    run("ip", "link", "add", "lkpa", "type", "veth", "peer", "name", "lkpb")
    for name in ("weirlkt0", "lkpa"):
        run("ip", "link", "set", name, "master", "weirbr")
    for name in ("weirlkt0", "lkpa", "lkpb"):
        run("ip", "link", "set", name, "up")
    yield


LINKS = {"tap": ["--tun", "weirlkt0", "--tap", "--offload"], "packet": ["--packet", "lkpb", "--offload"],
         "xdp": ["--xdp", "lkpb"]}


class Daemon:
    """A server in the foreground, whose output is kept."""

    def __init__(self, words, log):
        self.log = log
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=open(log, "w"),
                                        stderr=subprocess.STDOUT)

    def said(self):
        return self.log.read_text()

    def wait_for(self, text, timeout=10):
        until = time.monotonic() + timeout
        while text not in self.said():
            assert time.monotonic() < until and self.process.poll() is None, self.said()
            time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)


def dnsmasq(path, *more):
    if not shutil.which("dnsmasq"):
        pytest.skip("dnsmasq is not installed")
    if not kernel.IS_ROOT:
        pytest.skip("needs root: dnsmasq changes its group")
    words = ["dnsmasq", "--conf-file=/dev/null", "--keep-in-foreground", "--port=0", "--interface=weirbr",
             "--bind-interfaces", "--no-ping", "--user=root", "--log-dhcp", "--log-facility=-",
             f"--dhcp-leasefile={path / 'leases'}", "--dhcp-range=10.78.0.50,10.78.0.60,255.255.255.0,2m",
             "--dhcp-option=3,10.78.0.1", "--dhcp-option=6,10.78.0.1", "--dhcp-option=15,example.net", *more]
    return Daemon(words, path / "dnsmasq.log")


def udhcpd(path, lease):
    """A server with leases as short as the test has time for."""
    program = shutil.which("udhcpd")
    busybox = shutil.which("busybox")
    if not program and not busybox:
        pytest.skip("udhcpd is not installed")
    (path / "leases").touch()
    config = path / "udhcpd.conf"
    config.write_text(f"start 10.78.0.70\nend 10.78.0.79\ninterface weirbr\nlease_file {path / 'leases'}\n"
                      f"min_lease 1\npidfile {path / 'pid'}\noption subnet 255.255.255.0\n"
                      f"option router 10.78.0.1\noption lease {lease}\n")
    return Daemon([*([program] if program else [busybox, "udhcpd"]), "-f", str(config)], path / "udhcpd.log")


def lease_of(peer):
    state, requests, addr, gateway, dns = peer.do("lease").split()[1:]
    return {"state": int(state), "requests": int(requests), "addr": addr, "gateway": gateway, "dns": dns}


BOUND = 5


@pytest.mark.parametrize("kind", LINKS)
def test_a_lease_of_dnsmasq(kind, tmp_path):
    with dnsmasq(tmp_path, "--dhcp-option=26,1400") as server:
        with Peer("--dhcp", link=LINKS[kind], bare=True) as peer:
            lease = lease_of(peer)
            assert lease["state"] == BOUND and lease["requests"] == 1
            assert re.fullmatch(r"10\.78\.0\.(5\d|60)", lease["addr"])
            assert (lease["gateway"], lease["dns"]) == ("10.78.0.1", "10.78.0.1")
            assert f"{lease['addr']}/24*" in peer.do("addrs").split()
            to_sink(lease["addr"], 1 * MB)
            from_source(lease["addr"], 1 * MB)
            with kernel.connect(lease["addr"], 7) as s:
                assert s.getsockopt(6, 2) == 1400 - 40 - 12  # TCP_MAXSEG: by the MTU of option 26
        # Given back at the end, so that the server may give it to another at once.
        server.wait_for(f"DHCPRELEASE(weirbr) {lease['addr']}")


def test_a_short_lease_is_renewed_with_udhcpd(tmp_path):
    """T1 of 4 s is 2 s: after 7 s it has been renewed three times, and a connection has not noticed."""
    with udhcpd(tmp_path, 4), Peer("--dhcp", link=LINKS["tap"], bare=True) as peer:
        before = lease_of(peer)
        with kernel.connect(before["addr"], 7) as s:
            time.sleep(7)
            s.sendall(b"still")
            assert s.recv(5) == b"still"
        after = lease_of(peer)
        assert after["addr"] == before["addr"]
        assert after["requests"] >= before["requests"] + 3


def test_the_lease_ends_without_a_server(tmp_path):
    """Renewing and rebinding get no answer: the address is gone, and comes back with the server."""
    with udhcpd(tmp_path, 5):
        peer = Peer("--dhcp", link=LINKS["tap"], bare=True)
    with peer:
        assert lease_of(peer)["state"] >= BOUND
        time.sleep(6)
        assert lease_of(peer)["state"] < BOUND
        assert "10.78.0" not in peer.do("addrs")
        with udhcpd(tmp_path, 60):
            until = time.monotonic() + 25
            while lease_of(peer)["state"] != BOUND:
                assert time.monotonic() < until
                time.sleep(0.1)


def test_an_address_in_use_is_declined(tmp_path):
    """The server has one address to give, and somebody has it: DECLINE, and another one later."""
    run("ip", "netns", "add", "weirsq")
    run("ip", "link", "add", "lksa", "type", "veth", "peer", "name", "lksb")
    run("ip", "link", "set", "lksb", "netns", "weirsq")
    run("ip", "link", "set", "lksa", "master", "weirbr", "up")
    run("ip", "-n", "weirsq", "addr", "add", "10.78.0.50/24", "dev", "lksb")
    run("ip", "-n", "weirsq", "link", "set", "lksb", "up")
    mac = "02:00:00:00:78:50"
    try:
        with dnsmasq(tmp_path, f"--dhcp-host={mac},10.78.0.50") as server:
            client = subprocess.Popen([WEIR, "ping", "--packet", f"lkpb,dhcp,mac={mac}", "-c1", "10.78.0.1"],
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            try:
                server.wait_for("DHCPDECLINE(weirbr) 10.78.0.50", 15)
            finally:
                client.kill()
                client.communicate()
    finally:
        run("ip", "link", "del", "lksa")


@pytest.mark.parametrize("kind", LINKS)
def test_slaac_from_dnsmasq(kind, tmp_path):
    with dnsmasq(tmp_path, "--enable-ra", "--dhcp-range=fd78::,ra-only,64,10m",
                 "--dhcp-option=option6:dns-server,[fd78::1]"):
        with Peer("--slaac", link=LINKS[kind], bare=True) as peer:
            addrs = peer.do("addrs").split()[1:]
            learnt = [a[:-1] for a in addrs if a.endswith("*")]
            assert len(learnt) == 1 and learnt[0].startswith("fd78::")
            assert peer.do("lease").split()[-1] == "fd78::1"  # the name server, RFC 8106
            addr = learnt[0].split("/")[0]
            to_sink(addr, 1 * MB)
            from_source(addr, 1 * MB)


class Names:
    """A name server of one name, over UDP: 10.78.0.1 port 53."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("10.78.0.1", 53))
        self.asked = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                data, who = self.socket.recvfrom(2048)
            except OSError:
                return
            end = data.index(b"\0", 12) + 5
            self.asked.append(data[12:end - 4])
            is_a = data[end - 4:end - 2] == b"\0\1"
            head = data[:2] + b"\x81\x80" + data[4:6] + (b"\0\1" if is_a else b"\0\0") + b"\0\0\0\0"
            answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton("10.78.0.1") if is_a else b""
            self.socket.sendto(head + data[12:end] + answer, who)


def test_weir_run_by_dhcp_and_slaac(tmp_path):
    """One word each on the command line; the name server that was told is asked, and the domain searched."""
    names = Names()
    with dnsmasq(tmp_path, "--enable-ra", "--dhcp-range=fd78::,ra-only,64,10m"), \
            kernel.Server(kernel.echo) as server:
        done = subprocess.run(
            [WEIR, "run", "--tap", "weirlkt0,dhcp,slaac", "--", "python3", "-c",
             "import socket\n"
             f"for to in 'told', 'fd78::1':\n"
             f"    s = socket.create_connection((to, {server.port}), 10)\n"
             "    print(s.getsockname()[0])\n"], text=True, timeout=60, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
    names.socket.close()
    assert done.returncode == 0, done.stdout
    v4, v6 = done.stdout.split()
    assert v4.startswith("10.78.0.") and v6.startswith("fd78::")
    assert b"\4told\7example\3net\0" in names.asked


def test_nobody_answers(tmp_path):
    """It is said, after three questions."""
    began = time.monotonic()
    done = subprocess.run([WEIR, "run", "--tap", "weirlkt0,dhcp", "--", "true"], text=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 125 and "weirlkt0 got no address: no DHCP server gave one" in done.stdout
    assert 15 < time.monotonic() - began < 40
