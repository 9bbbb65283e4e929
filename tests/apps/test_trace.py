# SPDX-License-Identifier: MIT
"""`weir trace`: the decisions of a running host. Which there must be follows from what the programs did, and from the
rule by which the link loses a segment."""
import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

import apps
from talkers import Net, stop


@pytest.fixture
def net(tmp_path):
    net = Net(tmp_path, rules="out drop data 4")
    yield net
    if net.process.poll() is None:
        net.end()


def trace(net, host, *words):
    return net.watch("trace", host, *words)


def ended(process):
    """^C; its lines, and its counts: records, lost."""
    out, counts = stop(process, " records")
    return out.splitlines(), counts


def wait_until_it_cannot_write(process):
    """Its pipe is full, and it sleeps."""
    pipe = os.open(f"/proc/self/fd/{process.stdout.fileno()}", os.O_WRONLY)
    stat = Path("/proc", str(process.pid), "stat")
    until = time.monotonic() + apps.HANG
    while select.select([], [pipe], [], 0)[1] or stat.read_text().rpartition(")")[2].split()[0] != "S":
        assert time.monotonic() < until
        time.sleep(0.01)
    os.close(pipe)


def test_lines_tell_what_was_decided_and_why(net):
    process = trace(net, "cli")
    net.talk(80, 20000)
    lines, counts = ended(process)
    assert counts == [len(lines), 0]
    times = [float(line.split()[0]) for line in lines]
    assert times == sorted(times)

    def said(text):
        return [n for n, line in enumerate(lines) if text in line]

    assert len(said(" sent: SYN seq 0:0 [S] ")) == 1
    assert len(said(" sent: new data ")) == 14  # 20000 bytes in segments of 1448
    lost, begins, again, over = (said(text) for text in (
        " lost: lost: sent long enough before", " recovery: fast recovery begins", " sent: fast retransmit ",
        " recovery: recovery is over"))
    assert len(lost) == len(begins) == len(again) == len(over) == 1
    assert max(lost[0], begins[0]) < again[0] < over[0]
    assert " Recovery cwnd " in lines[again[0]] and " srtt " in lines[again[0]]
    assert said(" state: the state changed; FIN-WAIT-1 ")


def test_json_of_one_connection(net):
    """Named by either end, as `weir explain` has it; and without a name there are all."""
    by_peer = trace(net, "cli", "-J", "10.0.0.1:80")
    by_port = trace(net, "web", "-J", "81")
    both = trace(net, "cli", "-J")
    net.talk(80, 3000)
    assert net.talk(81, 1) == ["Connection refused"]
    found = {}
    for name, process in (("80", by_peer), ("81", by_port), ("all", both)):
        lines, counts = ended(process)
        found[name] = [json.loads(line) for line in lines]
        assert counts == [len(lines), 0]
    assert {r["remote"] for r in found["80"]} == {"10.0.0.1:80"} and len(found["80"]) > 10
    sent = [r for r in found["80"] if r["kind"] == "sent" and r["why"] == "new"]
    assert [r["len"] for r in sent] == [1448, 1448, 104] and all(r["cwnd"] > 0 and r["pipe"] > 0 for r in sent)
    assert {r["local"] for r in found["81"]} == {"10.0.0.1:81"}
    assert {(r["kind"], r["why"]) for r in found["81"]} == {("dropped", "tcp_no_socket"), ("sent", "rst")}
    assert {r["remote"] for r in found["all"]} == {"10.0.0.1:80", "10.0.0.1:81"}
    closed = [r for r in found["all"] if r["kind"] == "state" and r["remote"] == "10.0.0.1:81" and "errno" in r]
    assert [r["errno"] for r in closed] == [111]  # ECONNREFUSED


def test_count_and_quiet(net):
    process = trace(net, "cli", "-c", "3")
    net.talk(80, 5000)
    out, err = process.communicate(timeout=apps.HANG)
    assert process.returncode == 0 and len(out.splitlines()) == 3 and err.startswith("3 records\n")
    process = trace(net, "cli", "-q", "-c", "1")
    net.talk(80, 1)
    out, err = process.communicate(timeout=apps.HANG)
    assert process.returncode == 0 and len(out.splitlines()) == 1 and err == ""


def test_what_is_no_connection_is_told(net):
    for name in ("10.0.0.1", "0", "65536", "web:80", "10.0.0.1:80x", "[10.0.0.1]:80", "::1:80", ""):
        wrong = subprocess.run([apps.WEIR, "trace", "--host", net.name("cli"), name], env=net.env,
                               capture_output=True, text=True, timeout=apps.HANG)
        assert wrong.returncode == 125 and wrong.stderr.startswith(f"weir: {name}: ")


def test_wrong_words():
    for words in (["-c", "0"], ["-x"], ["80", "81"]):
        wrong = subprocess.run([apps.WEIR, "trace", *words], capture_output=True, text=True, timeout=apps.HANG)
        assert wrong.returncode == 2 and wrong.stderr


def test_host_does_not_wait_for_a_reader_who_stops(net):
    """What was overwritten is told where it is missing; what came before and after is there, also what a signal has
    found in the middle of its write(2)."""
    process = trace(net, "cli", "-J")
    process.send_signal(signal.SIGSTOP)
    for _ in range(3):
        assert net.talk(80, 20_000_000) == []
    process.send_signal(signal.SIGCONT)
    wait_until_it_cannot_write(process)
    process.send_signal(signal.SIGINT)  # and a second one when it is read again
    wait_until_it_cannot_write(process)
    lines, counts = ended(process)
    found = [json.loads(line) for line in lines]
    records = [r for r in found if "at" in r]
    gaps = [r["lost"] for r in found if "at" not in r]
    assert counts == [len(records), sum(gaps)] and sum(gaps) > 0
    assert records[0]["state"] == "SYN-SENT" and {r["why"] for r in records[-20:]} & {"fin", "changed"}
    process = trace(net, "cli")
    net.talk(80, 1000)
    _, counts = ended(process)
    assert counts[0] > 5 and counts[1] == 0


def test_host_that_ends_ends_the_trace(net):
    process = trace(net, "web")
    net.talk(80, 1000)
    net.end()
    out, err = process.communicate(timeout=apps.HANG)
    assert process.returncode == 0 and err.startswith("the host has ended\n") and "missing" not in err
    assert len(out.splitlines()) > 5
