# SPDX-License-Identifier: MIT
"""A static Go program (net/http, no libc): epoll and system calls of its own runtime."""
import pytest

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


@places.arrange(*places.ARRANGEMENTS, "one")
@pytest.mark.parametrize("family", [4, 6])
def test_go_serves_go(hosts, family):
    web = apps.built("web")
    server = hosts.server.start(web, "server", 80, listens=80)
    address = hosts.server.addr if family == 4 else hosts.server.addr6
    ran = hosts.client.run(web, "client", address, 80)
    assert (ran.status, ran.out) == (0, DONE), ran
    assert server.stop() == 0 and server.out.startswith("connections "), server
