# SPDX-License-Identifier: MIT
"""Weir on an interface of the kernel's, beside the kernel: AF_PACKET and AF_XDP over a veth.

    here: the kernel, 10.78.0.1   lkpa ==== lkpb   namespace "weirlk": the kernel, 10.78.0.3,
                                                   and Weir, 10.78.0.2, on the same interface
"""

import subprocess
import threading

import pytest

import kernel
from kernel import MB, Peer, Server, connect, from_source, ping, run, to_sink

kernel.enter_namespace()

NS = "weirlk"
LINKS = {"packet": ["--packet", "lkpb", "--offload"], "packet-plain": ["--packet", "lkpb"],
         "xdp": ["--xdp", "lkpb"], "xdp-plain": ["--xdp", "lkpb", "--plain"],
         "xdp-native": ["--xdp", "lkpb", "--native"]}


@pytest.fixture(scope="module")
def veth():
    run("ip", "netns", "add", NS)
    run("ip", "link", "add", "lkpa", "type", "veth", "peer", "name", "lkpb")
    run("ip", "link", "set", "lkpb", "netns", NS)
    for near, words in (("10.78.0.1", []), ("10.78.0.3", ["-n", NS])):
        name = "lkpb" if words else "lkpa"
        run("ip", *words, "addr", "add", f"{near}/24", "dev", name)
        run("ip", *words, "addr", "add", f"fd78::{near[-1]}/64", "dev", name, "nodad")
        run("ip", *words, "link", "set", name, "up")
    yield
    run("ip", "link", "del", "lkpa")


def words_of(kind):
    return [*LINKS[kind], "--netns", NS]


@pytest.mark.parametrize("kind", LINKS)
def test_a_smaller_mtu_is_kept(veth, kind):
    """Weir announces the MSS of its MTU and cuts to it; the kernel's packets need not be cut."""
    run("ethtool", "-K", "lkpa", "tso", "off", "gso", "off")
    with Peer(link=words_of(kind), mtu=1300) as p, connect(p.v4, 19) as s:
        assert s.getsockopt(6, 2) == 1300 - 40 - 12  # TCP_MAXSEG: headers and timestamps
        s.sendall(b"1000000\n")
        n, _ = kernel.read_all(s, 1000000)
        assert n == 1000000
    run("ethtool", "-K", "lkpa", "tso", "on", "gso", "on")


def test_two_hosts_on_one_interface(veth):
    """Beside the kernel and each other; they reach the kernel at the other end, and each other."""
    with Peer(link=words_of("packet")) as a, \
            Peer(link=words_of("packet"), v4="10.78.0.4", v6="fd78::4") as b:
        for p in (a, b):
            to_sink(p.v4, 2 * MB)
            from_source(p.v6, 2 * MB)
        assert a.do("send", b.v4, 9, 2 * MB).startswith("ok")
        assert b.do("recv", a.v6, 19, 2 * MB).startswith("ok")


def test_a_packet_and_an_xdp_link_on_one_interface(veth):
    with Peer(link=words_of("xdp")) as a, \
            Peer(link=words_of("packet"), v4="10.78.0.4", v6="fd78::4") as b:
        for p in (a, b):
            from_source(p.v4, 2 * MB)


def test_the_interface_goes_down_and_comes_back(veth):
    with Peer(link=words_of("packet")) as p:
        with connect(p.v4, 7) as s:
            s.sendall(b"before")
            assert s.recv(6) == b"before"
            run("ip", "-n", NS, "link", "set", "lkpb", "down")
            run("ip", "-n", NS, "link", "set", "lkpb", "up")
            s.sendall(b"after")
            assert s.recv(5) == b"after"


def weir(*words):
    done = subprocess.run([kernel.os.environ.get("WEIR", "build/dev/weir"), *words], text=True, timeout=60,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


def test_what_cannot_be_is_said(veth):
    for words, text in (
            (["--packet", "nosuch0,10.78.0.2/24"], "cannot open the interface nosuch0: no such interface"),
            (["--xdp", "nosuch0,10.78.0.2/24"], "cannot open the interface nosuch0: no such interface"),
            (["--packet", "lo,10.78.0.2/24"], "no Ethernet interface"),
            (["--xdp", "lo,10.78.0.2/24"], "no Ethernet interface"),
            (["--packet", "lkpa,10.78.0.2/24,kernel=10.78.0.9/24"], "cannot have kernel="),
            (["--packet", "lkpa,mac=01:00:00:00:00:01"], "no Ethernet address of one host"),
            (["--tun", "weirlk1,dhcp"], "cannot have dhcp"),
            (["--tap", "weirlk1,10.78.0.2/24,native"], "only --xdp does"),
            (["--mtu", "1400"], "needs a link")):
        status, said = weir("run", *words, "--", "true")
        assert status != 0 and text in said, (words, said)


def test_a_second_xdp_program_is_refused(veth):
    with Peer(link=words_of("xdp")):
        status, said = weir("ping", "--xdp", "lkpb,10.78.0.4/24", "--netns", NS, "-c1", "10.78.0.1")
        assert status != 0 and "has an XDP program already" in said
    # It went with the process.
    assert "xdp" not in run("ip", "-n", NS, "link", "show", "lkpb")


def test_several_links_of_one_host(veth, tmp_path):
    """A TUN and an interface of the kernel's, each with its own addresses, capture and impairment."""
    tun, packet = tmp_path / "tun.pcapng", tmp_path / "packet.pcapng"
    status, said = weir(
        "run", "--tun", "weirlk2,10.79.0.2/24,kernel=10.79.0.1/24", "--pcap", str(tun), "--impair", "delay=30ms",
        "--packet", "lkpb,10.78.0.2/24,mac=02:00:00:00:78:02", "--netns", NS, "--pcap", str(packet), "--",
        "python3", "-c",
        "import socket, time\n"
        "for to in '10.79.0.1', '10.78.0.1':\n"
        "    t = time.monotonic()\n"
        "    try: socket.create_connection((to, 4), 5)\n"
        "    except ConnectionRefusedError: print(to, 'slow' if time.monotonic() - t > 0.05 else 'fast')\n")
    assert (status, said.split()) == (0, ["10.79.0.1", "slow", "10.78.0.1", "fast"])
    assert "02:00:00:00:78:02" in run("tshark", "-r", str(packet), "-T", "fields", "-e", "eth.src")
    assert "10.79.0.1" in run("tshark", "-r", str(tun))


# ---- each kind of link: last, since its peer stays until the next one -------------------------------

@pytest.fixture(params=LINKS, scope="module")
def peer(request, veth, tmp_path_factory):
    pcap = tmp_path_factory.mktemp(request.param) / "run.pcapng"
    with Peer(pcap=None if "xdp" in request.param else pcap, link=words_of(request.param)) as p:
        yield p


def test_bulk_both_ways(peer):
    for host in (peer.v4, peer.v6):
        to_sink(host, 3 * MB)
        from_source(host, 3 * MB)
    with Server(kernel.source) as server, Server(kernel.sink) as sink:
        for host in (peer.kernel4, peer.kernel6):
            assert peer.do("recv", host, server.port, 3 * MB).startswith("ok")
            assert peer.do("send", host, sink.port, 3 * MB).startswith("ok")


def test_datagrams_and_fragments(peer):
    """Echo requests of the kernel's up to ten fragments, and datagrams of Weir's to the kernel."""
    for host in (peer.v4, peer.v6):
        ping(host)
        ping(host, size=14000)


def test_connections_come_and_go(peer):
    with Server(kernel.echo) as server:
        assert peer.do("churn", peer.kernel4, server.port, 200) == "ok 200"
        assert peer.do("churn", peer.kernel6, server.port, 200) == "ok 200"
    for i in range(200):
        with connect((peer.v4, peer.v6)[i % 2], 8) as s:
            assert s.recv(1) == b""


def test_the_kernel_keeps_its_own_traffic(peer):
    """Both hosts of the one interface are there at the same time."""
    with subprocess.Popen(["ip", "netns", "exec", NS, "python3", "-c",
                           "import socket\n"
                           "l = socket.create_server(('10.78.0.3', 9000)); print(flush=True)\n"
                           "c, _ = l.accept(); n = 0\n"
                           "while d := c.recv(1 << 20): n += len(d)\n"
                           "print(n)"], stdout=subprocess.PIPE, text=True) as sink:
        sink.stdout.readline()
        weir = threading.Thread(target=to_sink, args=(peer.v4, 16 * MB))
        weir.start()
        with connect("10.78.0.3", 9000) as s:
            kernel.write_all(s, 16 * MB)
        weir.join()
        assert int(sink.stdout.readline()) == 16 * MB


def test_only_what_is_for_weir_comes_up(peer):
    ping("10.78.0.3")
    assert "eth_not_ours" not in peer.drops()
    assert "ip4_not_ours" not in peer.drops()
