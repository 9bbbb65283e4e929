# SPDX-License-Identifier: MIT
"""The `weir` of an earlier revision, built by the preset `release` that it had, so that both can take turns in one
run: a figure of another day says little, for the machine was another then."""

import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Unavailable(Exception):
    """There is no such program, and why."""


def called(words, what, **more):
    """What it printed. The end of what it said about a failure goes into the error."""
    try:
        done = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    except FileNotFoundError:
        raise Unavailable(f"{what}: {words[0]} is not installed") from None
    if done.returncode:
        said = "\n".join(done.stdout.strip().splitlines()[-12:])
        raise Unavailable(f"{what}: {said or f'status {done.returncode}'}")
    return done.stdout.strip()


def commit_of(revision, root=ROOT):
    """Its whole hash."""
    return called(["git", "-C", root, "rev-parse", "--verify", "--end-of-options", revision + "^{commit}"],
                  f"revision {revision}")


def weir_of(revision, build, root=ROOT):
    """Path of the program, which is kept in the folder `build` for the next time."""
    commit = commit_of(revision, root)
    folder = pathlib.Path(build).resolve() / "earlier" / commit[:12]
    kept = folder / "weir"
    if kept.exists():
        return kept
    source = folder / "source"
    shutil.rmtree(folder, ignore_errors=True)
    source.mkdir(parents=True)
    try:
        archive = folder / "source.tar"
        called(["git", "-C", root, "archive", "-o", archive, commit], f"revision {revision}")
        called(["tar", "-xf", archive, "-C", source], f"revision {revision}")
        called(["cmake", "--preset", "release"], f"revision {revision} is not configured", cwd=source)
        called(["cmake", "--build", "--preset", "release", "--target", "weir"],
               f"revision {revision} is not built", cwd=source)
        (source / "build/release/weir").rename(kept)
    except OSError as why:
        raise Unavailable(f"revision {revision}: {why}") from None
    finally:
        shutil.rmtree(source, ignore_errors=True)
        (folder / "source.tar").unlink(missing_ok=True)
    return kept
