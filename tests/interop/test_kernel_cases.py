# SPDX-License-Identifier: MIT
"""Weir and the kernel's TCP/IP: the large, the slow and the odd, each with a device of its own."""

import re
import threading
import time

import pytest

import kernel
from kernel import MB, Peer, Server, connect, from_source, ping, run, to_sink

kernel.enter_namespace()

GB = 1 << 30


def both(peer):
    return (peer.v4, peer.v6)


def test_gigabyte_into_weir():
    with Peer(offload=True) as peer:
        to_sink(peer.v4, GB)


def test_gigabyte_out_of_weir():
    with Peer(offload=True) as peer:
        from_source(peer.v6, GB)


def test_gigabyte_both_ways_at_once_each_side_opening():
    """A connection that the kernel opens and one that Weir opens, in opposite directions."""
    with Peer(offload=True) as peer, Server(kernel.sink) as server:
        thread = threading.Thread(target=to_sink, args=(peer.v4, GB // 2))
        thread.start()
        answer = peer.do("send", peer.kernel4, server.port, GB // 2)
        thread.join()
        assert answer.startswith("ok"), answer


@pytest.mark.parametrize("mtu", [576, 1280, 1400, 4000, 9000])
@pytest.mark.parametrize("offload", [False, True])
def test_mtu(mtu, offload, tmp_path):
    with Peer(mtu=mtu, offload=offload, pcap=tmp_path / "run.pcapng") as peer, \
            Server(kernel.sink) as server:
        for host in both(peer)[:1 + peer.has_v6]:
            to_sink(host, 2 * MB)
            from_source(host, 2 * MB)
        assert peer.do("send", peer.kernel4, server.port, 2 * MB).startswith("ok")


@pytest.mark.parametrize("offload", [False, True])
def test_bulk_over_a_bad_path(offload):
    """Loss, reordering, duplicates and corruption on both ways."""
    with Peer("--impair", "delay=2ms jitter=1ms loss=1% reorder=1% dup=1% corrupt=0.2% seed=11",
              offload=offload) as peer:
        to_sink(peer.v4, 2 * MB)
        from_source(peer.v4, 2 * MB)


@pytest.mark.parametrize("rule", [
    "in drop syn 1", "out drop synack 1", "in drop ack 1", "out drop data 1", "out drop data 3-5",
    "in drop data 2", "in drop data 4-9", "out drop fin 1", "in drop fin 1", "in drop fin 1-2",
    "out dup frame 1-", "in dup frame 1-", "out delay data 2 50ms", "in delay data 2 50ms",
    "out corrupt data 4", "out drop ack 1-3"])
def test_one_loss_is_repaired(rule):
    """The frames of the rule are lost, late or doubled; both streams arrive whole all the same."""
    with Peer("--impair", f"rules='{rule}'", offload=True) as peer:
        to_sink(peer.v4, 60000)
        from_source(peer.v4, 60000)


@pytest.mark.parametrize("rule", ["out drop syn 1", "in drop synack 1", "out drop ack 1"])
def test_one_loss_of_the_handshake_is_repaired(rule):
    with Peer("--impair", f"rules='{rule}'") as peer, Server(kernel.sink) as server:
        assert peer.do("send", peer.kernel4, server.port, 60000).startswith("ok")


def test_zero_window_of_weir(tmp_path):
    """The sink does not read for 5 s: the kernel fills the window and probes."""
    with Peer(offload=True, pcap=tmp_path / "run.pcapng") as peer:
        began = time.monotonic()
        to_sink(peer.v4, 24 * MB, port=10)
        assert time.monotonic() - began >= 5


def test_zero_window_of_the_kernel(tmp_path):
    def lazy(s):
        time.sleep(5)
        kernel.sink(s)

    with Peer(offload=True, pcap=tmp_path / "run.pcapng") as peer, Server(lazy) as server:
        assert peer.do("send", peer.kernel4, server.port, 24 * MB).startswith("ok")


def test_neighbours_are_learned(tmp_path):
    """TAP: the kernel finds Weir by ARP and NDP, and is found."""
    with Peer(tap=True, pcap=tmp_path / "run.pcapng") as peer, Server(kernel.echo) as server:
        run("ip", "neigh", "flush", "dev", peer.name)
        assert peer.do("churn", peer.kernel4, server.port, 1) == "ok 1"
        assert peer.do("churn", peer.kernel6, server.port, 1) == "ok 1"
        to_sink(peer.v4, 1000)
        to_sink(peer.v6, 1000)
        table = run("ip", "neigh", "show", "dev", peer.name)
        for host in both(peer):
            assert re.search(rf"^{re.escape(host)} lladdr [0-9a-f:]+ (router )?(REACHABLE|STALE|DELAY)",
                             table, re.M), table


def test_no_neighbour_is_unreachable(tmp_path):
    """connect(2): EHOSTUNREACH when nobody answers ARP or NDP."""
    with Peer(tap=True, pcap=tmp_path / "run.pcapng") as peer:
        assert peer.do("connect", "10.78.0.77", 7) == "error EHOSTUNREACH"
        assert peer.do("connect", "fd78::77", 7) == "error EHOSTUNREACH"
        assert peer.do("connect", "192.0.2.1", 7) == "error ENETUNREACH"


def test_device_in_a_named_namespace():
    """The device is made in another namespace, and the peer stays in its own."""
    name = "weirlink-test"
    run("ip", "netns", "add", name)
    try:
        with Peer("--netns", name, name="weirlk9") as peer:
            assert "weirlk9" not in run("ip", "link")
            ping(peer.v4, prefix=("ip", "netns", "exec", name))
            assert "10.78.0.1/24" in run("ip", "-n", name, "addr", "show", "dev", "weirlk9")
    finally:
        run("ip", "netns", "del", name)


def test_device_errors_have_names():
    def words(*options):
        out = run(kernel.PEER, *options, check=False)
        return out.strip()

    with Peer():
        assert "still in use" in words("--tun", "weirlk0")
    assert "no such entry" in words("--netns", "there-is-no-such-namespace")
    assert "invalid argument" in words("--tun", "a-name-that-is-too-long-for-an-interface")


@pytest.mark.parametrize("offload", [False, True])
def test_path_mtu_is_learned(offload, tmp_path):
    """RFC 1191, RFC 8201: a router on the path has a smaller MTU. The kernel is the router, and a
    namespace behind it the other end."""
    name = "weirlink-far"
    run("ip", "netns", "add", name)
    try:
        run("ip", "link", "add", "weirfar0", "type", "veth", "peer", "name", "weirfar1", "netns", name)
        for words in ("addr add 10.79.0.1/24 dev weirfar0", "addr add fd79::1/64 dev weirfar0 nodad",
                      "link set weirfar0 mtu 1300 up"):
            run("ip", *words.split())
        for words in ("addr add 10.79.0.2/24 dev weirfar1", "addr add fd79::2/64 dev weirfar1 nodad",
                      "link set weirfar1 mtu 1500 up", "link set lo up",
                      "route add default via 10.79.0.1", "route add default via fd79::1"):
            run("ip", "-n", name, *words.split())
        for path in ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"):
            with open(path, "w") as f:
                f.write("1")
        with Peer("--route", f"default={Peer.kernel4}", "--route", f"default={Peer.kernel6}",
                  offload=offload, pcap=None if offload else tmp_path / "run.pcapng") as peer:
            # With offload the kernel quotes what it was given: checksums it has not finished.
            for host in both(peer):
                fetch_from_behind(name, host)
    finally:
        run("ip", "link", "del", "weirfar0", check=False)  # a namespace that goes takes its devices a moment later
        run("ip", "netns", "del", name)


def fetch_from_behind(name, host):
    """Runs a client in the namespace: 500 kB from the peer's source, each way through the router."""
    program = ("import socket, sys; s = socket.create_connection((sys.argv[1], 19), 20); "
               "s.sendall(b'500000\\n'); n = 0\n"
               "while True:\n"
               "    d = s.recv(65536)\n"
               "    if not d: break\n"
               "    n += len(d)\n"
               "print(n)")
    out = run("ip", "netns", "exec", name, "python3", "-c", program, host, timeout=60)
    assert out.strip() == str(500000 + 64), out


def test_a_device_that_goes_away_ends_the_link():
    """What was connected does not hang the peer: it ends as it should."""
    with Peer() as peer:
        s = connect(peer.v4, 7)
        run("ip", "link", "del", peer.name)
        s.close()
        assert peer.do("connect", peer.kernel4, 7).startswith("error ENET")
