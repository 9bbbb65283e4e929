# SPDX-License-Identifier: MIT
"""`weir explain` on captures of the kernel's own TCP, made by dumpcap at the kernel's end of a TUN device, with one
planted cause each (an exact rule for what the device's other end does to it), and on a running host's connection."""

import json
import os
import re
import socket
import subprocess
import time

import pytest

import kernel
from kernel import Peer, from_source, run, to_sink

kernel.enter_namespace()

WEIR = os.environ.get("WEIR", "build/dev/weir")
KB = 1 << 10


class Dumpcap:
    """Writes what passes a device of the kernel's."""

    def __init__(self, path, device="weirlk0"):
        self.path = path
        self.process = subprocess.Popen(["dumpcap", "-q", "-i", device, "-w", str(path)],
                                        stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if line.startswith("File:"):
                return
        pytest.fail("dumpcap does not start")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        time.sleep(0.3)
        self.process.terminate()
        self.process.communicate()
        os.chmod(self.path, 0o644)


def explain(path, *words):
    """The verdicts, one for each connection, and the exit status."""
    done = subprocess.run([WEIR, "explain", "-J", str(path), *words], capture_output=True, text=True, timeout=30)
    assert done.returncode in (0, 1), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], done.returncode


def faults(verdict):
    notes = ("cwnd_limited", "application_limited", "pacing_limited")
    return {f["cause"]: f for f in verdict["findings"] if f["cause"] not in notes}


def bulk(path, impair, by_kernel):
    """The verdict on a transfer of 150 KB, the exit status, and who took part."""
    with Peer("--impair", impair) as peer, Dumpcap(path):
        (to_sink if by_kernel else from_source)(peer.v4, 150 * KB)
    verdicts, status = explain(path)
    large = [v for v in verdicts if v["sent"] + v["received"] > 100 * KB]
    assert len(large) == 1
    return large[0], status, peer


@pytest.mark.parametrize("impair,cause,by_kernel", [
    ("rate=10mbit", None, True),
    ("delay=5ms", None, True),
    ("delay=5ms rules='in drop data 30'", "loss", True),
    ("delay=5ms rules='in drop data 30-32;in drop data 60'", "loss", True),
    ("delay=10ms rules='in delay data 15 4ms;in delay data 43 4ms'", "reordering", True),
    ("delay=5ms", None, False),
    ("delay=5ms rules='out drop data 30'", "loss", False),
])
def test_bulk(tmp_path, impair, cause, by_kernel):
    """A busy machine plants causes of its own, such as a reader that has no turn, and a sender that has none is not
    overtaken: then it is tried again."""
    expected = {cause} if cause else set()
    for _ in range(5):
        verdict, status, peer = bulk(tmp_path / "kernel.pcapng", impair, by_kernel)
        found = faults(verdict)
        assert cause != "loss" or cause in found, verdict  # what was dropped must be seen each time
        found.pop("spurious_retransmission", None) if cause == "reordering" else None
        if set(found) == expected:
            break
    assert set(found) == expected, verdict
    assert status == (1 if cause else 0)
    if cause:
        sender = found[cause]["side"]
        assert sender.startswith(peer.kernel4 if by_kernel else peer.v4)
        assert found[cause]["packets"] and found[cause]["packets"][0] > 10


def test_refused_and_unanswered(tmp_path):
    path = tmp_path / "kernel.pcapng"
    with Peer("--impair", "rules='in drop syn 2-'") as peer, Dumpcap(path):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((peer.v4, 81), timeout=5)
        with pytest.raises(TimeoutError):
            socket.create_connection((peer.v4, 82), timeout=2.5)
    refused, unanswered = (explain(path, port)[0][0] for port in ("81", "82"))
    assert set(faults(refused)) == {"refused"} and set(faults(unanswered)) == {"syn_unanswered"}


def test_sentences_and_wrong_files(tmp_path):
    path = tmp_path / "kernel.pcapng"
    with Peer("--impair", "delay=5ms rules='in drop data 30'") as peer, Dumpcap(path):
        to_sink(peer.v4, 100 * KB)
    text = run(WEIR, "explain", str(path), check=False)
    assert re.search(r"Segments of 10\.78\.0\.1:\d+ were lost\. 1 of \d+ segments, .* %\..* Packet \d+\.", text)
    classic = tmp_path / "classic.pcap"
    run("tshark", "-F", "nsecpcap", "-r", str(path), "-w", str(classic))
    assert run(WEIR, "explain", str(classic), check=False) == text
    broken = tmp_path / "broken.pcapng"
    broken.write_bytes(path.read_bytes()[:5000])
    assert "packets 1 to" in run(WEIR, "explain", str(broken), check=False)
    for bytes in (b"", b"no capture at all, but text", path.read_bytes()[:40].replace(b"M<+\x1a", b"abcd")):
        broken.write_bytes(bytes)
        done = subprocess.run([WEIR, "explain", str(broken)], capture_output=True, timeout=10)
        assert done.returncode == 125 and done.stderr.startswith(b"weir: ")
