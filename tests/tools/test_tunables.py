# SPDX-License-Identifier: MIT
"""tools/tunables sees a tunable that nothing reads, and mistakes of the table."""
import pathlib
import subprocess

import pytest

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools" / "tunables"
ENTRY = 'X(tcp_sack, "net.ipv4.tcp_sack", 1, 0, 1)\n'


def check(tmp_path, table, code):
    core = tmp_path / "src" / "core"
    core.mkdir(parents=True)
    (core / "tunable.def").write_text(table)
    (core / "tunable.c").write_text("x = stack->tunables.tcp_sack;\n")  # does not count
    (tmp_path / "src" / "a.c").write_text(code)
    done = subprocess.run([TOOL, "--root", tmp_path], text=True, capture_output=True)
    return done.returncode, done.stdout


@pytest.mark.parametrize("code", [
    "if (stack->tunables.tcp_sack)\n",
    "f(tunables->tcp_sack == 1);\n",
    "const struct wr_tunables *t = &stack->tunables;\nreturn t->tcp_sack;\n",
])
def test_what_is_read_passes(tmp_path, code):
    assert check(tmp_path, ENTRY, code) == (0, "")


@pytest.mark.parametrize("code", [
    "",
    "stack->tunables.tcp_sack = 1;\n",
    "if (stack->tunables.tcp_sacks)\n",
    "/* net.ipv4.tcp_sack */\n",
])
def test_dead_tunable_fails(tmp_path, code):
    status, out = check(tmp_path, ENTRY, code)
    assert status == 1 and "net.ipv4.tcp_sack is read nowhere" in out, out


@pytest.mark.parametrize("table, message", [
    ("", "no tunable found"),
    (ENTRY + ENTRY, "stands on line 1 already"),
    (ENTRY.replace("1, 0, 1", "2, 0, 1"), "out of its bounds"),
    ('X(tcp_sack,\n  "net.ipv4.tcp_sack", 4, 0, 1 << 1)\n', "out of its bounds"),
])
def test_mistakes_of_the_table_fail(tmp_path, table, message):
    status, out = check(tmp_path, table, "return stack->tunables.tcp_sack;\n")
    assert status == 1 and message in out, out
