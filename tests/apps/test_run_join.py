# SPDX-License-Identifier: MIT
"""`weir run --host NAME`: programs of several on one host."""
import errno
import os
import shutil
import signal
import subprocess
import time
import uuid

import pytest

import apps

users = pytest.mark.parametrize("prefix", [pytest.param((), id="self"), pytest.param(
    apps.NOBODY, id="nobody", marks=pytest.mark.skipif(not apps.is_root(), reason="needs root"))])

SERVER = """
import socket
l = socket.create_server(("127.0.0.1", 80))
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("127.0.0.1", 8100))
print("listening", flush=True)
while True:
    c = l.accept()[0]
    while (data := c.recv(65536)):
        if data == b"quit":
            raise SystemExit(3)
        c.sendall(data)
"""
CLIENT = """
import socket, sys
c = socket.create_connection(("127.0.0.1", 80))
want = bytes(range(256)) * 400
got = b""
c.sendall(want)
while len(got) < len(want):
    got += c.recv(65536)
print(got == want)
"""
QUIT = "import socket; c = socket.create_connection(('127.0.0.1', 80)); c.sendall(b'quit'); c.recv(1)"


class Host:
    """Runs `weir run --host` with a name of its own; at the end nothing may be left."""

    def __init__(self, folder, prefix=()):
        self.mark = uuid.uuid4().hex
        self.prefix, self.name, self.running = prefix, "join" + self.mark[:8], []
        self.env = dict(os.environ, XDG_RUNTIME_DIR=str(folder), WEIR_TEST_MARK=self.mark)
        self.folder = folder

    def start(self, *words, options=(), prefix=None, weir=apps.WEIR, cwd=None):
        prefix = self.prefix if prefix is None else prefix
        process = subprocess.Popen([*prefix, weir, "run", "--host", self.name, *options, "--",
                                    *map(str, words)], env=self.env, cwd=cwd or self.folder, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.running.append(process)
        return process

    def run(self, *words, **kwargs):
        process = self.start(*words, **kwargs)
        out, err = process.communicate(timeout=apps.HANG)
        return apps.Ran(process.returncode, out, err)

    def serve(self, *options, prefix=None):
        process = self.start("python3", "-c", SERVER, options=options, prefix=prefix)
        assert process.stdout.readline() == "listening\n", process.communicate()
        return process

    def left(self):
        return apps.left_over("WEIR_TEST_MARK=" + self.mark, -1)

    def end(self):
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.wait()
        for _ in range(700):
            if not self.left():
                break
            time.sleep(0.03)
        assert not self.left()
        again = subprocess.run([*self.prefix, apps.WEIR, "ss", "--hosts"], env=self.env,
                               capture_output=True, text=True)
        assert self.name not in again.stdout


@pytest.fixture
def host(request, folder):
    prefix = request.node.callspec.params.get("prefix", ()) if hasattr(request.node, "callspec") else ()
    made = Host(folder, prefix)
    yield made
    made.end()


@users
def test_a_client_joins_the_servers_host(host, prefix):
    server = host.serve()
    for _ in range(3):
        ran = host.run("python3", "-c", CLIENT)
        assert (ran.status, ran.out, ran.err) == (0, "True\n", ""), ran
    host.run("python3", "-c", QUIT)
    assert server.wait(apps.HANG) == 3


@users
def test_status_signals_and_streams_are_the_programs_own(host, prefix):
    host.serve()
    assert host.run("sh", "-c", "exit 7").status == 7
    assert host.run("sh", "-c", "kill -KILL $$").status == -signal.SIGKILL
    ran = host.run("/no-such-program")
    assert ran.status == 127 and "no such program" in ran.err
    cat = host.start("cat")
    assert cat.communicate("through\n", timeout=apps.HANG)[0] == "through\n"
    sleeper = host.start("sh", "-c", "trap 'echo caught; exit 5' USR1; echo ready; while :; do sleep 0.05; done")
    assert sleeper.stdout.readline() == "ready\n"
    sleeper.send_signal(signal.SIGUSR1)
    assert (sleeper.communicate(timeout=apps.HANG)[0], sleeper.returncode) == ("caught\n", 5)
    ran = host.run("sh", "-c", f"cd {host.folder} && pwd; cat /proc/self/stat | cut -d' ' -f4; ulimit -n; umask")
    native = subprocess.run(["sh", "-c", "ulimit -n; umask"], capture_output=True, text=True).stdout
    assert ran.out.startswith(f"{host.folder}\n") and ran.out.endswith(native), ran


def root_only(test):
    return pytest.mark.skipif(not apps.is_root(), reason="needs root")(test)


@root_only
@pytest.mark.parametrize("prefix", [pytest.param(apps.NOBODY, id="nobody")])
def test_a_joiner_keeps_a_folder_that_it_cannot_find_by_name(host, prefix):
    """As without Weir: the folder a program was started in may lie in one that is closed to its user."""
    inner = host.folder / "closed" / "open"
    inner.mkdir(parents=True)
    (inner / "here").write_text("found\n")
    inner.parent.chmod(0o700)
    host.serve()
    ran = host.run("sh", "-c", "cat here; python3 -c 'import os; print(os.getcwd())'", cwd=inner)
    assert (ran.status, ran.out, ran.err) == (0, f"found\n{inner}\n", "")


@root_only
@pytest.mark.skipif(not os.path.exists("/dev/net/tun"), reason="needs /dev/net/tun")
def test_a_joiner_sees_the_names_of_its_host(host):
    host.serve("--tun", "weirjoin0,10.79.0.2/24", "--dns", "10.77.77.77", prefix=["unshare", "-n"])
    ran = host.run("cat", "/etc/resolv.conf", "/etc/hosts")
    assert "10.77.77.77" in ran.out and "localhost" in ran.out and ran.status == 0, ran


@root_only
def test_who_is_under_chroot_stays_there_when_joining(host):
    """The program has the joiner's root folder and current one, and in it the names of the host."""
    weir = shutil.copy2(apps.WEIR, host.folder / "weir")
    (host.folder / "root").mkdir()
    inside = ["unshare", "-m", "sh", "-ec", """
mount -t tmpfs none "$0"; cd "$0"
for d in usr etc proc dev tmp; do mkdir $d; mount --rbind /$d $d; done
for d in bin lib lib64; do if [ -d /$d ]; then ln -s usr/$d $d; fi; done
exec chroot . "$@" """, str(host.folder / "root")]
    ran = host.run("true", prefix=inside, weir=weir)
    assert (ran.status, ran.err) == (0, ""), ran  # alone
    host.serve()
    ran = host.run("sh", "-c", "ls /; pwd -P", prefix=inside, weir=weir)
    assert ran.status == 0, ran
    *folders, current = ran.out.splitlines()
    assert set(folders) <= {"bin", "dev", "etc", "lib", "lib64", "proc", "tmp", "usr"} and current == "/", ran
    assert host.run("python3", "-c", CLIENT, prefix=inside, weir=weir).out == "True\n"


def test_three_at_once_and_a_server_that_joined(host):
    """The first program does nothing; the server is a joiner, and so are its clients."""
    first = host.start("sleep", "60")
    time.sleep(0.3)
    host.serve()
    clients = [host.start("python3", "-c", CLIENT) for _ in range(3)]
    for client in clients:
        assert client.communicate(timeout=apps.HANG)[0] == "True\n"
    first.terminate()


def test_one_host_has_one_set_of_ports_and_addresses(host):
    """TCP by Weir, UDP by the kernel of the namespace: both are shared."""
    host.serve()
    script = ("import socket, errno\n"
              "for kind, port in ((socket.SOCK_STREAM, 80), (socket.SOCK_DGRAM, 8100)):\n"
              "    try:\n        s = socket.socket(socket.AF_INET, kind); s.bind(('127.0.0.1', port))\n"
              "    except OSError as e:\n        print(errno.errorcode[e.errno])\n")
    ran = host.run("python3", "-c", script)
    assert ran.out.split() == ["EADDRINUSE"] * 2, ran


def test_who_starts_at_once_meets_on_one_host(host):
    """However they race, one of them makes the host: of the same port there is one."""
    script = ("import socket, time, sys\n"
              "s = socket.socket()\n"
              "try:\n    s.bind(('127.0.0.1', 99)); s.listen(); print('mine', flush=True)\n"
              "except OSError as e:\n    print(e.errno, flush=True)\n"
              "sys.stdin.readline()\n")
    for _ in range(3):
        started = [host.start("python3", "-c", script) for _ in range(6)]
        said = sorted(process.stdout.readline() for process in started)
        assert said == [f"{errno.EADDRINUSE}\n"] * 5 + ["mine\n"]
        for process in started:
            process.stdin.write("\n")
            process.stdin.flush()
        assert [process.wait(apps.HANG) for process in started] == [0] * 6


def test_who_comes_while_the_host_ends_makes_a_new_one(host):
    """Starts and ends overlap; none fails."""
    running = []
    for i in range(24):
        running.append(host.start("sh", "-c", f"sleep 0.0{i % 4}; exit {i}"))
        time.sleep(0.02)
    assert [process.wait(apps.HANG) for process in running] == list(range(24))


def test_the_host_stays_until_the_last_has_ended(host):
    """The first program ends before the others: its status comes last, their connections go on."""
    first = host.start("sh", "-c", "exit 9")
    # Whether they join the first or, too late, make a host themselves is the same for them.
    time.sleep(0.1)
    server = host.serve()
    assert host.run("python3", "-c", CLIENT).out == "True\n"
    host.run("python3", "-c", QUIT)
    assert server.wait(apps.HANG) == 3
    assert first.wait(apps.HANG) == 9

    first = host.start("sh", "-c", "sleep 0.5; exit 9")
    time.sleep(0.2)
    server = host.serve()
    time.sleep(0.6)
    assert first.poll() is None
    assert host.run("python3", "-c", CLIENT).out == "True\n"
    first.send_signal(signal.SIGTERM)  # asks those who joined to end
    assert server.wait(apps.HANG) == -signal.SIGTERM
    assert first.wait(apps.HANG) == 9
    assert "stays for 1 more" in first.stderr.read()


HOLDER = """
import os, signal, socket, sys
signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"asked to end\\n"))  # it may interrupt a print()
c = socket.create_connection(("127.0.0.1", 80))
c.sendall(b"x"); c.recv(1)
print("held", flush=True)
try:
    print(c.recv(1))
except OSError as e:
    os.write(1, b"%d\\n" % e.errno)
sys.stdin.readline()
"""


@users
def test_the_host_is_killed(host, prefix):
    """Its connections are reset; programs that joined get SIGTERM, and SIGKILL in the end."""
    server = host.serve()
    holder = host.start("python3", "-c", HOLDER)
    assert holder.stdout.readline() == "held\n"
    server.kill()
    said = {holder.stdout.readline(), holder.stdout.readline()}
    assert said == {"asked to end\n", f"{errno.ECONNRESET}\n"}
    assert holder.wait(apps.HANG) == -signal.SIGKILL
    assert "the host has ended" in holder.stderr.read()


def test_a_stubborn_program_does_not_outlive_its_host(host):
    first = host.start("sleep", "60")
    time.sleep(0.3)
    stubborn = host.start("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done")
    assert stubborn.stdout.readline() == "ready\n"
    first.kill()
    assert stubborn.wait(apps.HANG) == -signal.SIGKILL


@users
def test_a_joiner_is_killed(host, prefix):
    """Its program is ended, stubborn children too; the host and others on it go on."""
    server = host.serve()
    joiner = host.start("sh", "-c", "(trap '' TERM; echo ready; while :; do sleep 0.1; done) & wait")
    assert joiner.stdout.readline() == "ready\n"
    before = len(host.left())
    joiner.kill()
    for _ in range(200):
        # the joiner, its program and the child, and in the end its guard
        if len(host.left()) <= before - 4:
            break
        time.sleep(0.05)
    assert server.poll() is None
    assert host.run("python3", "-c", CLIENT).out == "True\n"
    host.run("python3", "-c", QUIT)
    assert server.wait(apps.HANG) == 3  # the host does not wait for who is gone


def test_options_of_a_host_are_not_for_joiners(host):
    host.serve()
    for options in (("--tun", "wjoin0,10.0.0.1/24"), ("--addr", "10.0.0.1/24"), ("--seed", "7")):
        ran = host.run("true", options=options)
        assert ran.status == 125 and "is running" in ran.err, ran


def test_a_host_of_weir_net_lets_nobody_in(host):
    (host.folder / "net").write_text(f"host {host.name} 10.0.0.1 -- sh -c 'echo up; sleep 60'\n")
    net = subprocess.Popen([apps.WEIR, "net", host.folder / "net"], env=host.env, stdout=subprocess.PIPE, text=True)
    try:
        assert net.stdout.readline() == "up\n"
        ran = host.run("true")
        assert ran.status == 125 and "lets no program in" in ran.err, ran
    finally:
        net.terminate()
        net.wait()


def test_the_same_name_servers_and_hosts_for_all(host):
    """What the first was told holds for those who join: they are in its namespaces."""
    first = host.start("sh", "-c", "echo up; sleep 60", options=("--addr", "10.82.0.1/24"))
    assert first.stdout.readline() == "up\n"
    ran = host.run("sh", "-c", "ip -o -4 addr; readlink /proc/self/ns/net; getent hosts localhost")
    assert "10.82.0.1/24" in ran.out and "localhost" in ran.out, ran
    seen = host.run("readlink", "/proc/self/ns/net").out
    assert seen in ran.out
    first.terminate()
