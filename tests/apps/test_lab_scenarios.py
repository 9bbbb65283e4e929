# SPDX-License-Identifier: MIT
"""`weir lab SCENARIO`: what each shipped scenario asserts, and that its results are the same each time."""

import csv
import hashlib
import io
import json
import os
import pathlib
import resource
import subprocess

import pytest

import apps

WEIR = os.environ["WEIR"]
SCENARIOS = sorted((pathlib.Path(os.environ["WEIR_SOURCE"]) / "lab/scenarios").glob("*.lab"))


def lab(*words, **more):
    """Runs `weir lab`; the caller looks at its status."""
    return subprocess.run([WEIR, "lab", *map(str, words)], capture_output=True, text=True,
                          timeout=apps.HANG, **more)


def answer(*words):
    done = lab(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.stem)
def test_scenario_holds_and_repeats(scenario, tmp_path):
    """All assertions hold; a second run, by one thread and without its packets, has the same bytes."""
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    done = lab("--check", "--threads", 2, "--json", one, scenario)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": holds: ") == scenario.read_text().count("\nassert ") > 0
    answer("--threads", 1, "--json", two, scenario)
    assert hashlib.sha256(one.read_bytes()).digest() == hashlib.sha256(two.read_bytes()).digest()


def test_list_tells_what_to_look_at():
    text = answer("--list")
    for scenario in SCENARIOS:
        entry = next(part for part in text.split("\n\n") if part.startswith(scenario.stem + ": "))
        assert len(entry.splitlines()) >= 3
        assert entry.count(".") >= 2, "two sentences of what to look at"


def test_built_in_scenarios_are_those_of_the_folder(tmp_path):
    """By its name, from elsewhere, a scenario is the one of its file."""
    done = lab("--json", "-", "simultaneous-open", cwd=tmp_path)
    by_path = json.loads(answer("--json", "-", SCENARIOS[0].parent / "simultaneous-open.lab"))
    by_name = json.loads(done.stdout)
    assert by_name["jobs"] == by_path["jobs"]


def test_an_assertion_that_fails_is_told(tmp_path):
    scenario = tmp_path / "wrong.lab"
    scenario.write_text("time 1s\nflows rtt=10ms bytes=10kb\n"
                        "assert 'result.flows[0].rto == 7'\n"
                        "assert 'result.flows[0].received_bytes == 10000'\n"
                        "assert 'nonsense('\n")
    done = lab("--check", scenario)
    assert done.returncode == 1
    assert [line.split(": ")[1] for line in done.stdout.splitlines()
            if line.startswith(str(scenario))] == ["FAILS", "holds", "FAILS"]


@pytest.mark.parametrize("text, says", [
    ("host a\nhost a\n", ":2: host: there is a host of that name"),
    ("host a\nlink a b\n", ":2: link: a link is"),
    ("host a\nat 1s a dance\n", ":2: at: a host can"),
    ("host a\nat soon a crash\n", ":2: at: an action is"),
    ("flows rate=fast\n", ':1: flows: "rate=fast" has a value that does not fit'),
    ("flows rate=$speed\n", ':1: "rate=$speed" names a variable that is not set'),
    ("flows rtt=1ms\nhost a\n", "a scenario has one or the other"),
    ("title x\n", "neither flows nor hosts"),
    ("flows 'rtt=1ms\n", ":1: a quote is not closed"),
    ("dance\n", ':1: "dance" is none of'),
    ("run a\nrun a\nflows rtt=1ms\n", ':2: there is a run "a" already'),
    ("flows rules='drop cow 1'\n", ":1: flows:"),
    ("host a net.ipv4.no_such=1\n", ":1: host: a tunable or its value is not known"),
])
def test_mistakes_are_told_with_their_line(tmp_path, text, says):
    scenario = tmp_path / "bad.lab"
    scenario.write_text(text)
    done = lab(scenario)
    assert done.returncode in (2, 125) and says in done.stderr, done.stderr


@pytest.mark.parametrize("text, says", [
    ("sweep a 0..9999\nsweep b 0..9999\nsweep c 0..9\nflows rtt=1ms\n", "more than 1000000 jobs"),
    ("".join(f"sweep {name} 0..9999\n" for name in "abcde") + "flows rtt=1ms\n", "more than 1000000 jobs"),
    ("sweep a 0..999999999999\nflows rtt=1ms\n", ":1: too many values"),
    ("time 99999999999s\nflows rtt=1ms\n", ":1: time: is not a time"),
    ("flows rtt=9223372036s\n", "has a value that does not fit"),
    ("flows flows=1000000000\n", "has a value that does not fit"),
    ("flows queue=1000000000000\n", "has a value that does not fit"),
    ("flows rate=9223372036854775808bit\n", "has a value that does not fit"),
    ("time 9999s\nflows flows=256\n", "too many samples of so many flows"),
    ("time 1000000s\nflows rtt=1ms\n", "too many samples"),
    ("".join(f"host h{n}\n" for n in range(17)), ":17: host: a host is"),
    ("host a\nhost b\nat 9223372036s a crash\n", ":3: at: an action is"),
    ("host a\nhost b\nat 0s a flood b:1 count=2000000\n", ":3: at: a host can"),
    ("host a\nhost b\n" + "at 0s a flood b:1 count=1000000\n" * 2, ":4: at: there are more than 1048576 actions"),
    ("host a\nhost b\nat 0s a flood b:1 count=1000000 every=999999s\n", ":3: at: there are more than"),
    ("host a\nhost b\nat 0s a connect b:1 as c sndbuf=999gb\n", ":3: at: a host can"),
    ("set x " + 1000 * "x" + "\nflows " + 2000 * "$x" + "\n", "is too long with its variables"),
], ids=lambda text: text.split("\n", 1)[0][:30])
def test_absurd_numbers_are_told(tmp_path, text, says):
    """At once, and without gigabytes of memory."""
    scenario = tmp_path / "absurd.lab"
    scenario.write_text(text)
    done = subprocess.run([WEIR, "lab", scenario], capture_output=True, text=True, timeout=apps.HANG,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)))
    assert done.returncode in (2, 125) and says in done.stderr, done.stderr


@pytest.fixture(name="shards")
def fixture_shards(tmp_path):
    """A sweep of two jobs that ran in two pieces; the second one's document."""
    scenario = tmp_path / "two.lab"
    scenario.write_text("time 10ms\nsweep rtt 1ms 2ms\nflows rtt=$rtt\n")
    answer("--shards", 2, tmp_path / "shards", scenario)
    for number in (1, 2):
        answer("--shard", f"{number}/2", "--json", tmp_path / f"shards/shard-{number}.json", scenario)
    answer("--merge", tmp_path / "shards")
    return tmp_path / "shards"


def nested(depth):
    return "[" * depth + "]" * depth


def job(**change):
    return json.dumps({"jobs": [{"job": 1, "run": None, "set": {}, "result": {}} | change]})


@pytest.mark.parametrize("text", [
    "", "{", "[]", "7", "{}", '{"jobs": 7}', '{"jobs": {}}', '{"jobs": [7]}', '{"jobs": [null]}',
    '{"jobs": [[]]}', job(job="1"), job(job=2), job(job=1.0), job(job=None), job(result=7), job(result=None),
    job(result=[]), job(set=7), job(run=7), '{"jobs": [{"job": 1}]}',
    job(job=1)[:-2] + "," + job(job=1)[10:], '{"jobs": [{"job": 123456789012345678901234567890}]}',
    '{"jobs": [{"job": 1e999}]}', nested(100000), '{"jobs": ' + nested(2000) + "}", "\0", '{"jobs": [{"job": 1, "job": 1}]}',
], ids=lambda text: text[:30].replace("\0", "NUL"))
def test_shards_that_are_no_results_are_told(shards, text):
    (shards / "shard-2.json").write_text(text)
    done = lab("--merge", shards)
    assert done.returncode == 125 and "shard" in done.stderr, (done.returncode, done.stderr)
    assert done.stdout == ""


@pytest.mark.parametrize("change", [
    {"result": {"flows": 7, "sockets": []}}, {"result": {"flows": [7, None, {}], "sockets": {"a": 7, "b": {}}}},
    {"result": {"tape": 7}}, {"set": {"rtt": 7, "other": []}}, {"result": {"elapsed_us": "x", "trace": 7}},
    {"result": {"flows": [{"cc": 7, "goodput_bps": 9223372036854775807}]}}, {"more": json.loads(nested(500))},
])
def test_shards_with_strange_results_do_no_harm(shards, change, tmp_path):
    (shards / "shard-2.json").write_text(job(**change))
    done = lab("--merge", shards, "--csv", tmp_path / "csv", "--json", tmp_path / "json", "--html", tmp_path / "html")
    assert done.returncode == 0, (done.returncode, done.stderr)
    assert "null)" not in lab("--merge", shards).stdout
    assert lab("--merge", shards, "--check").returncode in (0, 1, 125)


def test_more_shards_than_there_can_be(shards):
    (shards / "jobs").write_text("weir lab\n" * 5000)
    done = lab("--merge", shards)
    assert done.returncode == 125 and "5000 shards" in done.stderr, done.stderr


SWEEP = """
title "A sweep"
look  "Nothing. Really."
time  2s
run   reno  cc=reno
run   cubic cc=cubic
sweep rtt 10ms 20ms 40ms
set   rate 10mbit
flows rate=$rate rtt=$rtt cc=$cc
"""


def test_sweeps_are_all_combinations_in_order(tmp_path):
    scenario = tmp_path / "sweep.lab"
    scenario.write_text(SWEEP)
    jobs = json.loads(answer("--json", "-", scenario))["jobs"]
    assert [(job["run"], job["set"]["rtt"]) for job in jobs] == [
        (run, rtt) for run in ("reno", "cubic") for rtt in ("10ms", "20ms", "40ms")]
    assert {job["result"]["flows"][0]["cc"] for job in jobs} == {"reno", "cubic"}
    jobs = json.loads(answer("--json", "-", scenario, "rtt=5ms", "seed=1..3"))["jobs"]
    assert [(job["run"], job["set"]["rtt"], job["set"]["seed"]) for job in jobs] == [
        (run, "5ms", seed) for run in ("reno", "cubic") for seed in "123"]
    assert [job["result"]["seed"] for job in jobs] == [1, 2, 3, 1, 2, 3]


def test_threads_change_nothing(tmp_path):
    scenario = tmp_path / "sweep.lab"
    scenario.write_text(SWEEP)
    texts = {answer("--json", "-", "--packets", "--threads", n, scenario, "seed=1..3")
             for n in (1, 2, 7)}
    assert len(texts) == 1


def test_csv_has_a_row_for_each_flow(tmp_path):
    scenario = tmp_path / "sweep.lab"
    scenario.write_text(SWEEP)
    rows = list(csv.DictReader(io.StringIO(answer("--csv", "-", scenario))))
    assert [(row["run"], row["rtt"], row["name"]) for row in rows] == [
        (run, rtt, "flow0") for run in ("reno", "cubic") for rtt in ("10ms", "20ms", "40ms")]
    jobs = json.loads(answer("--json", "-", scenario))["jobs"]
    assert [int(row["goodput_bps"]) for row in rows] == [
        job["result"]["flows"][0]["goodput_bps"] for job in jobs]


def test_a_tape_changes_nothing(tmp_path):
    """Recording only listens: the same packets at the same moments."""
    for scenario in ("shallow-buffer", "syn-flood", "half-open-crash"):
        plain = json.loads(answer("--json", "-", scenario))
        taped = json.loads(answer("--json", "-", "--packets", scenario))
        for one, two in zip(plain["jobs"], taped["jobs"]):
            two["result"].pop("tape")
            assert one == two
