# SPDX-License-Identifier: MIT
"""Apache, prefork (processes that wait in accept) and event (threads and epoll)."""
import os
import signal
import sys

import pytest

import apps
import places

CONF = """
ServerName weir
Listen {port}
PidFile {folder}/apache.pid
DefaultRuntimeDir {folder}
ErrorLog {folder}/error.log
LoadModule mpm_{mpm}_module /usr/lib/apache2/modules/mod_mpm_{mpm}.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule headers_module /usr/lib/apache2/modules/mod_headers.so
LoadModule reqtimeout_module /usr/lib/apache2/modules/mod_reqtimeout.so
DocumentRoot {folder}
EnableSendfile on
RequestReadTimeout header=1
KeepAliveTimeout 5
Header set X-Generation 0
{size}
{extra}
"""
SIZE = {"prefork": "StartServers 5\nMinSpareServers 2\nMaxSpareServers 10\nMaxRequestWorkers 20",
        "event": "StartServers 2\nThreadsPerChild 10\nMinSpareThreads 10\nMaxSpareThreads 40\nMaxRequestWorkers 40"}

both_mpms = pytest.mark.parametrize("mpm", ["prefork", "event"])


def start(hosts, mpm, extra=""):
    if apps.is_root():
        extra += "\nUser nobody\nGroup nogroup\n"
    conf = hosts.folder / "apache.conf"
    conf.write_text(CONF.format(folder=hosts.folder, port=80, mpm=mpm, size=SIZE[mpm], extra=extra))
    return conf, hosts.server.start("apache2", "-f", conf, "-DFOREGROUND", listens=80)


@both_mpms
def test_files_keep_alive_and_many_at_once(hosts, mpm):
    digest = apps.make_file(hosts.folder / "file", 10_000_000)
    small = apps.make_file(hosts.folder / "small", 100_000)
    start(hosts, mpm)
    base, base6 = f"http://{hosts.server.addr}", f"http://[{hosts.server.addr6}]"
    ran = hosts.client.shell(f"curl -s {base}/file | sha256sum; wget -qO- {base6}/file | sha256sum; "
                             f"curl -s -o /dev/null {base}/small -o /dev/null {base}/small -w '%{{num_connects}}\\n'")
    assert ran.out.split() == [digest, "-", digest, "-", "1", "0"], ran
    urls = " ".join(f"-o got{i} {base}/small" for i in range(30))
    ran = hosts.client.shell(f"curl -sZ --parallel-immediate --parallel-max 30 -H Connection:close {urls}; "
                             "sha256sum got* | cut -d' ' -f1 | uniq -c")
    assert ran.out.split() == ["30", small], ran


@both_mpms
def test_children_come_and_go_and_a_graceful_restart_loses_no_request(hosts, mpm):
    """Each child ends after 50 connections; and SIGUSR1 replaces all."""
    (hosts.folder / "small").write_text("small" * 100)
    conf, apache = start(hosts, mpm, "MaxConnectionsPerChild 50")
    load = hosts.client.start(sys.executable, "-c", places.WEB_LOAD, hosts.server.addr, 3)
    progress = hosts.folder / "progress"
    total = lambda: int(progress.read_text() or 0) if progress.exists() else 0
    places.until(lambda: total() > 100, "requests are answered")
    conf.write_text(conf.read_text().replace("Generation 0", "Generation 1"))
    apache.kill(signal.SIGUSR1)
    done = total()
    places.until(lambda: total() > done + 120, "requests are answered")
    (hosts.folder / "stop").touch()
    assert load.wait() == 0, load
    seen = dict(line.split("\t") for line in load.out.splitlines())
    # A child whose getsockname() after accept() met the signal closes the connection (docs/run.md, "How it differs");
    # each of the old ones gets the signal once.
    if mpm == "prefork" and hosts.server.on_weir:
        assert int(seen.pop("ConnectionResetError(104, 'Connection reset by peer')", 0)) <= 2, seen
    assert set(seen) == {"0", "1"}, seen


@both_mpms
def test_a_request_that_does_not_come_is_timed_out_and_sigterm_ends_all(hosts, mpm):
    """Children wait in accept, in poll and in read when SIGTERM comes to them as a process group."""
    _, apache = start(hosts, mpm)
    # Half a request line is not worth an answer to Apache; a request without its last line is.
    script = ("import socket, sys\ncs = [socket.create_connection((sys.argv[1], 80), 20) for _ in range(2)]\n"
              "for c, text in zip(cs, (b'GET / HT', b'GET / HTTP/1.1\\r\\nHost: x\\r\\n')): c.sendall(text)\n"
              "for c in cs: print(c.recv(1000).split(b'\\r\\n')[0])\n")
    ran = hosts.client.run(sys.executable, "-c", script, hosts.server.addr)
    assert ran.out == "b''\nb'HTTP/1.1 408 Request Timeout'\n", ran
    silent = hosts.client.start(sys.executable, "-c", "import socket, sys\n"
                                "c = socket.create_connection((sys.argv[1], 80), 20)\n"
                                "c.sendall(b'GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\n"
                                "print(c.recv(1000), flush=True); print(c.recv(1000))\n", hosts.server.addr)
    places.until(lambda: "HTTP/1.1" in silent.out, "it is answered")
    apache.kill(signal.SIGTERM)
    assert apache.wait(apps.HANG) == 0
    assert silent.wait(apps.HANG) == 0 and "b''" in silent.out, silent
    assert not hosts.server.listens(80)
