# SPDX-License-Identifier: MIT
"""A static program with musl for its C library: a fork for each connection, exec in every other child."""
import apps
import places


@places.over(both=4, serves=6, asks=4, one=6, nobody=6)
def test_a_fork_serves_each_connection(hosts, family):
    forker = apps.built("forker")
    server = hosts.server.start(forker, "server", 7000, listens=7000)
    address = hosts.server.addr if family == 4 else hosts.server.addr6
    ran = hosts.client.run(forker, "client", address, 7000, 20, 10)
    assert (ran.status, ran.out) == (0, "processes 20 of 20\n"), ran
    assert server.stop() == 0 and server.err == "", server
