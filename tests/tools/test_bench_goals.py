# SPDX-License-Identifier: MIT
"""bench/goals.py says what was reached, what fell short and what was not measured; bench/earlier.py builds the
`weir` of another revision, or says why it cannot."""
import pathlib
import shutil
import subprocess
import sys

import pytest

BENCH = pathlib.Path(__file__).resolve().parents[2] / "bench"
sys.path.insert(0, str(BENCH))
import earlier  # noqa: E402
import goals  # noqa: E402
import programs  # noqa: E402

HOST = "weir run, one host"
THEN = programs.THEN[HOST]


def rows(**figures):
    """The two rows of http_keep on one host: to then, to the kernel."""
    table = goals.evaluate({"http_keep": {name: some for name, some in figures.items() if some}}, {})
    found = [row for row in table if row["system"] == HOST]
    assert len(found) == 2
    return found


def measured(today, then=None, kernel=(10.0, 10.0, 10.0)):
    return rows(**{HOST: today, THEN: then, "kernel lo": kernel})


@pytest.mark.parametrize("today, verdict", [
    ((10.0, 10.0, 10.0), "reached"),
    ((9.7, 9.71, 9.8), "reached"),
    ((9.5, 9.6, 11.0), "SHORT"),
])
def test_programs_are_compared_with_then_of_the_same_round(today, verdict):
    row, _ = measured(today, (10.0, 10.0, 10.0))
    assert goals.verdict(row) == verdict
    assert row["short"] == (verdict == "SHORT")


def test_a_slow_minute_of_the_machine_is_not_a_loss():
    row, _ = measured((10.0, 5.0, 10.0), (9.0, 4.5, 9.0))
    assert goals.verdict(row) == "reached" and row["min"] == pytest.approx(row["max"])


def test_without_then_it_is_not_measured():
    row, to_kernel = measured((20.0, 20.0, 20.0))
    assert goals.verdict(row) == f"not measured (--before {goals.FIRST_COMPLETE[:7]})"
    assert "short" not in row
    said = goals.text([row, to_kernel])
    assert "0 of 2 fall short, 1 are not measured" in said and "reached" not in said.splitlines()[1]


@pytest.mark.parametrize("today, verdict", [(9.0, "stated, its aim reached"), (7.0, "stated, below its aim")])
def test_to_the_kernel_is_stated_beside_its_aim(today, verdict):
    _, row = measured((today,) * 3)
    assert goals.verdict(row) == verdict and "short" not in row
    assert goals.cells(row)[4] == "(aim 0.8)"


@pytest.mark.parametrize("turn, verdict", [(150.0, "stated, its aim reached"), (160.0, "stated, above its aim")])
def test_an_aim_may_be_the_most(turn, verdict):
    figures = {"crowd_turn": {goals.TURNS: [turn] * 3, goals.FEW: [100.0] * 3}}
    row = goals.evaluate(figures, {"crowd_turn": "ns"})[0]
    assert goals.verdict(row) == verdict and "short" not in row
    assert goals.cells(row)[4] == "(aim at most 1.5)"


def test_every_program_and_arrangement_has_its_rows():
    for load in programs.LOADS:
        for system in programs.WEIR:
            against = {goal.against for goal in goals.GOALS if (goal.load, goal.system) == (load, system)}
            assert against == {programs.THEN[system], programs.WEIR[system]}


def test_a_round_has_then_beside_today():
    order = list(programs.systems(True))
    for system in programs.WEIR:
        assert order.index(programs.THEN[system]) + 1 == order.index(system)
    assert not set(programs.systems(False)) & set(programs.THEN.values())
    for with_then in (True, False):
        known = programs.systems(with_then)
        assert all(base in known for bases in known.values() for base in bases)


# ---- an earlier revision -------------------------------------------------------------------------

PRESET = """{ "version": 6, "configurePresets": [
    { "name": "release", "generator": "Ninja", "binaryDir": "${sourceDir}/build/release" } ],
  "buildPresets": [ { "name": "release", "configurePreset": "release" } ] }"""
LISTS = """cmake_minimum_required(VERSION 3.25)
project(one LANGUAGES C)
add_executable(weir weir.c)
"""


def git(root, *words):
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", root, *words], check=True,
                   stdout=subprocess.DEVNULL)


@pytest.fixture(name="tree")
def small_project(tmp_path):
    """Three revisions: one says 1, the next does not build, the last says 3."""
    if not shutil.which("git"):
        pytest.fail("git is missing")
    root = tmp_path / "project"
    root.mkdir()
    (root / "CMakePresets.json").write_text(PRESET)
    (root / "CMakeLists.txt").write_text(LISTS)
    git(root, "init", "-q")
    for tag, code in (("one", "return 1;"), ("bad", "return a_name_that_is_not;"), ("three", "return 3;")):
        (root / "weir.c").write_text(f"int main(void) {{ {code} }}\n")
        git(root, "add", ".")
        git(root, "commit", "-qm", tag)
        git(root, "tag", tag)
    return root


def test_an_earlier_weir_is_built_and_kept(tree, tmp_path):
    weir = earlier.weir_of("one", tmp_path / "build", tree)
    assert subprocess.run([weir]).returncode == 1
    made = weir.stat().st_mtime_ns
    assert earlier.weir_of("one", tmp_path / "build", tree) == weir and weir.stat().st_mtime_ns == made
    assert [path.name for path in weir.parent.iterdir()] == ["weir"]
    assert subprocess.run([earlier.weir_of("three", tmp_path / "build", tree)]).returncode == 3


def test_what_does_not_build_says_so_each_time(tree, tmp_path):
    for _ in range(2):
        with pytest.raises(earlier.Unavailable, match="revision bad is not built(.|\n)*a_name_that_is_not"):
            earlier.weir_of("bad", tmp_path / "build", tree)


def test_no_such_revision_no_repository_no_git(tree, tmp_path, monkeypatch):
    with pytest.raises(earlier.Unavailable, match="revision nonsuch"):
        earlier.weir_of("nonsuch", tmp_path / "build", tree)
    with pytest.raises(earlier.Unavailable, match="revision --all"):
        earlier.weir_of("--all", tmp_path / "build", tree)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    (tmp_path / "bare").mkdir()
    with pytest.raises(earlier.Unavailable, match="not a git repository"):
        earlier.weir_of("one", tmp_path / "build", tmp_path / "bare")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(earlier.Unavailable, match="git is not installed"):
        earlier.weir_of("one", tmp_path / "build", tree)
