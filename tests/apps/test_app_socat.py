# SPDX-License-Identifier: MIT
"""socat: a server that forks, relays, half-close, resets and time-outs; nc of OpenBSD and the traditional one."""
import pytest

import apps
import places

NETCATS = pytest.mark.parametrize("nc", ["nc.openbsd", "nc.traditional"])


def tcp(six, place, port):
    return f"TCP6:[{place.addr6}]:{port}" if six else f"TCP4:{place.addr}:{port}"


@pytest.mark.parametrize("six", [False, True])
def test_a_process_for_each_connection(hosts, six):
    """socat forks for each of 20 connections that are open at once, and each filters its own bytes by a program."""
    bind = f"TCP6-LISTEN:7,bind=[{hosts.server.addr6}]" if six else f"TCP4-LISTEN:7,bind={hosts.server.addr}"
    hosts.server.start("socat", f"{bind},fork,reuseaddr,backlog=40", "EXEC:tr a-z A-Z", listens=7)
    clients = [hosts.client.start("socat", "-", tcp(six, hosts.server, 7), stdin="pipe", stdout="pipe")
               for _ in range(20)]
    for i, client in enumerate(clients):
        client.stdin.write(b"hello %d\n" % i)
    for i, client in enumerate(clients):
        client.stdin.close()
        client.stdin = None
        assert client.stdout.read(100) == b"HELLO %d\n" % i
        assert client.wait(apps.HANG) == 0, client


# When one way has ended socat waits half a second for the other, if nothing is said.
PATIENT = ["-t", str(apps.HANG)]


def test_bytes_both_ways_with_half_close(hosts):
    """What the server sends begins after the client's end of file, and is whole; then through two relays more."""
    digest = apps.make_file(hosts.folder / "there", 10_000_000)
    back = apps.make_file(hosts.folder / "back", 20_000_000)
    hosts.server.start("socat", *PATIENT, f"TCP-LISTEN:7,bind={hosts.server.addr},fork,reuseaddr",
                       "SYSTEM:sha256sum >>seen; cat back", listens=7)
    hosts.server.start("socat", *PATIENT, f"TCP-LISTEN:8,bind={hosts.server.addr},fork,reuseaddr",
                       tcp(False, hosts.server, 7), listens=8)
    hosts.client.start("socat", *PATIENT, f"TCP-LISTEN:9,bind={hosts.client.addr},fork,reuseaddr",
                       tcp(False, hosts.server, 8), listens=9)
    for address in (tcp(False, hosts.server, 7), tcp(False, hosts.client, 9)):
        ran = hosts.client.shell(f"socat {' '.join(PATIENT)} - {address} <there | sha256sum")
        assert ran.out.split()[0] == back, ran
    seen = [line.split()[0] for line in (hosts.folder / "seen").read_text().splitlines()]
    assert seen == [digest] * 2


def test_what_a_client_sees_of_errors(hosts):
    """Refused, a listener's time-out, an address range that is not allowed, a source port."""
    hosts.server.start("socat", f"TCP-LISTEN:8,bind={hosts.server.addr},fork,reuseaddr,range=192.0.2.0/24", "EXEC:cat",
                       listens=8)
    hosts.server.start("socat", f"TCP-LISTEN:9,bind={hosts.server.addr},fork,reuseaddr",
                       "SYSTEM:echo $SOCAT_PEERADDR $SOCAT_PEERPORT $SOCAT_SOCKADDR $SOCAT_SOCKPORT", listens=9)
    refused = hosts.client.run("socat", "-", tcp(False, hosts.server, 10))
    assert refused.status == 1 and "Connection refused" in refused.err, refused
    ran = hosts.client.run("socat", "-u", tcp(False, hosts.server, 8), "-")
    assert ran.out == "", ran
    ran = hosts.client.run("socat", "-u", f"{tcp(False, hosts.server, 9)},sourceport=4000,reuseaddr", "-")
    assert ran.out.split() == [hosts.client.addr, "4000", hosts.server.addr, "9"], ran
    ran = hosts.server.run("socat", f"TCP-LISTEN:11,bind={hosts.server.addr},accept-timeout=0.3", "-")
    assert ran.status == 0 and hosts.server.sockets("-l", "sport", "=", ":11") == [], ran


def test_the_openbsd_netcat_passes_files_both_ways(hosts):
    there = apps.make_file(hosts.folder / "there", 3_000_000)
    back = apps.make_file(hosts.folder / "back", 100_000)
    server = hosts.server.start("sh", "-c", f"nc.openbsd -l -N {hosts.server.addr} 9000 <back | sha256sum", listens=9000)
    ran = hosts.client.shell(f"nc.openbsd -N {hosts.server.addr} 9000 <there | sha256sum")
    assert ran.out.split()[0] == back, ran
    assert server.wait(apps.HANG) == 0 and server.out.split()[0] == there, server


@pytest.mark.parametrize("sender", ["client", "server"])
def test_the_traditional_netcat_passes_a_file(hosts, sender):
    """It knows no half-close: with -q 0 the sender closes after its file, and the other reads to the end."""
    digest = apps.make_file(hosts.folder / "file", 3_000_000)
    listen, connect = f"nc.traditional -l -s {hosts.server.addr} -p 9000", f"nc.traditional {hosts.server.addr} 9000"
    send, take = "-q 0 <file", "</dev/null | sha256sum"
    server = hosts.server.start("sh", "-c", f"{listen} {send if sender == 'server' else take}", listens=9000)
    ran = hosts.client.shell(f"{connect} {send if sender == 'client' else take}")
    assert ran.status == 0 and server.wait(apps.HANG) == 0
    assert (server.out if sender == "client" else ran.out).split()[0] == digest


@NETCATS
def test_netcats_scan_ports(hosts, nc):
    """-z: three ports of which one is open."""
    hosts.server.start("socat", f"TCP-LISTEN:21,bind={hosts.server.addr},fork,reuseaddr", "EXEC:cat", listens=21)
    ran = hosts.client.run(nc, "-z", "-vv", "-n", "-w", "2", hosts.server.addr, "20-22")
    lines = ran.err.splitlines()
    opened = [line for line in lines if line.endswith(("succeeded!", "open"))]
    assert len(opened) == 1 and " 21 " in opened[0], ran
    assert sum("refused" in line for line in lines) == 2, ran


@places.arrange("asks")
@NETCATS
def test_a_peer_that_does_not_answer_is_timed_out(hosts, nc):
    """An address of the link that nobody has. connect() ends at -w's second: by poll with a time-out, or by alarm()."""
    ran = hosts.client.run(nc, "-v", "-n", "-w", "1", "10.77.0.9", "80")
    assert ran.status == 1 and "timed out" in ran.err, ran
