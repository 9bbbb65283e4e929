# SPDX-License-Identifier: MIT
"""`weir ss`, `weir sysctl`, `weir ping` and `weir nc` over the control sockets of running hosts.

Where a tool has a model on Linux (ss, sysctl, nc), what is expected is what that prints or does.
"""
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time

import pytest

import apps

SERVER = """
import socket, sys, threading, time
def echo(c):
    while (d := c.recv(65536)):
        c.sendall(d)
    c.close()
socks = [socket.create_server(("0.0.0.0", 80)), socket.create_server(("::", 90),
         family=socket.AF_INET6), socket.socket(socket.AF_INET6)]
socks[2].bind(("::", 91)); socks[2].listen()
def serve(s):
    while True:
        threading.Thread(target=echo, args=(s.accept()[0],), daemon=True).start()
for s in socks:
    threading.Thread(target=serve, args=(s,), daemon=True).start()
time.sleep(1000)
"""


class Hosts:
    """`weir net` with an echoing server `web`, and `cli`; names are this run's own."""

    def __init__(self, folder):
        self.runtime = folder / "run"
        self.runtime.mkdir(mode=0o700)
        (folder / "server.py").write_text(SERVER)
        (folder / "file.net").write_text(
            f"host web 10.0.0.1 fd00::1 daemon -- python3 {folder}/server.py\n"
            "host cli 10.0.0.2 fd00::2 -- sleep 1000\nlink web cli delay=1ms\n")
        self.env = dict(os.environ, XDG_RUNTIME_DIR=str(self.runtime))
        self.process = subprocess.Popen([apps.WEIR, "net", folder / "file.net"], env=self.env,
                                        stderr=subprocess.PIPE)
        for _ in range(200):
            if "LISTEN" in self.weir("ss", "--host", "web", "-l", "sport", "=", ":91").stdout:
                return
            time.sleep(0.05)
        raise AssertionError("the server does not listen")

    def weir(self, *words, data=None, timeout=apps.HANG, prefix=()):
        return subprocess.run([*prefix, apps.WEIR, *words], env=self.env, input=data, timeout=timeout,
                              capture_output=True, text=not isinstance(data, bytes))

    def start(self, *words, **kwargs):
        return subprocess.Popen([apps.WEIR, *words], env=self.env, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs)

    def rows(self, host, *words):
        return json.loads(self.weir("ss", "--host", host, "-J", *words).stdout)

    def talk(self, host):
        s = socket.socket(socket.AF_UNIX)
        s.connect(str(self.runtime / "weir" / f"{host}.{self.process.pid}"))
        s.settimeout(10)
        return s

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=apps.HANG)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    hosts = Hosts(tmp_path_factory.mktemp("control"))
    yield hosts
    hosts.end()
    assert list((hosts.runtime / "weir").iterdir()) == []  # sockets go with their hosts


@pytest.fixture
def connection(hosts):
    """An open connection from cli to web, by nc."""
    client = hosts.start("nc", "--host", "cli", "10.0.0.1", "80")
    client.stdin.write(b"hello\n")
    client.stdin.flush()
    assert client.stdout.readline() == b"hello\n"
    yield client
    client.stdin.close()
    assert client.wait(apps.HANG) == 0
    client.stdout.close()
    client.stderr.close()


# --- the socket itself ------------------------------------------------------------------------------


def test_only_the_owner_can_come_near(hosts):
    folder = hosts.runtime / "weir"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700 and folder.stat().st_uid == os.geteuid()


@pytest.mark.skipif(not apps.is_root(), reason="takes root to become somebody else")
def test_another_user_is_refused_though_he_gets_at_the_socket(hosts):
    """The folder is made passable: SO_PEERCRED still says who it is."""
    folders = [hosts.runtime / "weir", *(hosts.runtime / "weir").parents]
    before = [(f, f.stat().st_mode) for f in folders if str(f).startswith("/tmp/")]
    path = folders[0] / f"web.{hosts.process.pid}"
    try:
        for folder, mode in before:
            folder.chmod(mode | 0o711)
        path.chmod(0o777)
        ask = ("import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
               "s.settimeout(5)\ntry:\n s.sendall(b'{\"op\":\"hello\"}\\n'); print(s.recv(100))\n"
               "except OSError as e: print('refused')")
        ran = subprocess.run([*apps.NOBODY, sys.executable, "-c", ask, path], capture_output=True, text=True)
        assert ran.stdout.strip() in ("b''", "refused"), ran
        # Nor does its owner trust the folder now.
        assert hosts.weir("ss", "--host", "web").returncode == 1
    finally:
        for folder, mode in before:
            folder.chmod(mode)
    assert hosts.weir("ss", "--host", "web").returncode == 0


def test_a_folder_that_lets_others_in_is_not_used(hosts, tmp_path):
    (tmp_path / "weir").mkdir(mode=0o755)
    env = dict(hosts.env, XDG_RUNTIME_DIR=str(tmp_path))
    ran = subprocess.run([apps.WEIR, "run", "--host", "x", "--", "true"], env=env, timeout=apps.HANG)
    assert ran.returncode == 0 and list((tmp_path / "weir").iterdir()) == []


def test_what_a_killed_host_left_is_removed(hosts):
    """By its guard, or, if that was killed with it, by the next who looks: a socket that nobody serves."""
    killed = hosts.start("run", "--host", "gone", "--", "sleep", "100")
    path = hosts.runtime / "weir" / f"gone.{killed.pid}"
    for _ in range(400):
        if path.exists():
            break
        time.sleep(0.05)
    assert path.exists()
    killed.kill()
    killed.communicate()  # ends when the last of its processes has
    for _ in range(200):
        if not path.exists():
            break
        time.sleep(0.05)
    assert not path.exists()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    ran = hosts.weir("ss", "--host", "gone")
    assert ran.returncode == 1 and "no host called gone" in ran.stderr
    assert not path.exists()


def test_names(hosts):
    pid = hosts.process.pid
    # Hosts of other folders of the user's are listed, too.
    names = sorted(name for name in hosts.weir("ss", "--hosts").stdout.split() if name.endswith(f".{pid}"))
    assert names == [f"cli.{pid}", f"web.{pid}"]
    assert hosts.weir("ss", "--host", f"web.{pid}").returncode == 0
    for which in ([], ["--host", str(pid)]):  # both hosts fit
        ran = hosts.weir("ss", *which)
        assert ran.returncode == 1 and f"web.{pid}" in ran.stderr and f"cli.{pid}" in ran.stderr
    assert hosts.weir("run", "--host", "a/b", "--", "true").returncode == 0  # its last part: b


@pytest.mark.parametrize("said", [
    b"\n", b"[]\n", b"nonsense\n", b"{}\n", b'{"op":5}\n', b'{"op":"hello"\n', b"\0\0\0\n",
    b'{"op":"hello","op":"hello"}\n', b"[" * 4000 + b"\n", b"x" * 5000, b"x" * 100000,
    b'{"op":"sysctl"}\n', b'{"op":"sysctl","name":7}\n', b'{"op":"sysctl","name":"a\\u0000b"}\n',
    b'{"op":"open"}\n', b'{"op":"open","type":"stream"}\n', b'{"op":"nonesuch"}\n',
    b'{"op":"open","type":"stream","peer":{"addr":"10.0.0.1","port":99999}}\n',
    b'{"op":"open","type":"stream","peer":{"addr":"x","port":1}}\n',
    b'{"op":"open","type":"ping","peer":"10.0.0.1"}\n', b'{"op":"accept"}\n',
    b'{"op":"listen","type":"dgram","local":{"addr":"0.0.0.0","port":1}}\n',
])
def test_hostile_requests_get_an_error_and_no_more(hosts, said):
    with hosts.talk("web") as s:
        try:
            s.sendall(said)
        except OSError:
            pass
        try:
            answer = s.recv(65536)
        except ConnectionResetError:
            answer = b""
        assert answer == b"" or json.loads(answer.split(b"\n")[0])["error"], answer
    assert hosts.weir("sysctl", "--host", "web", "-n", "net.ipv4.tcp_sack").stdout == "1\n"


def test_random_bytes_and_broken_conversations(hosts):
    data = hashlib.shake_256(b"control").digest(200_000)
    for i in range(60):
        with hosts.talk("web") as s:
            piece = data[i * 3000:i * 3000 + 1 + i * 50]
            if i % 2:
                piece = b'{"op":"sockets","info":true}\n' * (i + 1) + piece
            try:
                s.sendall(piece + b"\n")
            except OSError:
                pass
            # and goes without having read anything
    assert len(hosts.rows("web", "-l")) == 3


def test_one_who_does_not_read_holds_up_nobody(hosts):
    talks = [hosts.talk("web") for _ in range(40)]  # more than are served at once
    for s in talks:
        s.setblocking(False)
        try:
            for _ in range(200):
                s.send(b'{"op":"sysctls"}\n' * 10)
        except OSError:
            pass
    started = time.monotonic()
    echoed = hosts.weir("nc", "--host", "cli", "10.0.0.1", "80", data="still here\n")
    assert echoed.stdout == "still here\n" and time.monotonic() - started < 5, echoed
    for s in talks:
        s.close()
    assert hosts.weir("ss", "--host", "web").returncode == 0


# --- sysctl ------------------------------------------------------------------------------------------


def sysctl(hosts, *words, **kwargs):
    return hosts.weir("sysctl", "--host", "cli", *words, **kwargs)


def test_sysctl_shows_as_sysctl_does(hosts):
    ran = sysctl(hosts, "net.ipv4.tcp_rmem", "net/ipv4/tcp_sack")
    assert (ran.returncode, ran.stdout) == (
        0, "net.ipv4.tcp_rmem = 4096\t131072\t33554432\nnet.ipv4.tcp_sack = 1\n")
    assert sysctl(hosts, "-n", "net.ipv4.tcp_sack").stdout == "1\n"
    assert sysctl(hosts, "-N", "net.ipv4.tcp_sack").stdout == "net.ipv4.tcp_sack\n"
    assert sysctl(hosts, "-b", "net.ipv4.tcp_sack").stdout == "1"
    everything = sysctl(hosts, "-a").stdout.splitlines()
    assert everything == sorted(everything) and len(everything) > 50
    names = sysctl(hosts, "-N", "-r", r"^net\.ipv4\.tcp_keepalive").stdout.split()
    assert names == [f"net.ipv4.tcp_keepalive_{x}" for x in ("intvl", "probes", "time")]


def test_sysctl_sets_on_this_host_alone(hosts):
    ran = sysctl(hosts, "-w", "net.ipv4.tcp_fin_timeout=30", "net.ipv4.tcp_wmem = 4096 20000")
    assert (ran.returncode, ran.stdout) == (
        0, "net.ipv4.tcp_fin_timeout = 30\nnet.ipv4.tcp_wmem = 4096\t20000\t4194304\n")
    assert sysctl(hosts, "-q", "net.ipv4.tcp_fin_timeout=60").stdout == ""
    assert hosts.weir("sysctl", "--host", "web", "-n", "net.ipv4.tcp_wmem").stdout == \
        "4096\t16384\t4194304\n"


def test_sysctl_errors(hosts):
    for words, text in [(["net.ipv4.nonsense"], "there is no net.ipv4.nonsense"),
                        (["net.ipv4.nonsense=1"], "there is no net.ipv4.nonsense"),
                        (["net.ipv4.tcp_fin_timeout=121"], "invalid argument"),
                        (["net.ipv4.tcp_fin_timeout=x"], "invalid argument"),
                        (["net.ipv4.tcp_congestion_control=vegas9"], "nothing of that name"),
                        (["net.ipv4.tcp_available_congestion_control=reno"], "permission denied"),
                        (["-w", "net.ipv4.tcp_sack"], "NAME=VALUE")]:
        ran = sysctl(hosts, *words)
        assert ran.returncode == 1 and text in ran.stderr and ran.stdout == "", ran
    ran = sysctl(hosts, "-e", "net.ipv4.nonsense")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert sysctl(hosts).returncode == 2


def test_sysctl_loads_a_file(hosts):
    ran = sysctl(hosts, "-p", "-", data="# comment\n\n net.ipv4.tcp_orphan_retries = 3\n")
    assert (ran.returncode, ran.stdout) == (0, "net.ipv4.tcp_orphan_retries = 3\n"), ran
    ran = sysctl(hosts, "-p", "-", data="what is this\n")
    assert ran.returncode == 1 and "-:1:" in ran.stderr


def test_a_set_tunable_is_felt(hosts):
    """LNX-SYSCTL-18: the range is what ephemeral ports come from."""
    assert sysctl(hosts, "net.ipv4.ip_local_port_range=45000 45001").returncode == 0
    client = hosts.start("nc", "--host", "cli", "10.0.0.1", "80")
    client.stdin.write(b"x\n")
    client.stdin.flush()
    client.stdout.readline()
    ports = [row["local"]["port"] for row in hosts.rows("cli", "-t")]
    client.communicate(timeout=apps.HANG)
    assert ports and set(ports) <= {45000, 45001}
    sysctl(hosts, "net.ipv4.ip_local_port_range=32768 60999")


# --- ss ----------------------------------------------------------------------------------------------


def lines(hosts, host, *words):
    ran = hosts.weir("ss", "--host", host, *words)
    assert ran.returncode == 0, ran
    return [line.split() for line in ran.stdout.splitlines()]


def test_ss_columns(hosts, connection):
    header, *rows = lines(hosts, "web", "-tan")
    assert header == "State Recv-Q Send-Q Local Address:Port Peer Address:Port Process".split()
    assert ["LISTEN", "0", "128", "0.0.0.0:80", "0.0.0.0:*"] in rows
    assert ["LISTEN", "0", "128", "[::]:90", "[::]:*"] in rows  # IPV6_V6ONLY
    assert ["LISTEN", "0", "128", "*:91", "*:*"] in rows
    established = [row for row in rows if row[0] == "ESTAB"]
    assert len(established) == 1 and established[0][3] == "10.0.0.1:80"
    assert established[0][4].startswith("10.0.0.2:")
    assert lines(hosts, "web", "-a")[0][0] == "Netid"
    assert any(row[4:6] == ["0.0.0.0:http", "0.0.0.0:*"] for row in lines(hosts, "web", "-a"))
    assert [row[0] for row in lines(hosts, "web", "-H", "-l", "-t")] == ["LISTEN"] * 3
    assert [row[0] for row in lines(hosts, "web", "-H", "-t")] == ["ESTAB"]
    assert lines(hosts, "web", "-H", "-u") == []


@pytest.mark.parametrize("words, ports", [
    (["sport", "=", ":80"], [80]),
    (["sport = :80 or sport = :90"], [80, 90]),
    (["( sport = :80 or sport = :90 ) and not sport eq 90"], [80]),
    (["sport", "ge", "90"], [90, 91]),
    (["sport > 80 sport < 91"], [90]),
    (["not ( sport != http )"], [80]),
    (["src", "0.0.0.0"], [80]),
    (["src [::]:91"], [91]),
    (["src *:90 | src :91"], [90, 91]),
    (["state", "listening", "sport", "80"], [80]),
    (["state", "established"], []),
    (["exclude", "listening"], []),
])
def test_ss_filters(hosts, words, ports):
    rows = hosts.rows("web", "-l", *words)
    assert sorted(row["local"]["port"] for row in rows if row["state"] == "LISTEN") == ports


def test_ss_filters_of_addresses(hosts, connection):
    for words, n in [("dst 10.0.0.2", 1), ("dst 10.0.0.0/8", 1), ("dst 10.0.0.3", 0), ("dst 11.0.0.0/8", 0),
                     ("src 10.0.0.1:80 and dst 10.0.0.0/30", 1), ("dst != 10.0.0.2", 0),
                     ("dst fd00::/16", 0), ("dport = :80", 0), ("dport > :1024", 1)]:
        assert len(hosts.rows("web", words)) == n, words


def test_ss_families(hosts):
    assert {row["local"]["port"] for row in hosts.rows("web", "-l4")} == {80}
    assert {row["local"]["port"] for row in hosts.rows("web", "-l6")} == {90, 91}


@pytest.mark.parametrize("words", ["sport =", "sport = x9y", "( sport = 1", "sport = 1 )", "dst 1.2.3.4/40",
                                   "state nonsense", "what", "not", "sport = 1 or", "src < 1.2.3.4",
                                   "( " * 100, "sport = 99999", "src [::1"])
def test_ss_refuses_a_filter_it_does_not_understand(hosts, words):
    ran = hosts.weir("ss", "--host", "web", words)
    assert ran.returncode == 2 and ran.stdout == "" and "ss:" in ran.stderr, ran


def test_ss_tells_programs_timers_and_info(hosts, connection):
    ran = hosts.weir("ss", "--host", "web", "-tnpoime")
    row, more = ran.stdout.splitlines()[1:3]
    user = re.search(r'users:\(\("python3",pid=(\d+),fd=(\d+)\)\)', row)
    assert user, ran.stdout
    assert re.search(r" ino:\d+ sk:[0-9a-f]+", row)
    target = os.readlink(f"/proc/{user[1]}/fd/{user[2]}")
    assert target == "socket:[%s]" % re.search(r"ino:(\d+)", row)[1]
    assert re.search(r"skmem:\(r0,rb\d+,t0,tb\d+,f0,w0,o0,bl0,d0\)", more)
    assert re.search(r" ts sack cubic wscale:\d+,\d+ rto:\d+ rtt:[\d.]+/[\d.]+ ", more), more
    assert " bytes_received:6 " in more and " mss:1448 " in more
    one_line = hosts.weir("ss", "--host", "web", "-tniOH").stdout.splitlines()
    assert len(one_line) == 1 and "bytes_received:6" in one_line[0]


def test_ss_users_of_a_forked_server_are_all_told(hosts):
    """As ss: every process that has the descriptor."""
    code = ("import socket, os, time\ns = socket.create_server(('127.0.0.1', 8080))\n"
            "for _ in range(2):\n    if os.fork() == 0: break\ntime.sleep(100)\n")
    host = hosts.start("run", "--host", "forked", "--", "python3", "-c", code)
    try:
        for _ in range(100):
            ran = hosts.weir("ss", "--host", "forked", "-lp")
            users = re.findall(r'"python3",pid=(\d+),fd=3', ran.stdout)
            if len(users) == 3:
                break
            time.sleep(0.05)
        assert len(set(users)) == 3, ran
        row, = hosts.rows("forked", "-lp")
        assert {str(user["pid"]) for user in row["users"]} == set(users)
    finally:
        for pid in {*users}:
            os.kill(int(pid), signal.SIGKILL)
        host.communicate(timeout=apps.HANG)


def test_ss_time_wait_and_summary(hosts):
    hosts.weir("nc", "--host", "cli", "10.0.0.1", "80", data="x")
    rows = hosts.rows("cli", "state", "time-wait")
    assert rows and all(row["timer"]["name"] == "timewait" and row["timer"]["ms"] <= 60000
                        for row in rows)
    assert "timer:(timewait," in hosts.weir("ss", "--host", "cli", "-o", "state", "time-wait").stdout
    assert not any(row["state"] == "TIME-WAIT" for row in hosts.rows("cli"))
    out = hosts.weir("ss", "--host", "web", "-s").stdout
    assert re.search(r"^TCP: +\d+ \(estab \d+, closed \d+, orphaned 0, timewait \d+\)$", out, re.M)
    assert re.search(r"^TCP +3 +1 +2 *$", out, re.M), out


def test_ss_shows_a_keepalive_timer(hosts):
    code = ("import socket, time\ns = socket.create_server(('127.0.0.1', 80))\n"
            "c = socket.create_connection(('127.0.0.1', 80))\n"
            "c.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)\n"
            "c.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 90)\nprint(1, flush=True)\n"
            "time.sleep(100)\n")
    host = hosts.start("run", "--host", "keeps", "--", "python3", "-c", code)
    try:
        host.stdout.readline()
        out = hosts.weir("ss", "--host", "keeps", "-to").stdout
        assert re.search(r"timer:\(keepalive,1min(2\d|30)sec,0\)", out), out
    finally:
        host.terminate()
        host.communicate(timeout=apps.HANG)


# --- ping --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("addr", ["10.0.0.1", "fd00::1", "10.0.0.2", "127.0.0.1"])
def test_ping_is_answered(hosts, addr):
    ran = hosts.weir("ping", "--host", "cli", "-c", "3", "-i", "0.05", addr)
    assert ran.returncode == 0, ran
    assert len(re.findall(rf"^64 bytes from {addr}: icmp_seq=\d time=[\d.]+ ms$", ran.stdout, re.M)) == 3
    assert "3 packets transmitted, 3 received, 0% packet loss" in ran.stdout
    assert re.search(r"^rtt min/avg/max/mdev = [\d.]+/[\d.]+/[\d.]+/[\d.]+ ms$", ran.stdout, re.M)


def test_ping_sizes(hosts):
    for size in (0, 1, 1472, 1473, 20000):
        ran = hosts.weir("ping", "--host", "cli", "-c", "1", "-s", str(size), "10.0.0.1")
        assert ran.returncode == 0 and f"{size + 8} bytes from 10.0.0.1" in ran.stdout, ran
        assert "wrong" not in ran.stdout


def test_ping_without_an_answer(hosts):
    ran = hosts.weir("ping", "--host", "cli", "-c", "2", "-i", "0.05", "-W", "0.2", "10.0.0.99")
    assert ran.returncode == 2 and "unreachable" in ran.stderr  # no way there
    assert hosts.weir("sysctl", "--host", "web", "-q", "net.ipv4.icmp_echo_ignore_all=1").returncode == 0
    ran = hosts.weir("ping", "--host", "cli", "-c", "2", "-i", "0.05", "-W", "0.2", "10.0.0.1")
    hosts.weir("sysctl", "--host", "web", "-q", "net.ipv4.icmp_echo_ignore_all=0")
    assert ran.returncode == 1 and "2 packets transmitted, 0 received, 100% packet loss" in ran.stdout


def test_ping_ends_with_its_sum_on_interrupt(hosts):
    ping = hosts.start("ping", "--host", "cli", "-i", "0.1", "10.0.0.1")
    ping.stdout.readline(), ping.stdout.readline()
    ping.send_signal(signal.SIGINT)
    out, _ = ping.communicate(timeout=apps.HANG)
    assert ping.returncode == 0 and b"0% packet loss" in out


# --- nc ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("addr, port", [("10.0.0.1", "80"), ("fd00::1", "90")])
def test_nc_carries_both_ways_at_once(hosts, tmp_path, addr, port):
    digest = apps.make_file(tmp_path / "file", 3_000_000)
    data = (tmp_path / "file").read_bytes()
    ran = hosts.weir("nc", "--host", "cli", addr, port, data=data, timeout=apps.HANG)
    assert ran.returncode == 0 and hashlib.sha256(ran.stdout).hexdigest() == digest, ran.stderr


def listening(hosts, *words):
    server = hosts.start("nc", "--host", "web", "-l", "-v", *words)
    assert b"listening" in server.stderr.readline()
    return server


def test_nc_listens_and_half_closes(hosts):
    """Each side says all it has after the other has closed its direction."""
    server = listening(hosts, "4444")
    client = hosts.start("nc", "--host", "cli", "10.0.0.1", "4444")
    assert b"connection from 10.0.0.2" in server.stderr.readline()
    client.stdin.write(b"question")
    client.stdin.close()
    assert server.stdout.read(8) == b"question"
    for host, port, state in (("web", "sport", "CLOSE-WAIT"), ("cli", "dport", "FIN-WAIT-2")):
        for _ in range(100):
            states = [row["state"] for row in hosts.rows(host, port, "=", ":4444")]
            if states == [state] or (host == "web" and state in states):
                break
            time.sleep(0.02)
        assert state in states
    server.stdin.write(b"answer")
    server.stdin.close()
    assert client.stdout.read() == b"answer"
    assert client.wait(apps.HANG) == 0 and server.wait(apps.HANG) == 0
    for process in (client, server):
        process.stdout.close()
        process.stderr.close()


def test_nc_keeps_listening(hosts):
    server = listening(hosts, "-k", "-d", "4445")
    for text in ("one", "two", "three"):
        assert hosts.weir("nc", "--host", "cli", "10.0.0.1", "4445", data=text).returncode == 0
    server.terminate()
    out, _ = server.communicate(timeout=apps.HANG)
    assert out == b"onetwothree"


def test_nc_udp(hosts):
    server = listening(hosts, "-u", "4446")
    client = hosts.start("nc", "--host", "cli", "-u", "10.0.0.1", "4446")
    client.stdin.write(b"ping\n")
    client.stdin.flush()
    assert server.stdout.readline() == b"ping\n"
    server.stdin.write(b"pong\n")
    server.stdin.flush()
    assert client.stdout.readline() == b"pong\n"
    for process in (client, server):
        process.terminate()
        process.communicate(timeout=apps.HANG)


def test_nc_scans(hosts):
    ran = hosts.weir("nc", "--host", "cli", "-z", "10.0.0.1", "79-81", "91")
    assert (ran.returncode, ran.stdout) == (0, "10.0.0.1 80 open\n10.0.0.1 91 open\n"), ran
    ran = hosts.weir("nc", "--host", "cli", "-zv", "10.0.0.1", "79")
    assert (ran.returncode, ran.stdout) == (1, "") and "refused" in ran.stderr


def test_nc_errors_and_patience(hosts):
    ran = hosts.weir("nc", "--host", "cli", "10.0.0.1", "79", data="")
    assert ran.returncode == 1 and "connection refused" in ran.stderr
    ran = hosts.weir("nc", "--host", "cli", "10.9.9.9", "79", data="")
    assert ran.returncode == 1 and "unreachable" in ran.stderr
    idle = hosts.start("nc", "--host", "cli", "-w", "0.2", "10.0.0.1", "80")
    assert idle.wait(apps.HANG) == 0  # nothing came and nothing went
    idle.communicate()
    ran = hosts.weir("nc", "--host", "cli", "-p", "45678", "-s", "10.0.0.2", "10.0.0.1", "80", data="x")
    assert (ran.returncode, ran.stdout) == (0, "x")
    assert any(row["local"]["port"] == 45678 for row in hosts.rows("cli", "state", "time-wait"))
    for words in ([], ["10.0.0.1"], ["10.0.0.1", "x"], ["-z", "-u", "10.0.0.1", "1"], ["-l", "a", "b", "c"]):
        assert hosts.weir("nc", "--host", "cli", *words).returncode == 2


def test_nc_tells_of_a_reset(hosts):
    server = listening(hosts, "4447")
    client = hosts.start("nc", "--host", "cli", "10.0.0.1", "4447")
    server.stderr.readline()
    server.kill()  # its end of the connection is closed; what it had not read makes that a reset
    server.communicate()
    client.stdin.write(b"x" * 100)
    client.stdin.flush()
    _, err = client.communicate(timeout=apps.HANG)
    assert client.returncode in (0, 1)
    left = [row for row in hosts.rows("web") if row["local"]["port"] == 4447 and row["state"] == "ESTAB"]
    assert left == []


# --- a host of its own ---------------------------------------------------------------------------------


@pytest.fixture
def kernel_side():
    if not apps.is_root() or not os.path.exists("/dev/net/tun"):
        pytest.skip("takes root and /dev/net/tun")
    name = f"control-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
    yield name
    subprocess.run(["ip", "netns", "del", name], check=True)


def own(name):
    return ["--netns", name, "--tun", "control0,10.77.0.2/24,fd77::2/64,kernel=10.77.0.1/24,kernel=fd77::1/64"]


def test_ping_the_kernel_from_a_host_of_its_own(hosts, kernel_side):
    for addr in ("10.77.0.1", "fd77::1"):
        # The kernel may not answer the first: its address is a moment old, and IPv6 may still ask for it.
        ran = hosts.weir("ping", *own(kernel_side), "-c", "6", "-i", "0.05", addr)
        assert ran.returncode == 0 and f"64 bytes from {addr}: icmp_seq=6" in ran.stdout, ran


def test_nc_with_the_kernel_from_a_host_of_its_own(hosts, kernel_side, tmp_path):
    if shutil.which("nc") is None:
        pytest.skip("needs nc")
    digest = apps.make_file(tmp_path / "file", 2_000_000)
    with open(tmp_path / "out", "wb") as out:
        sink = subprocess.Popen(["ip", "netns", "exec", kernel_side, "nc", "-l", "-N", "0.0.0.0", "99"],
                                stdin=subprocess.DEVNULL, stdout=out)
    for _ in range(100):
        if ":99" in subprocess.run(["ip", "netns", "exec", kernel_side, "ss", "-ltnH"],
                                   capture_output=True, text=True).stdout:
            break
        time.sleep(0.02)
    ran = hosts.weir("nc", *own(kernel_side), "10.77.0.1", "99", data=(tmp_path / "file").read_bytes())
    assert ran.returncode == 0 and sink.wait(apps.HANG) == 0, ran.stderr
    assert hashlib.sha256((tmp_path / "out").read_bytes()).hexdigest() == digest
    assert list((hosts.runtime / "weir").glob("nc.*")) == []
