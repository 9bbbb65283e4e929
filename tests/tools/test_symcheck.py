# SPDX-License-Identifier: MIT
"""tools/symcheck sees a global name without a prefix."""
import pathlib
import subprocess

import pytest

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools" / "symcheck"


def check(tmp_path, text):
    (tmp_path / "a.c").write_text(text)
    subprocess.run(["cc", "-c", "a.c"], check=True, cwd=tmp_path)
    subprocess.run(["ar", "rc", "liba.a", "a.o"], check=True, cwd=tmp_path)
    done = subprocess.run([TOOL, "liba.a"], text=True, capture_output=True, cwd=tmp_path)
    return done.returncode, done.stdout


@pytest.mark.parametrize("text", [
    "int weir_send(void) { return 0; }",
    "int wr_tcp_input(void) { return 0; }\nstatic int local(void) { return 1; }\n"
    "int w_tcp_parse(void) { return local(); }",
    "const int wr_table[2] = {1, 2};",
])
def test_prefixed_names_pass(tmp_path, text):
    assert check(tmp_path, text) == (0, "")


@pytest.mark.parametrize("text, name", [
    ("int tcp_input(void) { return 0; }", "tcp_input"),
    ("int counter;", "counter"),
    ("int write_it(void) { return 0; }", "write_it"),
])
def test_unprefixed_name_fails(tmp_path, text, name):
    code, out = check(tmp_path, text)
    assert code == 1
    assert f"global symbol {name} has no prefix" in out


def test_library_without_symbols_fails(tmp_path):
    code, out = check(tmp_path, "static int x; int *f(void); typedef int t;")
    assert code == 1
    assert "defines no global symbol" in out


def test_missing_archive_fails(tmp_path):
    assert subprocess.run([TOOL, tmp_path / "none.a"], capture_output=True).returncode != 0
