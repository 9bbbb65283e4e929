# SPDX-License-Identifier: MIT
"""redis-server with redis-cli and redis-benchmark: pipelining, large values, pub/sub, killed clients."""
import re

import apps
import places


def start(hosts):
    return hosts.server.start("redis-server", "--bind", hosts.server.addr, hosts.server.addr6, "--save", "",
                              "--port", 6379, "--dir", hosts.folder, "--protected-mode", "no", listens=6379)


def cli(hosts, *words, six=False):
    return ["redis-cli", "-h", hosts.server.addr6 if six else hosts.server.addr, *words]


def ask(hosts, *words, **kwargs):
    return hosts.client.run(*cli(hosts, *words), **kwargs)


def info(hosts, section):
    lines = ask(hosts, "INFO", section).out.split("\r\n")
    return dict(line.split(":", 1) for line in lines if ":" in line)


def test_values_small_and_large(hosts):
    start(hosts)
    digest = apps.make_file(hosts.folder / "value", 5_000_000)
    assert ask(hosts, "SET", "name", "weir").out == "OK\n"
    assert hosts.client.run(*cli(hosts, "GET", "name", six=True)).out == "weir\n"
    ran = hosts.client.shell(f"{' '.join(cli(hosts, '-x', 'SET', 'large'))} <value; "
                             f"{' '.join(cli(hosts, 'GET', 'large'))} | head -c 5000000 | sha256sum")
    assert ran.out.split() == ["OK", digest, "-"], ran
    # A thousand commands in one connection, none waiting for the answer of the one before.
    commands = b"".join(b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n" for _ in range(1000))
    ran = ask(hosts, "--pipe", stdin=commands)
    assert "errors: 0, replies: 1000" in ran.out, ran
    assert ask(hosts, "GET", "n").out == "1000\n"


def test_benchmark_plain_and_pipelined(hosts):
    """Every command arrives: redis counts them. Then each of the keys has what was set."""
    start(hosts)
    for more, n in (((), 4000), (("-P", "16"), 40000)):
        ask(hosts, "CONFIG", "RESETSTAT")
        ask(hosts, "FLUSHALL")
        ran = hosts.client.run("redis-benchmark", "-h", hosts.server.addr, "-c", "20", "-n", n, "-t", "set,get,lpush",
                               "-d", "100", "--csv", *more)
        rows = dict(re.findall(r'^"(\w+)","([0-9.]+)"', ran.out, re.M))
        assert ran.status == 0 and {"SET", "GET", "LPUSH"} <= set(rows), ran
        stats = info(hosts, "commandstats")
        calls = {name: int(re.search(r"calls=(\d+)", stats[f"cmdstat_{name}"])[1])
                 for name in ("set", "get", "lpush")}
        # Requests that were under way when the last was answered are counted, too: less than one a client.
        assert all(n <= count <= n + 20 * 16 for count in calls.values()), calls
        assert ask(hosts, "STRLEN", "key:__rand_int__").out == "100\n"
        assert int(ask(hosts, "LLEN", "mylist").out) == calls["lpush"]
    places.until(lambda: int(info(hosts, "clients")["connected_clients"]) == 1, "only the one that asks is left")


def test_publish_and_subscribe(hosts):
    """Three subscribers get two hundred messages each, in order."""
    start(hosts)
    subscribers = [hosts.client.start(*cli(hosts, "SUBSCRIBE", "news")) for _ in range(3)]
    places.until(lambda: ask(hosts, "PUBSUB", "NUMSUB", "news").out.split() == ["news", "3"], "three subscribe")
    lines = "".join(f"PUBLISH news message-{i}\n" for i in range(200))
    ran = ask(hosts, stdin=lines.encode())
    assert ran.out.split() == ["3"] * 200, ran
    for subscriber in subscribers:
        places.until(lambda: "message-199" in subscriber.out, "the last message arrives")
        got = re.findall(r"^message-(\d+)$", subscriber.out, re.M)
        assert got == [str(i) for i in range(200)]
        subscriber.stop()
    places.until(lambda: ask(hosts, "PUBSUB", "NUMSUB", "news").out.split() == ["news", "0"], "none subscribes")


def test_a_killed_client_hears_it(hosts):
    """CLIENT KILL ends a connection whose client waits; CLIENT LIST has the addresses of both."""
    start(hosts)
    blocked = hosts.client.start(*cli(hosts, "BLPOP", "nothing", "0"))
    listed = places.until(lambda: re.findall(r"addr=(\S+) laddr=(\S+) .*cmd=blpop", ask(hosts, "CLIENT", "LIST").out),
                          "the client waits")
    (peer, local), = listed
    assert peer.rpartition(":")[0] == hosts.client.addr
    assert local == f"{hosts.server.addr}:6379"
    assert ask(hosts, "CLIENT", "KILL", "ADDR", peer).out == "1\n"
    assert blocked.wait(apps.HANG) == 1
    assert "Server closed the connection" in blocked.out + blocked.err


def test_a_server_that_dies_is_noticed_and_comes_back(hosts):
    """Killed, it resets nobody but ends all; then nobody listens; a new one takes the port at once."""
    server = start(hosts)
    blocked = hosts.client.start(*cli(hosts, "BLPOP", "nothing", "0"))
    places.until(lambda: "cmd=blpop" in ask(hosts, "CLIENT", "LIST").out, "the client waits")
    server.stop(9)
    assert blocked.wait(apps.HANG) == 1
    ran = ask(hosts, "PING")
    assert ran.status == 1 and "Connection refused" in ran.out + ran.err, ran
    start(hosts)
    assert ask(hosts, "PING").out == "PONG\n"
