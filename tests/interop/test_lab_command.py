# SPDX-License-Identifier: MIT
"""`weir lab`: its table, its JSON, its refusals."""
import json
import os
import subprocess

WEIR = os.environ["WEIR"]


def lab(*words):
    return subprocess.run([WEIR, "lab", *words], capture_output=True, text=True, timeout=60)


def test_the_line_it_prints_gives_the_same_run():
    words = ["rate=10mbit", "rtt=40ms", "loss=1%", "flows=2", "time=2s"]
    first = lab("--seed", "9", *words)
    assert first.returncode == 0, first.stderr
    again = first.stdout.strip().splitlines()[-1]
    assert again == "again: weir lab --seed 9 " + " ".join(words)
    assert lab(*again.split()[3:]).stdout == first.stdout
    assert lab("--seed", "10", *words).stdout != first.stdout


def test_json_is_whole_and_the_same_each_time(tmp_path):
    words = ["rate=10mbit", "rtt=40ms", "flows=2", "time=1s", "sample=100ms", "traffic=rr"]
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    for file in files:
        assert lab("--json", str(file), *words).returncode == 0
    assert files[0].read_bytes() == files[1].read_bytes()
    result = json.loads(files[0].read_bytes())
    assert len(result["flows"]) == 2
    for flow in result["flows"]:
        assert flow["exchanges"]["count"] > 5
        assert flow["error"] == 0 and not flow["corrupt"]
        assert all(len(row) == len(result["series_columns"]) for row in flow["series"])
    printed = lab("--json", "-", *words)
    assert json.loads(printed.stdout) == result


def test_wrong_words_are_named_and_refused():
    for words in (["rate=fast"], ["colour=red"], ["--seed", "x"], ["--seed"], ["time=1s", "warmup=2s"],
                  ["net.ipv4.no_such_thing=1"], ["100mbit"]):
        answer = lab(*words)
        assert answer.returncode == 2, words
        assert answer.stderr.startswith("weir: lab: "), words
        assert answer.stdout == ""


def test_a_file_that_cannot_be_written_is_a_failure():
    answer = lab("--json", "/nonexistent/file", "time=1s", "rtt=10ms", "bytes=1kb")
    assert answer.returncode == 125
    assert "/nonexistent/file" in answer.stderr


def test_help_lists_every_key():
    text = lab("--help").stdout
    for key in ("rate", "rtt", "queue", "aqm", "ecn", "jitter", "reorder", "loss", "burst-loss",
                "loss-every", "ack-loss", "policer", "stall", "back-rate", "back-queue", "mtu", "ip",
                "topology", "spread", "flows", "stagger", "cc", "traffic", "bytes", "request",
                "response", "think", "count", "on", "off", "time", "warmup", "sample", "seed"):
        assert key + "=" in text, key
