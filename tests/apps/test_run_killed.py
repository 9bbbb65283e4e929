# SPDX-License-Identifier: MIT
"""The supervisor is killed (SIGKILL) a hundred times at random moments while its program is busy. Nothing is
left: no process, namespace, device, mount or control socket."""
import os
import random
import subprocess
import time
import uuid
from pathlib import Path

import pytest

import apps

TIMES, AT_ONCE = 100, 6
NS = f"weir-killed-{os.getpid()}"


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    return apps.compile_c("busy.c", apps.open_folder(tmp_path_factory.mktemp("busy")) / "busy")


@pytest.fixture
def netns():
    if not apps.is_root() or not os.path.exists("/dev/net/tun"):
        yield None
        return
    subprocess.run(["ip", "netns", "add", NS], check=True)
    yield NS
    subprocess.run(["ip", "netns", "del", NS], check=True)


def processes():
    return set(filter(str.isdigit, os.listdir("/proc")))


def of_ours(mark):
    """Processes that have the mark in their environment: none of the programs here overwrites it."""
    found = []
    for pid in processes():
        try:
            environ = Path("/proc", pid, "environ").read_bytes()
            state = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0]
            if mark.encode() in environ and state != "Z":
                found.append((pid, Path("/proc", pid, "comm").read_text().strip()))
        except OSError:
            pass
    return found


def mounts_now():
    """But for names of network namespaces, which others may give."""
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if "/netns/" not in line]


def until_none(look, seconds):
    end = time.monotonic() + seconds
    while (left := look()) and time.monotonic() < end:
        time.sleep(0.05)
    return left


def words_of(n, netns, busy, folder):
    """A third of them as nobody, in a user namespace; a third with a TUN device; a third as they are."""
    name = ("--host", f"killed{n}")
    if netns and n % 3 == 0:
        return [*apps.NOBODY, apps.WEIR, "run", *name, "--", busy]
    if netns and n % 3 == 1:
        tun = f"wk{n},10.79.{n}.2/24,kernel=10.79.{n}.1/24"
        return [apps.WEIR, "run", *name, "--netns", netns, "--tun", tun, "--", busy]
    return [apps.WEIR, "run", *name, "--", busy]


def test_a_hundred_supervisors_killed(busy, netns, tmp_path):
    folder = apps.open_folder(tmp_path)
    runtime = {uid: folder / f"runtime{uid}" for uid in ({0, 65534} if netns else {os.geteuid()})}
    for uid, place in runtime.items():
        place.mkdir(mode=0o700)
        os.chown(place, uid, -1)
    mark = "WEIR_TEST_MARK=" + uuid.uuid4().hex
    rng = random.Random(7)
    mounts = mounts_now()
    running, sockets_seen = [], 0
    spaces = {}  # network namespaces, each held open: else its number would soon be another's
    try:
        for n in range(TIMES + AT_ONCE):
            if n < TIMES:
                words = words_of(n, netns, busy, folder)
                uid = 65534 if words[0] == "setpriv" else os.geteuid()
                environ = dict(os.environ, WEIR_TEST_MARK=mark.split("=")[1], XDG_RUNTIME_DIR=str(runtime[uid]))
                running.append(subprocess.Popen(list(map(str, words)), env=environ, stdin=subprocess.DEVNULL,
                                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE))
                time.sleep(rng.random() * 0.06)
            if n < AT_ONCE:
                continue
            for pid, _ in of_ours(mark) if n % 20 == 10 else ():
                try:
                    fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
                    spaces.setdefault(os.readlink(f"/proc/self/fd/{fd}"), fd)
                except OSError:
                    pass
            sockets_seen += sum(len(list(place.glob("weir/*"))) for place in runtime.values())
            victim = running.pop(0)
            assert victim.poll() is None, victim.stderr.read()
            victim.kill()
            victim.wait()
            victim.stderr.close()
    finally:
        for victim in running:
            victim.kill()
            victim.wait()
    ours = os.readlink("/proc/self/ns/net")
    assert len(spaces.keys() - {ours}) > 3 and sockets_seen > TIMES  # there was something to be left behind

    left = until_none(lambda: of_ours(mark), 10)
    assert not left, left
    held = [pid for pid in processes() if os.path.exists(f"/proc/{pid}/ns/net") and
            os.readlink(f"/proc/{pid}/ns/net") in spaces.keys() - {ours}]
    assert not held, held
    files = [path.name for place in runtime.values() for path in place.glob("weir/*")]
    assert not files, files
    new = [line for line in mounts_now() if line not in mounts]
    assert not new, new
    if netns:
        links = subprocess.run(["ip", "-n", netns, "-o", "link"], capture_output=True, text=True, check=True)
        assert len(links.stdout.splitlines()) == 1, links.stdout
