# SPDX-License-Identifier: MIT
"""UDP, ICMP and raw sockets of programs: `weir run` and `weir net` beside the kernel alone."""
import os
import subprocess
import time

import pytest

import apps

NS, FAR = f"weir-dgram-{os.getpid()}", f"weir-dfar-{os.getpid()}"
SEE = apps.HERE / "datagrams.py"
TUN = ("--netns", NS, "--tun", "wdgram0,10.78.0.2/24,fd78::2/64,kernel=10.78.0.1/24,kernel=fd78::1/64,"
       "gw=10.78.0.1,gw=fd78::1")

pytestmark = pytest.mark.skipif(not os.path.exists("/dev/net/tun"), reason="needs /dev/net/tun")
as_root = pytest.mark.skipif(not apps.is_root(), reason="needs root")
# The device's node may be root's alone here, which it is not where udev made it.
NOBODY = ["unshare", "-m", "sh", "-c", "mount -t tmpfs none /dev/net && "
          'mknod -m 666 /dev/net/tun c 10 200 && exec "$@"', "sh", *apps.NOBODY]
users = pytest.mark.parametrize("prefix", [pytest.param((), id="self"),
                                           pytest.param(NOBODY, id="nobody", marks=as_root)])
families = pytest.mark.parametrize("family, one, two", [("4", "10.0.0.1", "10.0.0.2"),
                                                        ("6", "fd00::1", "fd00::2")])


def sh(text):
    subprocess.run(["sh", "-ec", text], check=True)


def in_ns(ns, *words):
    return ["ip", "netns", "exec", ns, *map(str, words)]


@pytest.fixture
def netns():
    sh(f"ip netns add {NS}; ip -n {NS} link set lo up")
    yield NS
    sh(f"ip netns del {NS}")


@pytest.fixture
def routed(netns):
    """Behind the machine beside the TUN is another, over a link with a smaller MTU."""
    sh(f"""
ip netns add {FAR}
for ns in {NS} {FAR}; do ip netns exec $ns sysctl -qw net.ipv6.conf.default.accept_dad=0; done
ip -n {NS} link add vup mtu 1320 type veth peer name vdn mtu 1320 netns {FAR}
ip -n {NS} addr add 10.79.0.1/24 dev vup; ip -n {NS} addr add fd79::1/64 dev vup nodad
ip -n {FAR} addr add 10.79.0.2/24 dev vdn; ip -n {FAR} addr add fd79::2/64 dev vdn nodad
ip -n {NS} link set vup up; ip -n {FAR} link set vdn up; ip -n {FAR} link set lo up
ip -n {FAR} route add default via 10.79.0.1; ip -n {FAR} route add default via fd79::1
ip netns exec {NS} sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
""")
    yield
    sh(f"ip netns del {FAR}")


def serving(ns, *addresses):
    """An echo server of the kernel's side, which is there when this returns."""
    # On any address: those of the TUN come with the run.
    server = subprocess.Popen(in_ns(ns, "python3", SEE, "serve", *addresses))
    await_port(ns, 7000)
    return server


def await_port(ns, port):
    for _ in range(500):
        listens = subprocess.run(in_ns(ns, "ss", "-Hlnu"), capture_output=True, text=True).stdout
        if f":{port} " in listens:
            return
        time.sleep(0.02)
    raise AssertionError(f"nothing listens on port {port}")


# ---- the same as on the kernel -----------------------------------------------------------------------

@pytest.fixture(scope="module")
def native():
    """What the kernel alone shows, two namespaces side by side, by family."""
    if not apps.is_root():
        pytest.skip("needs root, to ask the kernel")
    sh(f"""
ip netns add {NS}; ip netns add {FAR}
ip -n {NS} link add eth0 type veth peer name eth0 netns {FAR}
for i in "{NS} 1 2" "{FAR} 2 1"; do set -- $i
    ip -n $1 addr add 10.0.0.$2/32 dev eth0; ip -n $1 addr add fd00::$2/128 dev eth0 nodad
    ip -n $1 link set lo up; ip -n $1 link set eth0 up
    ip -n $1 route add 10.0.0.$3/32 dev eth0; ip -n $1 route add fd00::$3/128 dev eth0
done""")
    seen = {}
    for family, one, two in (("4", "10.0.0.1", "10.0.0.2"), ("6", "fd00::1", "fd00::2")):
        server = serving(NS, one)
        done = subprocess.run(in_ns(FAR, "python3", SEE, "watch", family, two, one),
                              capture_output=True, text=True, timeout=apps.HANG)
        assert server.wait(apps.HANG) == 0 and done.returncode == 0, done
        seen[family] = done.stdout
    sh(f"ip netns del {NS}; ip netns del {FAR}")
    return seen


@families
@pytest.mark.parametrize("prefix, how", [((), ""), ((), "switch"),
                                         pytest.param(NOBODY, "", id="nobody", marks=as_root)])
def test_two_hosts_see_what_the_kernel_shows(native, folder, prefix, family, one, two, how):
    links = "switch sw\nlink one sw\nlink two sw\n" if how else "link one two\n"
    ran = apps.net(f"host one {one} daemon -- python3 {SEE} serve {one}\n"
                   f"host two {two} -- python3 {SEE} watch {family} {two} {one}\n"
                   + links, tmp_path=folder, prefix=prefix)
    expected = native[family]
    if prefix:
        expected = expected.replace("ping True", "ping not permitted")
    assert (ran.status, ran.out) == (0, expected), ran


@as_root
@families
def test_against_the_kernel(native, netns, family, one, two):
    one, two = one.replace("10.0", "10.78").replace("fd00", "fd78"), two.replace("10.0", "10.78").replace("fd00", "fd78")
    server = serving(NS, "0.0.0.0", "::")
    try:
        ran = apps.weir("run", *TUN, "--", "sh", "-c",
                        f"sleep 0.2; python3 {SEE} watch {family} {two} {one}")
    finally:
        server.kill()
        server.wait()
    # Here there is a gateway, so there is a route.
    expected = [line for line in native[family].replace("10.0.0.", "10.78.0.").replace("fd00:", "fd78:").splitlines()
                if not line.startswith("no route")]
    assert [line for line in ran.out.splitlines() if not line.startswith("no route")] == expected, ran


@as_root
@families
def test_served_to_the_kernel(native, netns, family, one, two):
    """The same with the server on Weir."""
    one, two = one.replace("10.0", "10.78").replace("fd00", "fd78"), two.replace("10.0", "10.78").replace("fd00", "fd78")
    server = subprocess.Popen([apps.WEIR, "run", *TUN, "--", "python3", SEE, "serve", "0.0.0.0", "::"])
    try:
        time.sleep(0.5)
        done = subprocess.run(in_ns(NS, "python3", SEE, "watch", family, one, two), capture_output=True,
                              text=True, timeout=apps.HANG)
        assert server.wait(apps.HANG) == 0
    finally:
        server.kill()
        server.wait()
    expected = native[family]
    for a, b, c in (("10.0.0.1", "10.0.0.2", "10.78.0."), ("fd00::1", "fd00::2", "fd78::")):
        expected = expected.replace(a, "@").replace(b, c + "1").replace("@", c + "2")
    assert done.stdout.splitlines() == expected.splitlines(), done


# ---- what lies behind --------------------------------------------------------------------------------

PMTU = """
import errno, socket, sys
far, level, discover, mtu = sys.argv[1], *map(int, sys.argv[2:])
s = socket.socket(socket.AF_INET6 if ":" in far else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5); s.connect((far, 7000)); s.setsockopt(level, discover, 2)
s.send(bytes(1400))
try:
    print(s.recv(2000))
except OSError as e:
    print(errno.errorcode[e.errno])
print(s.getsockopt(level, mtu))
s.send(bytes(1320 - 48)); print(len(s.recv(2000)))
s.setsockopt(level, discover, 1)
s.send(bytes(9000)); print(len(s.recv(20000)))
"""


@as_root
@pytest.mark.parametrize("far, level, discover, mtu", [("10.79.0.2", 0, 10, 14), ("fd79::2", 41, 23, 24)])
def test_path_mtu_is_discovered(routed, far, level, discover, mtu):
    """Too big for the second link: told by its router, kept, and what may be cut is cut accordingly."""
    server = serving(FAR, "0.0.0.0", "::")
    try:
        ran = apps.weir("run", *TUN, "--", "python3", "-c", PMTU, far, level, discover, mtu)
    finally:
        server.kill()
        server.wait()
    assert ran.out.split() == ["EMSGSIZE", "1320", str(1320 - 48), "9000"], ran


@as_root
@pytest.mark.parametrize("options, far, first", [((), "10.79.0.2", "10.78.0.1"), (("-I",), "10.79.0.2", "10.78.0.1"),
                                                 ((), "fd79::2", "fd78::1"), (("-I",), "fd79::2", "fd78::1")])
def test_traceroute_counts_the_hops(routed, options, far, first):
    """By UDP and by ICMP. Queries one by one: no router has to limit its answers."""
    ran = apps.weir("run", *TUN, "--", "sh", "-c", "sleep 0.5; exec traceroute -n -q 1 -N 1 -w 2 $*",
                    "sh", *options, far)  # the router's IPv6 begins some time after its device
    hops = [line.split()[1] for line in ran.out.splitlines() if line.split()[0].isdigit()]
    assert hops == [first, far], ran


@as_root
def test_ping_both_ways(netns):
    ran = apps.weir("run", *TUN, "--", "sh", "-c",
                    "ping -c 2 -i 0.2 -s 5000 10.78.0.1 && ping -c 2 -i 0.2 -s 5000 fd78::1 && "
                    "ping -c 1 10.78.0.2 && ping -c 1 -W 1 10.78.0.9; echo $?")
    assert ran.out.count(" 0% packet loss") == 3 and ran.out.endswith("\n1\n"), ran
    server = subprocess.Popen([apps.WEIR, "run", *TUN, "--", "sleep", "60"])
    try:
        time.sleep(0.3)
        subprocess.run(in_ns(NS, "ping", "-c", "2", "-i", "0.2", "-s", "5000", "10.78.0.2"), check=True,
                       capture_output=True)
    finally:
        server.terminate()
        server.wait(apps.HANG)


@as_root
@pytest.mark.parametrize("back", [(), ("-R",)])
@pytest.mark.parametrize("address", ["10.78.0.1", "fd78::1"])
def test_iperf3_by_udp(netns, back, address):
    if apps.need("iperf3"):
        pytest.skip(apps.need("iperf3"))
    server = subprocess.Popen(in_ns(NS, "iperf3", "-s", "-1"), stdout=subprocess.DEVNULL)
    try:
        time.sleep(0.3)
        ran = apps.weir("run", *TUN, "--", "iperf3", "-u", "-b", "10M", "-t", "1", *back, "-J", "-c", address)
        server.wait(apps.HANG)
    finally:
        server.kill()
    import json
    told = json.loads(ran.out)["end"]["sum"]
    # How much is lost tells how busy the machine is; that most arrives is ours.
    assert told["bytes"] > 1_000_000 and told["lost_percent"] < 30, told


@as_root
def test_dig_and_netcat(netns, tmp_path):
    """dig by address; nc -u both ways."""
    import test_run_tun
    (tmp_path / "dns.py").write_text(test_run_tun.DNS_SERVER)
    dns = subprocess.Popen(in_ns(NS, "python3", tmp_path / "dns.py"))
    server = serving(NS, "0.0.0.0", "::")
    await_port(NS, 53)
    try:
        ran = apps.weir("run", *TUN, "--", "sh", "-c",
                        "dig +short +tries=2 +time=1 @10.78.0.1 some.test; "
                        "(echo over; sleep 0.3) | nc -u -w 1 10.78.0.1 7000")
    finally:
        for process in (dns, server):
            process.kill()
            process.wait()
    assert ran.out.split() == ["10.77.0.1", "over"], ran


# ---- what programs are shown -------------------------------------------------------------------------

@as_root
def test_interfaces_show_the_hosts_addresses(netns):
    ran = apps.weir("run", *TUN, "--mtu", "1400", "--addr", "10.80.0.2/16", "--", "sh", "-c",
                    "ip -o addr show dev weir0; ip -o link show dev weir0; ip route; ip -6 route get fd99::1")
    for words in ("inet 10.78.0.2/24", "inet 10.80.0.2/16", "inet6 fd78::2/64", "mtu 1400",
                  "default dev weir0", "10.80.0.0/16 dev weir0", "fd99::1 from :: dev weir0"):
        assert words in ran.out, (words, ran)
    assert "fe80" not in ran.out


@users
def test_without_a_link_nothing_leaves(prefix):
    ran = apps.weir("run", "--addr", "10.81.0.1/24", "--", "python3", "-c",
                    "import socket\n"
                    "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                    "s.bind(('10.81.0.1', 0)); s.sendto(b'self', s.getsockname()); print(s.recv(9).decode())\n"
                    "try:\n    s.sendto(b'x', ('192.0.2.1', 9))\nexcept OSError as e:\n    print(e.errno)\n",
                    prefix=prefix)
    import errno
    assert ran.out.split() == ["self", str(errno.ENETUNREACH)], ran


def test_groups_and_broadcasts_cross_a_switch(folder):
    """Three hosts at a switch: what one sends to a group reaches those that joined it."""
    (folder / "hear.py").write_text(
        "import pathlib, socket, sys\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(30); s.bind(('', 7100))\n"
        "if sys.argv[1] == 'join':\n"
        "    s.setsockopt(0, socket.IP_ADD_MEMBERSHIP, socket.inet_aton('239.9.9.9') + bytes(4))\n"
        "pathlib.Path(__file__).with_name(sys.argv[1]).touch()\n"  # it listens
        "got = set()\n"
        "while b'end' not in got:\n    got.add(s.recv(100))\n"
        "sys.stdout.write(f'{sys.argv[1]} {sorted(got)}\\n')\n")  # in one piece: both write to one pipe
    (folder / "say.py").write_text(
        "import pathlib, socket, time\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)\n"
        "while not all(pathlib.Path(__file__).with_name(name).exists() for name in ('join', 'not')):\n"
        "    time.sleep(0.02)\n"
        "s.setsockopt(socket.SOL_SOCKET, 25, b'weir0')\n"  # SO_BINDTODEVICE: there is no default route
        "s.sendto(b'group', ('239.9.9.9', 7100))\n"
        "s.sendto(b'all', ('255.255.255.255', 7100)); time.sleep(0.2)\n"
        "s.sendto(b'end', ('255.255.255.255', 7100))\n")
    ran = apps.net(f"host a 10.0.0.1 -- python3 {folder}/hear.py join\n"
                   f"host b 10.0.0.2 -- python3 {folder}/hear.py not\n"
                   f"host c 10.0.0.3 -- python3 {folder}/say.py\n"
                   "switch sw\nlink a sw\nlink b sw\nlink c sw\n", tmp_path=folder)
    assert sorted(ran.out.splitlines()) == ["join [b'all', b'end', b'group']", "not [b'all', b'end']"], ran


@as_root
def test_impairments_hold_for_datagrams(netns):
    ran = apps.weir("run", *TUN, "--impair", "delay=30ms", "--", "ping", "-c", "2", "-i", "0.2", "10.78.0.1")
    fastest = float(ran.out.split("min/avg/max/mdev = ")[1].split("/")[0])
    assert fastest >= 60, ran
