# SPDX-License-Identifier: MIT
"""haproxy with two threads in front of two nginx: balancing, a dead server, a reload that passes the listeners on.

Where the client is on Weir and the servers on the kernel, haproxy stands with the client: it listens on Weir's loopback and
connects over the link. Otherwise it stands with the servers.
"""
import signal
import socket
import sys

import apps
import places

CONF = """
global
  nbthread 2
  maxconn 500
  stats socket {folder}/haproxy.sock mode 666 level admin expose-fd listeners
defaults
  timeout connect 5s
  timeout client 20s
  timeout server 20s
frontend web
  mode http
  bind {bind}:8080
  http-response set-header X-Generation {generation}
  default_backend webs
backend webs
  mode http
  balance roundrobin
  http-reuse {reuse}
  option redispatch 1
  retries 2
  default-server check inter 50ms fall 2 rise 1
  server a {web}:81
  server b {web}:82
frontend stream
  mode tcp
  bind {bind}:9090
  default_backend streams
backend streams
  mode tcp
  server a {web}:81
"""

LOAD = """
import collections, os, socket, sys
seen = collections.Counter()
while not os.path.exists("stop"):
    with socket.create_connection((sys.argv[1], 8080), 10) as c:
        c.sendall(b"GET /name HTTP/1.0\\r\\n\\r\\n")
        data = b""
        while (d := c.recv(65536)):
            data += d
    head, _, body = data.partition(b"\\r\\n\\r\\n")
    fields = dict(line.lower().split(b": ") for line in head.split(b"\\r\\n")[1:])
    seen[fields[b"x-generation"].decode() + ("" if body in (b"81", b"82") else repr(data))] += 1
    open("progress", "w").write(str(sum(seen.values())))
print(dict(seen))
"""


class Front:
    """haproxy and its servers."""

    def __init__(self, hosts, reuse="always"):
        self.hosts = hosts
        self.place = hosts.client if hosts.arrangement == "asks" else hosts.server
        self.reuse = reuse
        self.webs = {}
        for port in (81, 82):
            (hosts.folder / str(port)).mkdir()
            (hosts.folder / str(port) / "name").write_text(str(port))
            conf = apps.nginx_conf(hosts.folder / str(port), port, 0, listen="reuseport")
            self.webs[port] = hosts.server.start("nginx", "-c", conf, listens=port)
        self.url = f"http://{self.place.addr}:8080"
        self.proxy = self.start(0)

    def start(self, generation, *words):
        conf = self.hosts.folder / f"haproxy-{generation}.cfg"
        conf.write_text(CONF.format(folder=self.hosts.folder, bind=self.place.addr, web=self.hosts.server.addr,
                                    generation=generation, reuse=self.reuse))
        # -db: in the foreground
        return self.place.start("haproxy", "-db", "-f", conf, *words, listens=9090)

    def command(self, line):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.hosts.folder / "haproxy.sock"))
            s.sendall(line.encode() + b"\n")
            return s.makefile().read()

    def up(self):
        rows = [row.split(",") for row in self.command("show stat").splitlines()]
        return {row[1] for row in rows if row[0] == "webs" and row[1] in ("a", "b") and row[17].startswith("UP")}


def test_requests_are_balanced_and_files_come_whole(hosts):
    front = Front(hosts)
    digest = apps.make_file(hosts.folder / "81" / "file", 20_000_000)
    apps.make_file(hosts.folder / "82" / "file", 20_000_000)
    ran = hosts.client.shell(f"for i in $(seq 10); do curl -s {front.url}/name; echo; done | sort | uniq -c; "
                             f"curl -s {front.url}/file | sha256sum; "
                             f"curl -s http://{front.place.addr}:9090/file | sha256sum")
    assert ran.out.split() == ["5", "81", "5", "82", digest, "-", digest, "-"], ran
    urls = " ".join(f"-o got{i} {front.url}/file" for i in range(8))
    ran = hosts.client.shell(f"curl -sZ --parallel-immediate {urls}; sha256sum got* | cut -d' ' -f1 | uniq -c")
    assert ran.out.split() == ["8", digest], ran


def test_a_dead_server_is_left_out_and_taken_back(hosts):
    front = Front(hosts)
    places.until(lambda: front.up() == {"a", "b"}, "both are up")
    front.webs[81].stop(signal.SIGKILL)
    ran = hosts.client.shell(f"for i in $(seq 10); do curl -s {front.url}/name; done")  # redispatched
    assert ran.out == "82" * 10, ran
    places.until(lambda: front.up() == {"b"}, "the checks notice")
    front.webs[82].stop(signal.SIGKILL)
    places.until(lambda: front.up() == set(), "the checks notice")
    ran = hosts.client.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"{front.url}/name")
    assert ran.out == "503", ran
    hosts.server.start("nginx", "-c", hosts.folder / "81" / "nginx.conf", listens=81)
    places.until(lambda: front.up() == {"a"}, "the checks notice")
    assert hosts.client.run("curl", "-s", f"{front.url}/name").out == "81"


def test_a_reload_takes_the_listeners_over_by_descriptor_passing(hosts):
    """The new process fetches the listening sockets from the old one by SCM_RIGHTS (-x), then the old one ends (-sf)."""
    front = Front(hosts, reuse="never")
    load = hosts.client.start(sys.executable, "-c", LOAD, front.place.addr)
    progress = hosts.folder / "progress"
    total = lambda: int(progress.read_text() or 0) if progress.exists() else 0
    places.until(lambda: total() > 30, "requests are answered")
    old = front.proxy
    front.proxy = front.start(1, "-x", hosts.folder / "haproxy.sock", "-sf", old.pid)
    assert old.wait(apps.HANG) == 0
    done = total()
    places.until(lambda: total() > done + 30, "requests are answered")
    (hosts.folder / "stop").touch()
    assert load.wait() == 0, load
    assert set(eval(load.out)) == {"0", "1"}, load
