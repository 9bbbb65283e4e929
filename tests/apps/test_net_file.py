# SPDX-License-Identifier: MIT
"""The file of `weir net`: words, statements, and every mistake told with its line."""
import pytest

import apps


def check(text, tmp_path):
    return apps.net(text, "--check", tmp_path=tmp_path)


@pytest.mark.parametrize("line, argv", [
    ("sh -c 'a b' \"c d\" e\\ f", ["sh", "-c", "a b", "c d", "e f"]),
    ("x a#b # comment", ["x", "a#b"]),
    ("x '' \"\"", ["x", "", ""]),
    ("x \"a\\\"b\\$c\\d\"", ["x", 'a"b$c\\d']),
    ("x 'a\\b'", ["x", "a\\b"]),
    ("x a\\\nb", ["x", "ab"]),
    ("x 'two\nlines'", ["x", "two\nlines"]),
    ("x\ty\\#z", ["x", "y#z"]),
    ("x -- y", ["x", "--", "y"]),
    ("x pre'mid'\"post\"", ["x", "premidpost"]),
])
def test_words_are_split_as_by_a_shell(line, argv, tmp_path):
    ran = check(f"host h 10.0.0.1 -- {line}\n", tmp_path)
    assert ran.status == 0, ran
    shown = " ".join(f"[{word}]" for word in argv)
    assert ran.out == f"host h 10.0.0.1 -- {shown}\n"


def test_a_whole_file(tmp_path):
    ran = check("# a network\n"
                "host web 10.0.0.1 fd00::1 daemon -- nginx\n\n"
                "  host cli 10.0.0.2 -- curl http://web/   # the client\n"
                "switch sw\n"
                "link web cli delay=20ms jitter=2ms loss=1% rate=100mbit queue=100\n"
                "link cli sw rules='drop fin 1'\n", tmp_path)
    assert ran.status == 0, ran
    assert ran.out.splitlines() == [
        "host web 10.0.0.1 fd00::1 daemon -- [nginx]",
        "host cli 10.0.0.2 -- [curl] [http://web/]",
        "switch sw",
        "link web cli delay=20ms jitter=2ms loss=1% rate=100mbit queue=100 ",
        "link cli sw rules='drop fin 1' ",
    ]


@pytest.mark.parametrize("text, line, words", [
    ("", 1, "no host"),
    ("hots a 10.0.0.1 -- x", 1, "none of host, switch, link"),
    ("host", 1, "a host is"),
    ("host a -- x", 1, "no address"),
    ("host a 10.0.0.300 -- x", 1, "is no address"),
    ("host a 0.0.0.0 -- x", 1, "cannot be a host's address"),
    ("host a 127.0.0.1 -- x", 1, "cannot be a host's address"),
    ("host 1a 10.0.0.1 -- x", 1, "cannot be a name"),
    ("host a 10.0.0.1 --", 1, "no program"),
    ("host a 10.0.0.1 daemon", 1, "a daemon needs a program"),
    ("host a 10.0.0.1 -- x\nhost a 10.0.0.2 -- x", 2, "already"),
    ("host a 10.0.0.1 -- x\nhost b 10.0.0.1 -- x", 2, "given twice"),
    ("host a 10.0.0.1 -- 'x\n\n", 1, "quote"),
    ("host a 10.0.0.1 -- x\n\n\nlink a b", 4, 'no host or switch "b"'),
    ("host a 10.0.0.1 -- x\nlink a a", 2, "two different ends"),
    ("host a 10.0.0.1 -- x\nlink a", 2, "a link is"),
    ("host a 10.0.0.1 -- x\nhost b 10.0.0.2 -- x\nlink a b loss=lots", 3, "cannot understand"),
    ("switch s\nswitch t\nhost a 10.0.0.1 -- x\nlink s t", 4, "two switches"),
    ("switch", 1, "a switch is"),
])
def test_mistakes_are_told_with_their_line(text, line, words, tmp_path):
    ran = check(text, tmp_path)
    assert ran.status == 2 and not ran.out, ran
    assert f"file.net:{line}: " in ran.err and words in ran.err, ran


def test_a_capture_needs_a_link(tmp_path):
    ran = apps.net("host a 10.0.0.1 -- true\n", "--pcap", tmp_path / "x", tmp_path=tmp_path)
    assert ran.status == 2 and "no link" in ran.err, ran


def test_the_file_may_be_standard_input(tmp_path):
    ran = apps.weir("net", "-", stdin=b"host a 10.0.0.1 -- sh -c 'echo a; exit 4'\n")
    assert (ran.status, ran.out) == (4, "a\n"), ran
