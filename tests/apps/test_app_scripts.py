# SPDX-License-Identifier: MIT
"""Perl; busybox's httpd, wget and nc; bash's /dev/tcp."""
import hashlib

import pytest

import apps
import places

CGI = """#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
echo "$REMOTE_ADDR $REQUEST_METHOD $CONTENT_LENGTH"
head -c "$CONTENT_LENGTH" | sha256sum
"""

PERL = """at once 60
options 11
peer 7000 1
long good
interrupted by alarm
nothing yet 0
end of file
write after shutdown EPIPE
refused yes
refused yes
"""


@pytest.mark.skipif(apps.need("perl") is not None, reason=str(apps.need("perl")))
@pytest.mark.parametrize("what, family", [("select", 6), ("fork", 4)])
@places.arrange(*places.ARRANGEMENTS, "one")
def test_perl_serves_perl(hosts, what, family):
    server = hosts.server.start("perl", apps.HERE / "lines.pl", what, 7000, listens=7000)
    address = hosts.server.addr if family == 4 else hosts.server.addr6
    ran = hosts.client.run("perl", apps.HERE / "lines.pl", "client", address, 7000)
    assert (ran.status, ran.out) == (0, PERL), ran
    assert server.stop() == 0, server


@pytest.fixture
def web(hosts):
    """busybox httpd: a process for each connection, CGI programs with the connection's data in pipes."""
    if apps.need("busybox"):
        pytest.skip(apps.need("busybox"))
    hosts.digest = apps.make_file(hosts.folder / "file", 8_000_000)
    (hosts.folder / "cgi-bin").mkdir()
    (hosts.folder / "cgi-bin" / "sum").write_text(CGI)
    (hosts.folder / "cgi-bin" / "sum").chmod(0o755)
    hosts.server.start("busybox", "httpd", "-f", "-p", "[::]:80", "-h", hosts.folder, listens=80)
    return hosts


def sums(ran):
    assert ran.status == 0, ran
    return [line.split()[0] for line in ran.out.splitlines()]


def test_busybox_serves_busybox(web):
    urls = [f"http://{a}/file" for a in (web.server.addr, f"[{web.server.addr6}]")]
    fetch = "; ".join(f"busybox wget -q -O- '{url}' | sha256sum" for url in urls)
    assert sums(web.client.shell(fetch)) == [web.digest] * 2
    # Several at once, and a part of the file
    fetch = "; ".join([f"for i in 1 2 3 4 5 6 7 8; do busybox wget -q -O part$i {urls[0]} & done; wait",
                       "sha256sum part*"])
    assert sums(web.client.shell(fetch)) == [web.digest] * 8
    ran = web.client.shell(f"curl -s -r 1000000-2000000 {urls[0]} | wc -c")
    assert ran.out.strip() == "1000001", ran
    # A download that was broken off goes on.
    with open(web.folder / "file", "rb") as whole, open(web.folder / "rest", "wb") as part:
        part.write(whole.read(3_000_001))
    assert sums(web.client.shell(f"busybox wget -q -c -O rest {urls[0]}; sha256sum rest")) == [web.digest]


def test_cgi_programs_take_a_post(web):
    body = b"0123456789" * 30_000
    url = f"http://{web.server.addr}/cgi-bin/sum"
    for words in (["curl", "-s", "-H", "Expect:", "--data-binary", "@-", url],
                  ["busybox", "wget", "-q", "-O-", "--post-file", "body", url]):
        (web.folder / "body").write_bytes(body)
        ran = web.client.run(*words, stdin=body)
        first, second = ran.out.splitlines()
        address, method, length = first.split()
        assert address.removeprefix("[").removeprefix("::ffff:").removesuffix("]") == web.client.addr, ran
        assert (method, length, second.split()[0]) == ("POST", "300000", hashlib.sha256(body).hexdigest())


def test_bash_speaks_http_by_dev_tcp(web):
    script = """
        exec 3<>/dev/tcp/$0/80 || exit 1
        printf 'GET /file HTTP/1.0\\r\\n\\r\\n' >&3
        while IFS= read -r line <&3 && [ "$line" != $'\\r' ]; do :; done
        sha256sum <&3
        exec 3>&-
        { echo 2>/dev/null >/dev/tcp/$0/1; } 2>/dev/null || echo refused
    """
    for address in (web.server.addr, web.server.addr6):
        assert sums(web.client.run("bash", "-c", script, address)) == [web.digest, "refused"]


@pytest.mark.skipif(apps.need("busybox") is not None, reason=str(apps.need("busybox")))
def test_busybox_nc_runs_a_program_for_each_connection(hosts):
    hosts.server.start("busybox", "nc", "-ll", "-p", "7000", "-e", "sha256sum", listens=7000)
    for size in (0, 1, 300_000):
        data = bytes(size)
        ran = hosts.client.run("nc", "-N", hosts.server.addr, 7000, stdin=data)
        assert ran.out.split()[0] == hashlib.sha256(data).hexdigest(), ran
