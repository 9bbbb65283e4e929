# SPDX-License-Identifier: MIT
"""tools/rfcmap: what counts as a test of a row, and each way in which --check fails."""
import pathlib
import subprocess

import pytest

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools" / "rfcmap"

ROWS = """ID\tRFC section\tlevel\trequirement\ttest in virtual time\tsource
9293-M03\t9293 §3.1 (MUST-3)\tMUST\tDiscard a bad checksum.\tFlip a bit.\ttext
9293-ACK-2\t9293 §3.10.7.4 fifth\tMUST\tTake an ACK.\tSend one.\ttext
5961-1\t5961 §3.2\tMUST\tChallenge.\tSend RST.\ttext
LNX-TCP-07\tTCP_CORK\tSHOULD\tHold.\tCork.\tlinux
"""


def plant(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def run(root, *extra):
    done = subprocess.run([TOOL, "--root", root, *extra], text=True, capture_output=True)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def tree(tmp_path):
    plant(tmp_path, {
        "docs/requirements.tsv": ROWS,
        "docs/not-met.tsv": "# row, why\nLNX-TCP-07\tcork is not there\n",
        "src/tcp/tcp_input.c": "/* RFC 9293 3.10.7.4: the order of checks */\n",
        "tests/unit/test_sum.c": "static void test_9293_M03_bad_checksum(void **state)\n",
        "tests/script/ack/9293-ACK-2-old.pkt": "0 socket(...) = 3\n",
    })
    assert run(tmp_path)[0] == 0
    return tmp_path


def the_map(root):
    return (root / "docs/rfc-map.md").read_text()


def test_rows_and_code_are_found(tree):
    text = the_map(tree)
    assert ("| 9293-M03 | MUST | 9293 §3.1 (MUST-3) | - "
            "| tests/unit/test_sum.c `test_9293_M03_bad_checksum` |") in text
    assert "src/tcp/tcp_input.c:1 | tests/script/ack/9293-ACK-2-old.pkt |" in text
    assert "| 5961-1 | MUST | 5961 §3.2 | Challenge. | not yet |" in text
    assert "| LNX-TCP-07 | SHOULD | TCP_CORK | Hold. | cork is not there |" in text
    assert "| all | 4 | 2 | 3 | 2 |" in text
    assert run(tree, "--check")[0] == 0


def test_script_header_and_pytest_count(tree):
    plant(tree, {
        "tests/script/rst/challenge.pkt": "// A reset in the window.\n// row: 5961-1\n0 x\n",
        "tests/script/rst/late.pkt": "0 x\n// row: 9293-M99\n",
    })
    assert run(tree)[0] == 0
    assert "| 5961-1 | MUST | 5961 §3.2 | - | tests/script/rst/challenge.pkt |" in the_map(tree)


def test_a_pattern_names_rows_without_test(tree):
    plant(tree, {"docs/not-met.tsv": "9293-*\tlater\n5961-*\tlater\nLNX-TCP-07\tnever\n"})
    assert run(tree)[0] == 0
    assert "Challenge. | later |" in the_map(tree)
    assert "Hold. | never |" in the_map(tree)
    assert "Discard a bad checksum. | later" not in the_map(tree)


def test_stale_map_fails(tree):
    plant(tree, {"tests/interop/test_rst.py": "def test_5961_1_challenge():\n"})
    code, out = run(tree, "--check")
    assert code == 1 and "stale" in out
    assert run(tree)[0] == 0
    assert run(tree, "--check")[0] == 0


def test_line_numbers_may_drift(tree):
    source = tree / "src/tcp/tcp_input.c"
    source.write_text("\n\n" + source.read_text())
    assert run(tree, "--check")[0] == 0


@pytest.mark.parametrize("files, said", [
    ({"tests/unit/test_x.c": "static void test_9293_M77(void **state)\n"}, "no row 9293-M77"),
    ({"tests/script/a/x.pkt": "// row: 5961-1 5961-9\n"}, "no row 5961-9"),
    ({"tests/script/a/LNX-TCP-99.pkt": "0 x\n"}, "no row LNX-TCP-99"),
    ({"docs/not-met.tsv": "9293-M78\twhy\n"}, "there is no row 9293-M78"),
    ({"docs/not-met.tsv": "BBR-*\twhy\n"}, "there is no row BBR-*"),
    ({"docs/not-met.tsv": "5961-1\t\n"}, "no reason is given"),
    ({"docs/not-met.tsv": "9293-M03\twhy\n"}, "9293-M03 is listed and yet shown"),
])
def test_wrong_rows_fail(tree, files, said):
    plant(tree, files)
    for extra in ([], ["--check"]):
        code, out = run(tree, *extra)
        assert code == 1
        assert said in out


def test_lost_test_fails_until_it_is_meant(tree):
    (tree / "tests/unit/test_sum.c").unlink()
    for extra in ([], ["--check"]):
        code, out = run(tree, *extra)
        assert code == 1
        assert "9293-M03 is met there and has no test any more" in out
    assert run(tree, "--lost-ok")[0] == 0
    assert run(tree, "--check")[0] == 0
