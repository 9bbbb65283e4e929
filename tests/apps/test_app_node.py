# SPDX-License-Identifier: MIT
"""node: http server, fetch, and cluster, whose workers get each connection from the first process by
SCM_RIGHTS (rr), or accept from its one listening socket (none)."""
import pytest

import apps
import places

pytestmark = pytest.mark.skipif(apps.need("node") is not None, reason=str(apps.need("node")))


def done(processes):
    return f"""pieces true
upload true
concurrent 100
kept alive 1
processes {processes}
given up: TimeoutError
server saw the close true
half-close true
refused ECONNREFUSED
"""


@pytest.mark.parametrize("what, policy, family", [("server", "rr", 6), ("cluster", "rr", 4),
                                                  ("cluster", "none", 4)])
@places.arrange(*places.ARRANGEMENTS, "one")
def test_node_serves_node(hosts, what, policy, family):
    web = apps.HERE / "web.mjs"
    server = hosts.server.start("node", web, what, 80, listens=80,
                                env={"NODE_CLUSTER_SCHED_POLICY": policy})
    address = hosts.server.addr if family == 4 else hosts.server.addr6
    processes = 2 if what == "cluster" else 1
    ran = hosts.client.run("node", web, "client", address, 80, processes)
    assert (ran.status, ran.out) == (0, done(processes)), ran
    assert server.stop() == 0, server
