# SPDX-License-Identifier: MIT
"""iperf3, both roles: what the sender counts is what the receiver counts, in both directions and in parallel."""
import json

import pytest

import apps
import places

pytestmark = pytest.mark.skipif(apps.need("iperf3") is not None, reason=str(apps.need("iperf3")))


def measure(hosts, *options, family=4):
    server = hosts.server.start("iperf3", "-s", "-1", "-J", listens=5201)
    address = hosts.server.addr if family == 4 else hosts.server.addr6
    ran = hosts.client.run("iperf3", "-c", address, "-J", *options)
    assert ran.status == 0, ran
    assert server.wait() == 0, server
    here, there = json.loads(ran.out), json.loads(server.out)
    assert "error" not in here and "error" not in there, (ran, server)
    return here["end"], there["end"]


@pytest.mark.parametrize("options, streams, family", [((), 1, 4), (("-P", "4", "-l", "1460", "-N"), 4, 6)])
def test_the_client_sends_for_a_second(hosts, options, streams, family):
    here, there = measure(hosts, "-t", "1", *options, family=family)
    assert len(here["streams"]) == len(there["streams"]) == streams
    sent, received = here["sum_sent"]["bytes"], there["sum_received"]["bytes"]
    # The server ends the test when the client says so; what is on its way then is not counted.
    assert sent > 10_000_000 and 0.5 * sent < received <= sent, (here, there)


@pytest.mark.parametrize("family", [4, 6])
@places.arrange(*places.ARRANGEMENTS, "one")
def test_the_server_sends_by_four_streams(hosts, family):
    size = 100_000_000
    here, there = measure(hosts, "-R", "-P", "4", "-n", size, family=family)
    assert len(here["streams"]) == len(there["streams"]) == 4
    assert size <= here["sum_received"]["bytes"] <= there["sum_sent"]["bytes"], (here, there)


@places.arrange("both", "serves", "asks", "one")
def test_both_directions_at_once_for_a_time(hosts):
    here, _ = measure(hosts, "--bidir", "-t", "1")
    assert here["sum_sent"]["bytes"] > 1_000_000 and here["sum_received_bidir_reverse"]["bytes"] > 1_000_000


@pytest.mark.hosts(impair="delay=2ms loss=0.5% rate=200mbit")
def test_a_poor_link(hosts):
    here, _ = measure(hosts, "-n", "4M", "-P", "2")
    assert here["sum_sent"]["bytes"] >= 4 << 20
    if hosts.client.on_weir:
        assert here["sum_sent"]["retransmits"] > 0  # asked by TCP_INFO


@pytest.mark.parametrize("options", [(), ("-R",)])
@places.over(both=4, serves=6, asks=4, one=6)
def test_datagrams(hosts, options, family):
    """UDP; the control connection, which both ends tell their counts over, is TCP. So few that a receive buffer
    holds them all: a machine with much to do loses none."""
    if hosts.arrangement != "one" and not apps.datagrams_leave():
        pytest.skip("needs /dev/net/tun")
    here, _ = measure(hosts, "-u", "-b", "4M", "-n", "100K", "-l", "1200", *options, family=family)
    assert here["sum"]["packets"] >= 100 * 1024 // 1200 and here["sum"]["lost_packets"] == 0, here
