# SPDX-License-Identifier: MIT
"""A static Go program (net/http, no libc): epoll and system calls of its own runtime, splice, sendfile."""
import signal
import time

import apps
import places

DONE = """upload true
kept alive 1
concurrent 600
client deadline true
server saw the close 1
refused true
read deadline true
then true
accept deadline true
write deadline true
"""


@places.over(both=6, serves=4, asks=6, one=4, nobody=4)
def test_go_serves_go(hosts, family):
    web = apps.built("web")
    server = hosts.server.start(web, "server", 80, listens=80)
    address = hosts.server.addr if family == 4 else hosts.server.addr6
    ran = hosts.client.run(web, "client", address, 80)
    assert (ran.status, ran.out) == (0, DONE), ran
    assert server.stop() == 0 and server.out.startswith("connections "), server


def test_files_by_sendfile_through_a_proxy_by_splice(hosts):
    """A proxy beside the server, which it reaches over its loopback, and one beside the client."""
    web = apps.built("web")
    digest = apps.make_file(hosts.folder / "file", 10_000_000)
    hosts.server.start(web, "server", 80, hosts.folder, listens=80)
    for proxy, name in ((hosts.server, "127.0.0.1"), (hosts.client, hosts.server.addr)):
        proxy.start(web, "proxy", 81, f"{name}:80", listens=81)
        fetch = f"curl -s http://{proxy.addr}:81/files/file | sha256sum"
        ran = hosts.client.shell(f"{fetch} & {fetch} & {fetch} & wait")
        assert [line.split()[0] for line in ran.out.splitlines()] == [digest] * 3, ran
        ran = hosts.client.run("curl", "-s", "-T", hosts.folder / "file", f"http://{proxy.addr}:81/sha256")
        assert ran.out == digest, ran


def test_a_new_process_goes_on_with_the_listening_socket(hosts):
    """A restart that no client notices: the socket is inherited by exec, and the old process stops accepting."""
    web = apps.built("web")
    server = hosts.server.start(web, "server", 80, listens=80)
    go_on = hosts.folder / "go-on"
    go_on.write_text("")
    clients = [hosts.client.start(web, "load", hosts.server.addr, 80, go_on) for _ in range(3)]
    ask = f"curl -s http://{hosts.server.addr}/pid"
    before = hosts.client.shell(ask).out
    assert before == str(server.pid)
    server.kill(signal.SIGHUP)
    places.until(lambda: hosts.client.shell(ask).out not in (before, ""), "the new process answers")
    time.sleep(0.2)
    go_on.unlink()
    for client in clients:
        assert client.wait() == 0 and client.out == "processes 2\n", client
    assert server.stop() == 0 and server.out.count("connections") == 2, server
