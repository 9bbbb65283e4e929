# SPDX-License-Identifier: MIT
"""`weir net`: hosts with real programs on a virtual network, both ends on Weir, no privilege."""
import json
import shutil
import subprocess

import pytest

import apps

PYTHON_SERVER = """
import http.server, os, socket, sys
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
os.chdir(sys.argv[2])
Server(("::", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


@pytest.fixture
def folder(tmp_path):
    for up in [tmp_path, *tmp_path.parents]:
        if str(up).startswith("/tmp/"):
            up.chmod(up.stat().st_mode | 0o055)
    (tmp_path / "server.py").write_text(PYTHON_SERVER)
    return tmp_path


def web(folder, port=80):
    return f"host web 10.0.0.1 fd00::1 daemon -- python3 {folder}/server.py {port} {folder}\n"


def sums(ran):
    return [line.split()[0] for line in ran.out.splitlines()]


def test_curl_and_wget_over_both_families(folder):
    digest = apps.make_file(folder / "file", 3_000_000)
    fetch = "; ".join(f"{get} {url} | sha256sum" for get in ("curl -sg", "wget -qO-")
                      for url in ("http://10.0.0.1/file", "'http://[fd00::1]/file'",
                                  "http://web/file"))
    ran = apps.net(web(folder) + f'host cli 10.0.0.2 fd00::2 -- sh -c "{fetch}"\n'
                   "link web cli delay=2ms\n", tmp_path=folder)
    assert ran.status == 0 and sums(ran) == [digest] * 6, ran


@pytest.mark.skipif(not apps.is_root(), reason="runs as nobody already when not root")
def test_the_same_without_privilege(folder):
    digest = apps.make_file(folder / "file", 3_000_000)
    ran = apps.net(web(folder) + 'host cli 10.0.0.2 fd00::2 -- sh -c "id -u; hostname; '
                   'curl -s http://web/file | sha256sum"\nlink web cli\n', tmp_path=folder,
                   prefix=apps.NOBODY)
    assert ran.status == 0 and sums(ran) == ["65534", "cli", digest], ran


@pytest.mark.parametrize("privileged", [True, False])
def test_the_same_without_namespaces(folder, privileged):
    """Where no namespace can be had, names resolve all the same, and UDP is refused, not leaked."""
    digest = apps.make_file(folder / "file", 1_000_000)
    shut = [apps.compile_c("deny.c", folder / "deny"), "unshare"]
    (folder / "udp.py").write_text("import socket\n"
                                   "for f in (socket.AF_INET, socket.AF_INET6):\n"
                                   "    try:\n        socket.socket(f, socket.SOCK_DGRAM)\n"
                                   "    except OSError as e:\n        print(e.errno)\n")
    ran = apps.net(web(folder) + 'host cli 10.0.0.2 fd00::2 -- sh -c "'
                   f'curl -s http://web/file | sha256sum; wget -qO- http://web/file | sha256sum; '
                   f'python3 {folder}/udp.py"\nlink web cli\n', "-v", tmp_path=folder,
                   prefix=shut if privileged or not apps.is_root() else [*apps.NOBODY, *shut])
    import errno
    assert sums(ran) == [digest] * 2 + [str(errno.EACCES)] * 2, ran
    assert "no network namespace" in ran.err


@pytest.mark.parametrize("workers", [False, True])
def test_nginx_and_curl_over_loss_and_delay(folder, workers):
    digest = apps.make_file(folder / "file", 4_000_000)
    conf = apps.nginx_conf(folder, 80, workers)
    ran = apps.net(f"host web 10.0.0.1 fd00::1 daemon -- nginx -c {conf}\n"
                   'host cli 10.0.0.2 fd00::2 -- sh -c "curl -s http://web/file | sha256sum; '
                   'curl -s4 http://web/file | sha256sum"\n'
                   "link web cli delay=5ms jitter=1ms loss=1% reorder=0.5% dup=0.5%\n", "--seed", "5",
                   tmp_path=folder, timeout=apps.HANG)
    assert ran.status == 0 and sums(ran) == [digest] * 2, ran


def test_large_file_both_directions(folder):
    """200 MB down by sendfile, and 200 MB up through netcat."""
    digest = apps.make_file(folder / "file", 200_000_000)
    conf = apps.nginx_conf(folder, 80, False)
    ran = apps.net(f"host web 10.0.0.1 daemon -- nginx -c {conf}\n"
                   f'host sink 10.0.0.3 -- sh -c "nc -l 10.0.0.3 90 </dev/null | sha256sum"\n'
                   'host cli 10.0.0.2 -- sh -c "curl -s http://web/file | sha256sum; '
                   f'nc -N 10.0.0.3 90 <{folder}/file"\n'
                   "link web cli\nlink cli sink\n", tmp_path=folder, timeout=apps.HANG)
    assert ran.status == 0 and sums(ran) == [digest] * 2, ran


def test_keep_alive_uses_one_connection(folder):
    apps.make_file(folder / "file", 1000)
    conf = apps.nginx_conf(folder, 80, False)
    urls = " ".join(["http://web/file -o /dev/null"] * 5)
    ran = apps.net(f"host web 10.0.0.1 daemon -- nginx -c {conf}\n"
                   f"host cli 10.0.0.2 -- curl -s {urls} -w '%{{num_connects}} '\n"
                   "link web cli delay=1ms\n", tmp_path=folder)
    assert (ran.status, ran.out) == (0, "1 0 0 0 0 "), ran


def test_refused_and_unreachable(folder):
    script = ("import socket\n"
              "for where in (('10.0.0.1', 81), ('fd00::1', 81), ('10.9.9.9', 80)):\n"
              "    try:\n"
              "        socket.create_connection(where, 10); print('connected')\n"
              "    except OSError as e:\n"
              "        print(e.errno)\n")
    (folder / "try.py").write_text(script)
    ran = apps.net(web(folder) + f"host cli 10.0.0.2 fd00::2 -- python3 {folder}/try.py\n"
                   "link web cli delay=1ms\n", tmp_path=folder)
    import errno
    assert ran.out.split() == [str(errno.ECONNREFUSED)] * 2 + [str(errno.ENETUNREACH)], ran


def test_resets_and_half_closes_cross_the_network(folder):
    """RST by SO_LINGER 0 and by closing with unread data; the answer after a half-close."""
    (folder / "srv.py").write_text("""
import socket, struct
l = socket.create_server(("10.0.0.1", 80))
a = l.accept()[0]
a.recv(1)
a.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
a.close()
b = l.accept()[0]
b.recv(1)
b.close()  # "rest" is unread
c = l.accept()[0]
data = b""
while True:
    piece = c.recv(1000)
    if not piece:
        break
    data += piece
c.sendall(b"got %d" % len(data))
c.close()
""")
    (folder / "cli.py").write_text("""
import socket
def end_of(s):
    try:
        return s.recv(100)
    except OSError as e:
        return e.errno
s = socket.create_connection(("10.0.0.1", 80)); s.sendall(b"x"); print(end_of(s))
s = socket.create_connection(("10.0.0.1", 80)); s.sendall(b"x" + b"rest"); print(end_of(s))
s = socket.create_connection(("10.0.0.1", 80)); s.sendall(b"y" * 50000)
s.shutdown(socket.SHUT_WR); print(end_of(s), end_of(s))
""")
    ran = apps.net(f"host web 10.0.0.1 -- python3 {folder}/srv.py\n"
                   f"host cli 10.0.0.2 -- sh -c 'sleep 1; exec python3 {folder}/cli.py'\n"
                   "link web cli delay=1ms\n", tmp_path=folder)
    import errno
    assert ran.out.splitlines() == [str(errno.ECONNRESET), str(errno.ECONNRESET),
                                    "b'got 50000' b''"], ran
    assert ran.status == 0


@pytest.mark.parametrize("programs, status", [
    (["true", "true"], 0),
    (["true", "exit 3"], 3),
    (["exit 5", "exit 3"], 5),
    (["true", "kill -9 $$"], 137),
])
def test_exit_status_is_of_the_first_that_failed(programs, status, folder):
    text = "".join(f"host h{i} 10.0.0.{i + 1} -- sh -c '{program}'\n"
                   for i, program in enumerate(programs))
    assert apps.net(text, tmp_path=folder).status == status


def test_daemons_are_ended_and_do_not_count(folder):
    """One ends at SIGTERM, one takes no notice and is killed; its children too."""
    ran = apps.net("host a 10.0.0.1 daemon -- sh -c 'trap \"echo bye; exit 4\" TERM; "
                   "python3 -m http.server --bind 10.0.0.1 80 & wait'\n"
                   "host b 10.0.0.2 daemon -- sh -c 'trap \"\" TERM; while :; do sleep 0.1; done'\n"
                   "host c 10.0.0.3 -- sh -c 'exit 0'\n", tmp_path=folder, timeout=apps.HANG)
    assert ran.status == 0, ran
    assert ran.out.endswith("bye\n")


def test_a_daemon_that_fails_by_itself_counts(folder):
    ran = apps.net("host a 10.0.0.1 daemon -- sh -c 'exit 6'\n"
                   "host b 10.0.0.2 -- sleep 0.3\n", tmp_path=folder)
    assert ran.status == 6 and "a: sh exited with 6" in ran.err


def test_a_program_that_is_not_there(folder):
    ran = apps.net("host a 10.0.0.1 daemon -- sleep 100\nhost b 10.0.0.2 -- no-such-program\n",
                   tmp_path=folder, timeout=apps.HANG)
    assert ran.status == 127 and "b: no-such-program: no such program" in ran.err


def test_three_hosts_at_a_switch(folder):
    digest = apps.make_file(folder / "file", 1_000_000)
    get = 'sh -c "curl -sg http://web/file | sha256sum; curl -s4 http://web/file | sha256sum"'
    ran = apps.net(web(folder) + f"host a 10.0.0.2 fd00::2 -- {get}\nhost b 10.0.0.3 fd00::3 -- {get}\n"
                   "switch sw\nlink web sw\nlink a sw delay=1ms\nlink sw b\n", tmp_path=folder)
    assert ran.status == 0 and sums(ran) == [digest] * 4, ran


def test_a_host_with_two_links(folder):
    """The server is reached by each client over the client's own link only."""
    digest = apps.make_file(folder / "file", 500_000)
    get = 'sh -c "curl -s http://web/file | sha256sum; curl -s4 http://web/file | sha256sum"'
    ran = apps.net(web(folder) + f"host a 10.0.0.2 fd00::2 -- {get}\nhost b 10.0.0.3 fd00::3 -- {get}\n"
                   "link web a delay=1ms\nlink web b delay=3ms\n", tmp_path=folder)
    assert ran.status == 0 and sums(ran) == [digest] * 4, ran


needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark")


def tshark(capture, *words):
    done = subprocess.run(["tshark", "-r", capture, "-o", "tcp.check_checksum:TRUE",
                           "-o", "ip.check_checksum:TRUE", *words],
                          capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@needs_tshark
def test_captures_open_and_hold_no_malformed_packet(folder):
    apps.make_file(folder / "file", 300_000)
    get = "curl -s http://web/file -o /dev/null"
    text = (web(folder) + f"host a 10.0.0.2 fd00::2 -- {get}\nhost b 10.0.0.3 fd00::3 -- {get}\n"
            "link web a\nlink web b delay=1ms\n")
    ran = apps.net(text, "--pcap", folder / "all.pcapng", "--keep", folder / "kept", tmp_path=folder)
    assert ran.status == 0, ran
    kept = sorted(p.name for p in (folder / "kept").iterdir())
    assert kept == ["1-web-a.pcapng", "2-web-b.pcapng", "a.log", "b.log", "web.log"]
    assert "GET /file" in (folder / "kept/web.log").read_text()
    bad = "_ws.malformed || tcp.checksum.status == \"Bad\" || ip.checksum.status == \"Bad\""
    for capture in [folder / "all.pcapng", *sorted((folder / "kept").glob("*.pcapng"))]:
        assert len(tshark(capture)) > 20
        assert tshark(capture, "-Y", bad) == []
    times = [float(t) for t in tshark(folder / "all.pcapng", "-T", "fields", "-e",
                                      "frame.time_epoch")]
    assert times == sorted(times)
    assert len(times) == sum(len(tshark(p)) for p in (folder / "kept").glob("*.pcapng"))


@needs_tshark
def test_exact_rules_drop_what_they_name(folder):
    apps.make_file(folder / "file", 100_000)
    ran = apps.net(web(folder) + f"host cli 10.0.0.2 -- curl -s http://10.0.0.1/file -o {folder}/got\n"
                   "link cli web rules='drop syn 1'\n", "--pcap", folder / "x.pcapng",
                   tmp_path=folder)
    assert ran.status == 0, ran
    assert (folder / "got").read_bytes() == (folder / "file").read_bytes()
    syns = tshark(folder / "x.pcapng", "-Y", "tcp.flags.syn == 1 && tcp.flags.ack == 0")
    assert len(syns) == 2


# ---- weir run --net ---------------------------------------------------------------------------------

def run_on_net(text, *words, folder, **kwargs):
    (folder / "the.net").write_text(text)
    return apps.weir("run", "--net", str(folder / "the.net") + kwargs.pop("host", ""), *words, **kwargs)


def test_a_program_of_the_command_line_joins_a_network(folder):
    """It waits for the daemon, though the file names it first; it has standard input, and its status counts."""
    apps.make_file(folder / "file", 100_000)
    text = ("host me 10.0.0.2 fd00::2\n" + web(folder) + "host idle 10.0.0.3 -- sleep 100\n"
            "switch sw\nlink web sw delay=5ms\nlink me sw\nlink idle sw\n")
    ran = run_on_net(text, "--", "sh", "-c",
                     "hostname; cat; curl -s http://web/file | wc -c; curl -sg 'http://[fd00::1]/file' | wc -c; exit 7",
                     folder=folder, stdin=b"from here\n")
    assert ran.status == 7, ran
    assert ran.out.split() == ["me", "from", "here", "100000", "100000"]


def test_its_links_are_impaired_and_captured(folder):
    text = web(folder) + "host me 10.0.0.2\nlink web me\n"
    times = []
    for more in ([], ["--impair", "delay=60ms"]):
        ran = run_on_net(text, *more, "--pcap", str(folder / "all.pcapng"), "--", "curl", "-s", "-o", "/dev/null",
                         "-w", "%{time_connect}", "http://10.0.0.1/", folder=folder, host=",me")
        assert ran.status == 0, ran
        times.append(float(ran.out))
    assert times[0] < 0.06 and times[1] > 0.119
    assert (folder / "all.pcapng").stat().st_size > 1000


@pytest.mark.parametrize("text, host, words, said", [
    ("host a 10.0.0.1 -- true\n", "", [], "every host has a program"),
    ("host a 10.0.0.1\nhost b 10.0.0.2\n", "", [], "several hosts have no program"),
    ("host a 10.0.0.1 -- true\n", ",a", [], "has a program already"),
    ("host a 10.0.0.1\n", ",b", [], "no host \"b\""),
    ("hots a\n", "", [], "the.net:1:"),
    ("host a 10.0.0.1\n", "", ["--addr", "10.0.0.9/24"], "--net says the links and addresses itself"),
    ("host a 10.0.0.1\n", "", ["--tun", "weirno0"], "--net says the links and addresses itself"),
])
def test_what_net_of_run_refuses(text, host, words, said, folder):
    ran = run_on_net(text, *words, "--", "true", folder=folder, host=host)
    assert ran.status == 2 and said in ran.err, ran


def test_a_program_in_front_that_is_not_there_or_is_killed(folder):
    text = "host a 10.0.0.1\nhost b 10.0.0.2 daemon -- sleep 100\n"
    ran = run_on_net(text, "--", "no-such-program", folder=folder)
    assert ran.status == 127 and "no-such-program: no such program" in ran.err
    assert run_on_net(text, "--", "sh", "-c", "kill -9 $$", folder=folder).status in (-9, 137)
