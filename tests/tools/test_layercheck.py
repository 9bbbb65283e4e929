# SPDX-License-Identifier: MIT
"""tools/layercheck sees each kind of violation, planted one at a time in a small tree."""
import pathlib
import subprocess

import pytest

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools" / "layercheck"

GOOD = {
    "include/weir/weir.h": "#include <stdint.h>\n",
    "src/base/ring.h": "#include <stddef.h>\n#include <weir/weir.h>\n",
    "src/base/ring.c": '#include "base/ring.h"\n#include <string.h>\n',
    "src/core/stack.c": '#include "tcp/tcp_input.h"\n#include <stdlib.h>\n',
    "src/core/core.h": '#include "base/ring.h"\n',
    "src/ip/ip4_input.c": '#include "tcp/tcp_entry.h"\n#include "core/core.h"\n',
    "src/ip/ip_route.h": "",
    "src/tcp/tcp_entry.h": '#include "core/core.h"\n',
    "src/tcp/tcp_input.h": "",
    "link/link_tun.c": '#include <unistd.h>\n#include "weir/weir.h"\n',
    "drill/drill.c": '#include "tcp/tcp_input.h"\n',
    "tests/unit/test_ring.c": '#include "base/ring.h"\n',
}


def run(root, *extra):
    done = subprocess.run([TOOL, "--root", root, *extra], text=True, capture_output=True)
    return done.returncode, done.stdout + done.stderr


def plant(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_good_tree_passes(tmp_path):
    plant(tmp_path, GOOD)
    assert run(tmp_path) == (0, f"layercheck: {len(GOOD)} files\n")


def test_empty_tree_fails(tmp_path):
    assert run(tmp_path)[0] == 1


@pytest.mark.parametrize("name, text, said", [
    ("src/base/list.c", '#include "core/core.h"\n', "src/base/list.c:1: layer src/base may not"),
    ("src/ip/ip4_output.c", '\n#include "tcp/tcp_input.h"\n', "ip4_output.c:2: layer src/ip may"),
    ("src/tcp/tcp_ack.c", '#include "ip/ip_route.h"\n', "may not include src/ip/ip_route.h"),
    ("include/weir/cc.h", '#include "base/ring.h"\n', "layer public may not include"),
    ("host/loop.c", '#include "src/base/ring.h"\n', "layer host may not include src/base/ring.h"),
    ("cli/main.c", '#  include "../src/base/ring.h"\n', "may not include"),
    ("src/tcp/tcp_ack.c", "#include <stdio.h>\n", "the core may not include <stdio.h>"),
    ("src/tcp/tcp_ack.c", "#include <stdlib.h>\n", "the core may not include <stdlib.h>"),
    ("src/tcp/tcp_ack.c", '#include "nothing.h"\n', "no such header: nothing.h"),
    ("link/ring.h", "", "the file name ring.h is taken by link/ring.h"),
    ("host/ring.c", "", "the name ring is taken in host"),
])
def test_planted_violation_fails(tmp_path, name, text, said):
    plant(tmp_path, GOOD)
    plant(tmp_path, {name: text})
    code, out = run(tmp_path)
    assert code == 1
    assert said in out


def archive(root, name, text):
    plant(root, {"o/" + name: text})
    subprocess.run(["cc", "-c", "-o", name + ".o", name], check=True, cwd=root / "o")
    subprocess.run(["ar", "rc", "lib.a", name + ".o"], check=True, cwd=root / "o")
    return root / "o" / "lib.a"


@pytest.mark.parametrize("name, text, code", [
    ("tcp_ack.c", "#include <string.h>\nvoid f(void *a, void *b) { memmove(a, b, 99); }", 0),
    ("tcp_ack.c", "#include <stdio.h>\nvoid f(int n) { printf(\"%d\", n); }", 1),
    ("tcp_ack.c", "#include <stdlib.h>\nvoid *f(void) { return malloc(9); }", 1),
    ("stack.c", "#include <stdlib.h>\nvoid *f(void) { return malloc(9); }", 0),
])
def test_symbols(tmp_path, name, text, code):
    plant(tmp_path, GOOD)
    lib = archive(tmp_path, name, text)
    assert run(tmp_path, "--lib", lib)[0] == code
