# SPDX-License-Identifier: MIT
"""`weir lab --shards` and `--merge`: a sweep in pieces by GNU parallel is the sweep in one."""

import os
import shutil
import subprocess

import pytest

import apps

WEIR = os.environ["WEIR"]
SWEEP = """
title "A sweep"
look  "Nothing. Really."
time  1s
run   reno  cc=reno
run   cubic cc=cubic
sweep rtt 10ms 20ms 40ms
flows rate=10mbit rtt=$rtt cc=$cc
assert 'all(.jobs[]; .result.flows[0].received_bytes > 0)'
"""


def run(*words, **more):
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=apps.HANG, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def scenario(tmp_path):
    path = tmp_path / "a sweep.lab"  # with a blank: names are quoted
    path.write_text(SWEEP)
    return path


@pytest.mark.skipif(shutil.which("parallel") is None, reason="GNU parallel is not installed")
@pytest.mark.parametrize("shards", [1, 4, 7])
def test_parallel_makes_the_same(scenario, tmp_path, shards):
    """Two local slots; also more shards than fit evenly. JSON, CSV and verdicts are those of one run."""
    folder = tmp_path / "pieces of it"
    run(WEIR, "lab", "--shards", shards, folder, scenario, "seed=1..2")
    assert len((folder / "jobs").read_text().splitlines()) == shards
    run("parallel", "--will-cite", "--jobs", 2, "-a", folder / "jobs",
        env={**os.environ, "WEIR": WEIR, "HOME": str(tmp_path)})
    whole, merged = tmp_path / "whole.json", tmp_path / "merged.json"
    shutil.copy(scenario, folder / "scenario.lab")
    run(WEIR, "lab", "--packets", "--json", whole, folder / "scenario.lab", "seed=1..2")
    verdict = run(WEIR, "lab", "--merge", folder, "--packets", "--json", merged, "--check")
    assert whole.read_bytes() == merged.read_bytes()
    assert verdict.count(": holds: ") == 1
    csv = run(WEIR, "lab", "--merge", folder, "--csv", "-")
    assert csv == run(WEIR, "lab", folder / "scenario.lab", "seed=1..2", "--csv", "-")


def test_a_missing_shard_is_told(scenario, tmp_path):
    folder = tmp_path / "pieces"
    run(WEIR, "lab", "--shards", 3, folder, scenario)
    for line in (folder / "jobs").read_text().splitlines()[:2]:
        run("sh", "-c", line, env={**os.environ, "WEIR": WEIR})
    done = subprocess.run([WEIR, "lab", "--merge", folder], capture_output=True, text=True)
    assert done.returncode == 125 and "shard-3.json" in done.stderr


def test_shards_of_different_sweeps_are_told(scenario, tmp_path):
    folder = tmp_path / "pieces"
    run(WEIR, "lab", "--shards", 2, folder, scenario)
    lines = (folder / "jobs").read_text().splitlines()
    run("sh", "-c", lines[0], env={**os.environ, "WEIR": WEIR})
    run("sh", "-c", lines[1] + " seed=1..3", env={**os.environ, "WEIR": WEIR})
    done = subprocess.run([WEIR, "lab", "--merge", folder], capture_output=True, text=True)
    assert done.returncode == 125 and "belong together" in done.stderr
