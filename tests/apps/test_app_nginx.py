# SPDX-License-Identifier: MIT
"""nginx with two workers: files, reload under load, keep-alive and pipelining as the wire has them."""
import signal
import sys
from pathlib import Path

import pytest

import apps
import places

PIPELINE = """
import socket, sys
c = socket.create_connection((sys.argv[1], 80), 20)
c.sendall(b"".join(b"GET /%s HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n" % p for p in (b"one", b"two", b"three")))
data = b""
while (d := c.recv(65536)):
    data += d
print([part.rpartition(b"\\r\\n")[2].decode() for part in data.split(b"HTTP/1.1 200")[1:]])
"""


def start(hosts, **kwargs):
    conf = apps.nginx_conf(hosts.folder, **{"workers": 2, **kwargs})
    return conf, hosts.server.start("nginx", "-c", conf, listens=80)


def children(pid):
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def test_curl_and_wget_fetch_200_mb_by_sendfile(hosts):
    large, small = (apps.make_file(hosts.folder / f"{n}", n * 1_000_000) for n in (200, 20))
    start(hosts)
    ran = hosts.client.shell(f"curl -s http://{hosts.server.addr}/200 | sha256sum; "
                             f"wget -qO- http://[{hosts.server.addr6}]/20 | sha256sum")
    assert ran.out.split() == [large, "-", small, "-"], ran


@pytest.mark.parametrize("listen", ["", "reuseport"])
def test_two_workers_share_the_connections(hosts, listen):
    """40 at once; with reuseport the stack chooses the worker, by a hash of the addresses."""
    start(hosts, listen=listen, extra="add_header X-Pid $pid;")
    digest = apps.make_file(hosts.folder / "file", 300_000)
    urls = " ".join(f"-o got{i} http://{hosts.server.addr}/file" for i in range(40))
    ran = hosts.client.shell(f"curl -sZ --parallel-immediate --parallel-max 40 -D heads {urls} && cat got* | sha256sum; "
                             "cat got0 | sha256sum; grep -c '200 OK' heads; grep X-Pid heads | sort | uniq -c")
    lines = ran.out.splitlines()
    assert lines[1].split()[0] == digest and lines[2] == "40", ran
    if listen:
        assert len(lines) == 5, ran


def test_reload_under_load_loses_no_request(hosts):
    (hosts.folder / "small").write_text("small" * 100)
    conf, nginx = start(hosts, extra="add_header X-Generation 0;")
    load = hosts.client.start(sys.executable, "-c", places.WEB_LOAD, hosts.server.addr, 4)
    progress = hosts.folder / "progress"
    total = lambda: int(progress.read_text() or 0) if progress.exists() else 0
    for generation in range(1, 4):
        places.until(lambda: total() > 100 * generation, "requests are answered")
        old = children(nginx.pid)
        text = conf.read_text()
        conf.write_text(text.replace(f"Generation {generation - 1}", f"Generation {generation}"))
        nginx.kill(signal.SIGHUP)
        places.until(lambda: len(children(nginx.pid)) == 2 and not old & children(nginx.pid),
                     "two new workers, the old ones gone")
    done = total()
    places.until(lambda: total() > done + 100, "requests are answered by the last generation")
    (hosts.folder / "stop").touch()
    assert load.wait() == 0, load
    seen = dict(line.split("\t") for line in load.out.splitlines())
    assert set(seen) == {"0", "1", "2", "3"}, seen


@pytest.mark.hosts(pcap=True)
def test_keep_alive_pipelining_and_keepalive_timeout_on_the_wire(hosts):
    """curl's two requests go in two segments of one connection, the three pipelined ones in one segment. nginx closes
    an idle connection after its second: its FIN first, then the client's, which read the end; and no RST."""
    for name in ("one", "two", "three"):
        (hosts.folder / name).write_text(f"this is {name}")
    start(hosts, extra="keepalive_timeout 1s;")
    base = f"http://{hosts.server.addr}"
    ran = hosts.client.run("curl", "-s", f"{base}/one", f"{base}/two")
    assert ran.out == "this is onethis is two", ran
    ran = hosts.client.run(sys.executable, "-c", PIPELINE, hosts.server.addr)
    assert ran.out == "['this is one', 'this is two', 'this is three']\n", ran

    rows = hosts.packets("tcp", "tcp.stream", "ip.src", "tcp.time_delta", "tcp.flags", "http.request.uri",
                         "http.response.code")
    assert {int(row[0]) for row in rows} == {0, 1}
    requests = [(stream, uri) for stream, _, _, _, uri, _ in rows if uri]
    assert requests == [("0", "/one"), ("0", "/two"), ("1", "/one,/two,/three")]
    for stream, responses in (("0", 2), ("1", 3)):
        codes = [code for row in rows if row[0] == stream and row[5] for code in row[5].split(",")]
        assert codes == ["200"] * responses
    fins = [(src, float(idle)) for stream, src, idle, flags, _, _ in rows
            if stream == "1" and int(flags, 16) & 1]
    assert [src for src, _ in fins] == [hosts.server.addr, hosts.client.addr]
    assert fins[0][1] > 0.9  # by the capture's clock, since the last segment before
    assert not [row for row in rows if int(row[3], 16) & 4]


def test_a_body_is_uploaded_and_a_slow_reader_gets_all(hosts):
    digest = apps.make_file(hosts.folder / "up", 5_000_000)
    start(hosts, extra="location /put { dav_methods PUT; client_max_body_size 10m; } "
                       "location /slow { alias %s/up; sendfile_max_chunk 64k; }" % hosts.folder)
    base = f"http://{hosts.server.addr}"
    (hosts.folder / "put").mkdir(mode=0o777)
    ran = hosts.client.shell(f"curl -sT up {base}/put/file -o /dev/null -w '%{{http_code}}\n' && sha256sum <put/file; "
                             f"curl -s --limit-rate 8M {base}/slow | sha256sum")
    assert ran.out.split() == ["201", digest, "-", digest, "-"], ran
