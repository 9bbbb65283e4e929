# SPDX-License-Identifier: MIT
"""The README's listing is the example that the build compiles, and its links lead somewhere."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_echo_server_is_the_compiled_example():
    blocks = re.findall(r"^```c\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    assert (ROOT / "examples/echo.c").read_text() in blocks


def test_links_between_documents_lead_somewhere():
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md"),
                 *ROOT.glob("bench/*.md")]
    for document in documents:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
