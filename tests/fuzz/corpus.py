# SPDX-License-Identifier: MIT
"""Where the seeds of a fuzz target are kept."""
import pathlib


def write(target, seeds):
    """A file for each: {name: bytes}."""
    folder = pathlib.Path(__file__).parent / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    for name, seed in seeds.items():
        (folder / name).write_bytes(seed)
    print(f"{len(seeds)} seeds in {folder}")
