# SPDX-License-Identifier: MIT
"""Python's asyncio: streams and datagrams, between two processes on one port (SO_REUSEPORT) and their client."""
import apps
import places

STREAMS = ("python3", "-B", apps.HERE / "streams.py")

DONE = """connections 100 by 2
half-close True
timed out
reset ECONNRESET
ECONNREFUSED
resolved True
"""


@places.over(both=6, serves=4, asks=6, one=4)
def test_asyncio_serves_asyncio(hosts, family):
    server = hosts.server.start(*STREAMS, "server", 7000, listens=7000)
    address = hosts.server.addr if family == 4 else hosts.server.addr6
    udp = ["udp"] if hosts.arrangement == "one" or apps.datagrams_leave() else []
    ran = hosts.client.run(*STREAMS, "client", address, 7000, *udp)
    assert (ran.status, ran.out) == (0, DONE + ("datagrams 40 by 2\n" if udp else "")), ran
    assert server.stop() == 0, server
