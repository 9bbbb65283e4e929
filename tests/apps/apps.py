# SPDX-License-Identifier: MIT
"""What the tests of `weir run` and `weir net` share."""
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

import pytest


def within_reach(path):
    """The path, or that of a copy: one that user nobody reaches (a clone may lie in root's home) and that needs no
    quoting, whatever the clone's folders are called."""
    closed = os.geteuid() == 0 and not all(up.stat().st_mode & 0o001 for up in path.parents)
    if not closed and re.fullmatch(r"[\w./+-]+", str(path), re.ASCII):
        return path
    folder = tempfile.TemporaryDirectory(prefix="weir-reach-")
    copies.append(folder)
    copy = Path(folder.name, path.name)
    shutil.copytree(path, copy) if path.is_dir() else shutil.copy2(path, copy)
    subprocess.run(["chmod", "-R", "a+rX", folder.name], check=True)
    return copy


copies = []  # removed at the end
WEIR = str(within_reach(Path(os.environ["WEIR"]))) if "WEIR" in os.environ else "weir"
HERE = within_reach(Path(__file__).parent)
# Seconds after which what a test waits for is taken to hang. Nothing is asserted of time: a busy machine takes as long as
# it takes.
HANG = 200
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def need(*programs):
    """A test's first line: pytest.skip's reason, or None."""
    missing = [p for p in programs if shutil.which(p) is None]
    return f"needs {', '.join(missing)}" if missing else None


def is_root():
    return os.geteuid() == 0


def datagrams_leave():
    """True if programs of `weir run` have a TUN for what is not TCP (docs/run.md)."""
    return os.access("/dev/net/tun", os.R_OK | os.W_OK)


class Ran:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def __repr__(self):
        return f"status {self.status}\n--- out\n{self.out[-4000:]}\n--- err\n{self.err[-4000:]}"


def left_over(mark, session):
    """Processes of this session, or that carry the mark in their environment (some overwrite it)."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()
            environ = Path("/proc", pid, "environ").read_bytes()
            if stat[0] != "Z" and (int(stat[3]) == session or mark.encode() in environ):
                found.append((pid, Path("/proc", pid, "cmdline").read_text()))
        except (OSError, ProcessLookupError):
            pass
    return found


def run(words, timeout=HANG, stdin=None, cwd=None, env=None, prefix=()):
    """Runs to the end; nothing it started may be left behind."""
    mark = "WEIR_TEST_MARK=" + uuid.uuid4().hex
    environ = dict(os.environ, **(env or {}))
    environ[mark.split("=")[0]] = mark.split("=")[1]
    process = subprocess.Popen([*prefix, *map(str, words)], cwd=cwd, env=environ,
                               stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    try:
        out, err = process.communicate(stdin, timeout)
    except subprocess.TimeoutExpired:
        for pid, _ in left_over(mark, process.pid):
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass
        out, err = process.communicate()
        raise AssertionError(f"not done after {timeout} s: {Ran(None, out.decode(), err.decode())}")
    ran = Ran(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))
    for _ in range(1000):
        left = left_over(mark, process.pid)
        if not left:
            return ran
        time.sleep(0.02)
    for pid, _ in left:
        os.kill(int(pid), signal.SIGKILL)
    raise AssertionError(f"left behind: {left}\n{ran}")


def weir(*words, **kwargs):
    return run([WEIR, *words], **kwargs)


def net(text, *options, tmp_path, **kwargs):
    file = tmp_path / "file.net"
    file.write_text(text)
    file.chmod(0o644)
    return weir("net", *options, file, **kwargs)


def make_file(path, size):
    """A file that does not compress and is the same each time; its SHA-256."""
    block = hashlib.shake_256(b"weir").digest(1 << 20)
    digest = hashlib.sha256()
    with open(path, "wb") as out:
        while size > 0:
            piece = block[:size]
            block = block[1:] + block[:1]
            out.write(piece)
            digest.update(piece)
            size -= len(piece)
    os.chmod(path, 0o644)
    return digest.hexdigest()


def open_folder(folder):
    """pytest's folders are closed to others: opens them on the way up."""
    for up in [folder, *folder.parents]:
        if str(up).startswith("/tmp/"):
            up.chmod(up.stat().st_mode | 0o055)
    return folder


def compile_c(source, to, *options):
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu11", "-O1", "-w", *options, "-o", to, HERE / source,
                    "-lpthread"], check=True)
    os.chmod(to, 0o755)
    return to


def built(name):
    """A test program that the build made (CMakeLists.txt here), or the test is skipped."""
    path = Path(os.environ["WEIR_BUILD"], "tests", "apps", name)
    if not path.exists():
        pytest.skip(f"{name} was not built: its compiler was missing when cmake ran")
    return within_reach(path)


def nginx_conf(folder, port=80, workers=True, extra="", listen=""):
    """An nginx configuration in `folder`, which any user may write; `workers`: how many beside the master
    (0: none, and no master); `listen`: options of listen."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    conf = folder / "nginx.conf"
    user = "user root;" if is_root() and workers else ""
    temps = "".join(f"{name}_temp_path {folder}/{name};\n"
                    for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    conf.write_text(f"""
daemon off; {user}
master_process {"on" if workers else "off"}; worker_processes {int(workers) or 1};
error_log {folder}/error.log; pid {folder}/nginx.pid;
events {{ worker_connections 512; }}
http {{ access_log off; sendfile on; {temps}
  server {{ listen {port} {listen}; listen [::]:{port} {listen}; root {folder}; {extra} }} }}
""")
    conf.chmod(0o644)
    return conf
