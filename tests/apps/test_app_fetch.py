# SPDX-License-Identifier: MIT
"""curl and wget as clients: both families, names, ranges, uploads, many at once, time-outs and errors."""
import sys

import pytest

import apps
import places

SERVER = """
import hashlib, http.server, socket, sys, time
class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_PUT(self):
        size = self.headers.get("Content-Length")
        if self.headers.get("Expect") == "100-continue":
            pass  # answered by the library
        data = self.rfile.read(int(size)) if size else b"".join(iter(self.chunk, b""))
        self.answer(hashlib.sha256(data).hexdigest().encode())
    def chunk(self):
        data = self.rfile.read(int(self.rfile.readline(), 16))
        self.rfile.readline()
        return data
    def do_GET(self):
        if self.path == "/who":
            self.answer(self.client_address[0].encode())
        elif self.path == "/hang":
            time.sleep(1000)
        elif self.path == "/short":
            self.send_response(200); self.send_header("Content-Length", "1000"); self.end_headers()
            self.wfile.write(b"x" * 10); self.close_connection = True
        else:
            super().do_GET()
    def answer(self, data):
        self.send_response(200); self.send_header("Content-Length", str(len(data))); self.end_headers()
        self.wfile.write(data)
    def log_message(self, *args):
        pass
class Server(http.server.ThreadingHTTPServer):
    address_family, request_queue_size, daemon_threads = socket.AF_INET6, 50, True
Server(("::", 80), Handler).serve_forever()
"""


@pytest.fixture
def base(hosts):
    hosts.server.start(sys.executable, "-c", SERVER, listens=80)
    return f"http://{hosts.server.addr}"


def test_both_families_to_one_dual_stack_server(hosts, base):
    digest = apps.make_file(hosts.folder / "file", 5_000_000)
    base6 = f"http://[{hosts.server.addr6}]"
    ran = hosts.client.shell("; ".join(f"{get} {url}/{what} {then}" for url in (base, base6) for get in ("curl -sg", "wget -qO-")
                                       for what, then in (("file", "| sha256sum"), ("who", "; echo"))))
    v4, v6 = f"::ffff:{hosts.client.addr}", hosts.client.addr6
    assert ran.out.split() == [digest, "-", v4] * 2 + [digest, "-", v6] * 2, ran


def test_uploads_ranges_and_resumed_files(hosts, base):
    """PUT with Expect: 100-continue, and chunked from a pipe; wget -c goes on where a file ends."""
    digest = apps.make_file(hosts.folder / "file", 5_000_000)
    ran = hosts.client.shell(f"curl -sT file -H 'Expect: 100-continue' {base}/up; echo; cat file | curl -sT - {base}/up")
    assert ran.out.split() == [digest] * 2, ran
    (hosts.folder / "got").mkdir()
    (hosts.folder / "got" / "file").write_bytes((hosts.folder / "file").read_bytes()[:1_234_567])
    # The server knows no ranges and sends all again: both leave a whole file.
    ran = hosts.client.shell(f"cd got && wget -q -c {base}/file; wc -c <file; rm -f file; wget -q {base}/file; sha256sum <file")
    assert ran.out.split()[-2:] == [digest, "-"], ran


def test_forty_at_once_and_many_over_one(hosts, base):
    digest = apps.make_file(hosts.folder / "file", 200_000)
    urls = " ".join(f"-o got{i} {base}/file" for i in range(40))
    ran = hosts.client.shell(f"curl -sZ --parallel-immediate --parallel-max 40 {urls}; sha256sum got* | cut -d' ' -f1 | uniq -c")
    assert ran.out.split() == ["40", digest], ran
    urls = " ".join(f"-o /dev/null {base}/file" for i in range(40))
    ran = hosts.client.shell(f"curl -s {urls} -w '%{{num_connects}}\\n' | sort | uniq -c")
    assert ran.out.split() == ["39", "0", "1", "1"], ran


def test_errors_have_their_own_statuses(hosts, base):
    """curl's statuses: 7 refused, 28 time-out while waiting, 18 the peer closed early, 56 or 52 without an answer."""
    ran = hosts.client.shell(f"curl -s {base}:81/; echo $?; curl -s -m 0.5 {base}/hang; echo $?; "
                             f"curl -s -o /dev/null {base}/short; echo $?; wget -q -T 1 -t 1 -O- {base}/hang; echo $?; "
                             f"wget -q -t 1 -O- {base}:81/; echo $?")
    assert ran.out.split() == ["7", "28", "18", "4", "4"], ran


@places.arrange("both", "nobody")
def test_names_resolve(hosts, base):
    digest = apps.make_file(hosts.folder / "file", 100_000)
    ran = hosts.client.shell("curl -s4 http://server/file | sha256sum; curl -s6 http://server/file | sha256sum; "
                             "wget -qO- http://server/file | sha256sum; curl -s http://nowhere.invalid/; echo $?")
    assert ran.out.split() == [digest, "-"] * 3 + ["6"], ran


@places.arrange("nobody")
def test_without_privilege_a_program_binds_low_ports(hosts, base):
    """As on a host of one's own: the server above listens on port 80 as user nobody."""
    assert hosts.server.run("id", "-u").out == "65534\n" or not apps.is_root()
    assert hosts.client.run("curl", "-s", f"{base}/who").out == f"::ffff:{hosts.client.addr}"
