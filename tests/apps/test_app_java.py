# SPDX-License-Identifier: MIT
"""Java: HttpServer and HttpClient (channels on dual-stack sockets, epoll), blocking sockets."""
import apps
import places

JAVA = ("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-cp")

DONE = """upload true
kept alive 1
concurrent 100
request timed out
gathered true
read timed out
half-close true
accept timed out
refused Connection refused
woken: Socket closed
"""


@places.over(both=4, serves=6, asks=4)
def test_java_serves_java(hosts, family):
    folder = apps.built("Web.class").parent
    server = hosts.server.start(*JAVA, folder, "Web", "server", 80, listens=80)
    address = hosts.server.addr if family == 4 else hosts.server.addr6
    ran = hosts.client.run(*JAVA, folder, "Web", "client", address, 80)
    assert (ran.status, ran.out) == (0, DONE), ran
    server.stop()
    assert server.out == "stopped\n", server
