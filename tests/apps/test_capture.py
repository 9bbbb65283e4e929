# SPDX-License-Identifier: MIT
"""`weir capture` and the comments of captures, read by tshark; `weir explain` of a running host's connection.

That a file is well-formed is tshark's judgement; which packets must be there follows from what the programs did.
"""
import json
import re
import subprocess
import time

import pytest

import apps
from talkers import CLIENT, SERVER, Net, stop

@pytest.fixture
def net(tmp_path):
    net = Net(tmp_path, rules="out drop data 4")
    yield net
    if net.process.poll() is None:
        net.end()


def tshark(path, *fields, display=None):
    words = ["tshark", "-r", str(path), "-T", "fields"]
    for field in fields:
        words += ["-e", field]
    if display:
        words += ["-Y", display]
    run = subprocess.run(words, capture_output=True, text=True, timeout=apps.HANG, check=True)
    return [line.split("\t") for line in run.stdout.splitlines()]


def test_lines_tell_why(net):
    process = net.capture("cli")
    net.talk(80, 20000)
    out, counts = stop(process)
    lines = out.splitlines()
    packets, reasons = lines[0::2], lines[1::2]
    assert counts == [len(packets), 0, 0]
    assert all(re.match(r"\d\d:\d\d:\d\d\.\d{6} \S+ (In |Out) IP 10\.0\.0\.[12]\.\d+ > ", p) for p in packets)
    first = [r.strip() for p, r in zip(packets, reasons) if "Flags [S]" in p]
    assert first == ["sent syn: SYN"]
    again = [(p, r) for p, r in zip(packets, reasons) if "fast retransmit" in r]
    assert len(again) == 1 and " Out " in again[0][0] and "length 1448" in again[0][0]
    assert sum("Flags [F" in p and " Out " in p for p in packets) == 1
    assert sum("new data" in r for r in reasons) == 14


def test_filters_are_tcpdumps(net):
    one = net.capture("cli", "tcp[tcpflags] & tcp-syn != 0")
    other = net.capture("web", "-v", "tcp", "port", "81")
    net.talk(80, 3000)
    assert net.talk(81, 1) == ["Connection refused"]
    out, counts = stop(one)
    assert out.count("Flags [S") == 3 == counts[0] and counts[1] > 5
    out, counts = stop(other)
    assert counts[0] == 2 and "dropped tcp_no_socket" in out and "sent rst" in out
    wrong = subprocess.run([apps.WEIR, "capture", "--host", net.name("cli"), "tcp", "prot", "80"], env=net.env,
                           capture_output=True, text=True, timeout=apps.HANG)
    assert wrong.returncode != 0 and 'filter "tcp prot 80"' in wrong.stderr


def test_pcapng_is_well_formed_and_tells_all(net, tmp_path):
    path = tmp_path / "out.pcapng"
    process = net.capture("cli", "-w", str(path))
    net.talk(80, 20000)
    _, counts = stop(process)
    rows = tshark(path, "frame.comment", "tcp.flags.str", "tcp.len", "frame.packet_flags_direction")
    assert len(rows) == counts[0] > 20
    assert not tshark(path, "frame.number", display="_ws.malformed || tcp.checksum.status == 0 || ip.checksum.status == 0")
    for comment, _, _, direction in rows:
        kind = comment.split()[0]
        assert kind == ("received" if int(direction, 0) == 1 else "sent")
        if comment != "sent ack: ACK":  # from TIME-WAIT, which has no windows
            assert re.search(r"\| [A-Z0-9-]+ \w+ .*pipe=\d+ .*rto=[\d.]+ms", comment), comment
    data = [c for c, _, size, _ in rows if int(size) > 0]
    assert all(re.search(r"cwnd=\d+", c) for c in data)
    again = [c for c in data if c.startswith("sent fast")]
    assert len(again) == 1 and "Recovery" in again[0] and "ssthresh=" in again[0]
    marked = [c for c, *_ in rows if "lost rack" in c]
    assert len(marked) == 1 and "recovery fast" in marked[0]
    assert sum("recovery left" in c for c, *_ in rows) == 1
    assert sum("state ESTABLISHED" in c for c, *_ in rows) == 1


def test_count_snap_and_link(net):
    process = net.capture("cli", "-c", "3", "-s", "60", "-i", "link1")
    net.talk(80, 100)
    out, err = process.communicate(timeout=apps.HANG)
    assert process.returncode == 0 and err.startswith("3 packets captured\n") and len(out.splitlines()) == 6
    wrong = subprocess.run([apps.WEIR, "capture", "--host", net.name("cli"), "-i", "eth9"], env=net.env,
                           capture_output=True, text=True, timeout=apps.HANG)
    assert wrong.returncode == 125 and wrong.stderr.startswith("weir: eth9: ")


def test_reader_who_stops_loses_packets_and_not_the_host(net, tmp_path):
    process = subprocess.Popen([apps.WEIR, "capture", "--host", net.name("cli"), "-w", "-"], env=net.env,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(0.7)
    for _ in range(2):
        net.talk(80, 3_000_000)  # the pipe of -w takes 64 KiB
    process.kill()
    process.communicate(timeout=apps.HANG)
    assert net.talk(80, 1000) == []
    process = net.capture("cli")
    net.talk(80, 1000)
    _, counts = stop(process)
    assert counts[0] > 5 and counts[2] == 0


def test_what_cannot_be_written_is_told(net):
    for words in (["capture"], ["capture", "-w", "-"], ["capture", "-w", "/dev/full"], ["trace"]):
        with open("/dev/full", "w") as full:
            process = subprocess.Popen([apps.WEIR, *words, "--host", net.name("cli")], env=net.env, text=True,
                                       stdout=full, stderr=subprocess.PIPE)
        until = time.monotonic() + apps.HANG
        while process.poll() is None and time.monotonic() < until:
            net.talk(80, 1)
        assert process.poll() == 125, words
        _, err = process.communicate()
        assert re.fullmatch(r"weir: cannot write[^\n]*: No space left on device\n", err), words


def test_host_that_ends_ends_the_capture(net, tmp_path):
    path = tmp_path / "out.pcapng"
    process = net.capture("web", "-w", str(path))
    net.talk(80, 1000)
    net.end()
    _, err = process.communicate(timeout=apps.HANG)
    assert process.returncode == 0 and "the host has ended" in err
    assert len(tshark(path, "frame.number")) > 5


def test_net_writes_a_capture_by_itself(tmp_path):
    path = tmp_path / "own.pcapng"
    net = Net(tmp_path, "--capture", f"cli={path}")
    net.talk(80, 10000)
    net.end()
    comments = [c for c, in tshark(path, "frame.comment")]
    assert comments[0].startswith("sent syn") and any(c.startswith("sent fast") for c in comments)
    wrong = subprocess.run([apps.WEIR, "net", "--capture", "nobody=x", tmp_path / "file.net"],
                           capture_output=True, text=True, timeout=apps.HANG)
    assert wrong.returncode == 2 and "--capture" in wrong.stderr


def test_run_writes_a_capture_by_itself(tmp_path):
    path = tmp_path / "own.pcapng"
    (tmp_path / "server.py").write_text(SERVER)
    (tmp_path / "file.net").write_text(f"host web 10.0.0.1 daemon -- python3 {tmp_path}/server.py\n"
                                       "host me 10.0.0.2\nlink me web delay=1ms\n")
    (tmp_path / "client.py").write_text(CLIENT)
    run = subprocess.run([apps.WEIR, "run", "--net", tmp_path / "file.net", "--capture", path, "--",
                          "python3", tmp_path / "client.py"], input="80 5000\n", capture_output=True,
                         text=True, timeout=apps.HANG)
    assert run.returncode == 0, run.stderr
    comments = [c for c, in tshark(path, "frame.comment")]
    assert comments[0].startswith("sent syn") and sum(c.startswith("sent new") for c in comments) >= 4


def test_explain_of_a_running_connection(tmp_path):
    net = Net(tmp_path, link="rate=6mbit")
    net.process.stdin.write("80 4000000\n")  # some 5 s
    net.process.stdin.flush()
    time.sleep(0.5)

    def explain(*words):
        return subprocess.run([apps.WEIR, "explain", *words], env=net.env, capture_output=True, text=True,
                              timeout=apps.HANG)

    told = explain("-t", "1", net.name("cli"), "10.0.0.1:80")
    assert told.returncode in (0, 1), told.stderr
    assert re.match(r"10\.0\.0\.2:\d+ to 10\.0\.0\.1:80: ESTAB, cwnd \d+ segments, round trip [\d.]+ ms\n", told.stdout)
    assert "bytes wait to be sent" in told.stdout
    assert re.search(r"In the last 1 s:\n10\.0\.0\.[12]:", told.stdout)
    rows = [json.loads(line) for line in explain("-J", "-t", "1", net.name("web"), "80").stdout.splitlines()]
    assert rows[0]["info"]["bytes_received"] > 0 and rows[-1]["annotated"] is True
    wrong = explain("-t", "1", net.name("cli"), "4711")
    assert wrong.returncode == 125 and "no connection 4711" in wrong.stderr
    net.process.terminate()  # it would go on for a while
    net.process.wait(apps.HANG)
