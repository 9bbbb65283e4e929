# SPDX-License-Identifier: MIT
"""`weir run` as a command: exit status, signals, words, and programs among themselves."""
import os
import signal
import subprocess
import time

import pytest

import apps

SERVER = """
import http.server, socket, sys
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
Server(("::", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""

WAIT = "for i in $(seq 200); do curl -s -o /dev/null http://127.0.0.1:{0}/ && break; sleep 0.05; done"


@pytest.mark.parametrize("status", [0, 1, 42, 255])
def test_exit_status_is_passed_on(status):
    assert apps.weir("run", "--", "sh", "-c", f"exit {status}").status == status


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_death_by_signal_is_passed_on(sig):
    assert apps.weir("run", "--", "sh", "-c", f"kill -{sig.value} $$").status == -sig


def test_signals_are_forwarded():
    script = "trap 'echo got; exit 7' USR1; echo ready; while :; do sleep 0.05; done"
    process = subprocess.Popen([apps.WEIR, "run", "--", "sh", "-c", script], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGUSR1)
    assert process.communicate(timeout=apps.HANG)[0] == b"got\n"
    assert process.returncode == 7


def test_a_blocked_accept_hears_sigterm():
    script = ("import socket,signal,sys\n"
              "signal.signal(signal.SIGTERM, lambda *a: sys.exit(9))\n"
              "l = socket.create_server(('127.0.0.1', 8000))\n"
              "print('ready', flush=True)\n"
              "l.accept()\n")
    process = subprocess.Popen([apps.WEIR, "run", "--", "python3", "-c", script],
                               stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=apps.HANG) == 9


def test_options_that_answer_through_recvmsg_are_refused():
    script = ("import errno, socket\n"
              "s = socket.socket()\n"
              "for level, option in ((1, 60), (1, 37), (6, 36)):\n"
              "    try:\n"
              "        s.setsockopt(level, option, 1)\n"
              "    except OSError as e:\n"
              "        print(errno.errorcode[e.errno], end=' ')\n")
    ran = apps.weir("run", "--", "python3", "-c", script)
    assert (ran.status, ran.out) == (0, "ENOPROTOOPT ENOPROTOOPT ENOPROTOOPT "), ran


def test_standard_input_and_descriptors_are_the_programs():
    ran = apps.weir("run", "--", "cat", stdin=b"through")
    assert (ran.status, ran.out) == (0, "through")
    listing = "import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1])"
    ran = apps.weir("run", "--", "python3", "-c", listing)
    assert ran.out == "[0, 1, 2]\n", ran


def test_signal_dispositions_are_the_callers():
    """Ignored signals stay ignored, and a caller that ignores SIGCHLD gets its status all the same."""
    ignore = "import os, signal, sys\nfor s in (signal.SIGCHLD, signal.SIGPIPE): signal.signal(s, signal.SIG_IGN)\n"
    show = "grep SigIgn /proc/self/status; exit 6"
    words = ["python3", "-c", ignore + "os.execvp(sys.argv[1], sys.argv[1:])"]
    native = apps.run([*words, "sh", "-c", show])
    ran = apps.weir("run", "--", "sh", "-c", show, prefix=words)
    assert (ran.status, ran.out) == (native.status, native.out) == (6, native.out), ran


POLICIES = "import os; print(os.sched_getscheduler(0), os.sched_getscheduler(os.getppid()))"


def test_the_program_has_its_callers_scheduling_policy():
    """Weir's own is SCHED_BATCH, unless the caller has chosen another than the usual one."""
    for flag, own, weirs in (("--other", os.SCHED_OTHER, os.SCHED_BATCH), ("--idle", os.SCHED_IDLE, os.SCHED_IDLE),
                             ("--batch", os.SCHED_BATCH, os.SCHED_BATCH)):
        words = ["chrt", flag, "0", apps.WEIR, "run", "--", "python3", "-c", POLICIES]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (0, f"{own} {weirs}\n"), (flag, done)


def test_it_waits_for_what_the_program_leaves_behind():
    begun = time.monotonic()
    ran = apps.weir("run", "--", "sh", "-c", "(sleep 0.5; echo late) & exit 3")
    assert (ran.status, ran.out) == (3, "late\n")
    assert time.monotonic() - begun > 0.4


@pytest.mark.parametrize("words, status, text", [
    (["run"], 2, "no program given"),
    (["run", "--nonsense", "--", "true"], 2, "--help"),
    (["run", "--pcap", "x", "--", "true"], 2, "needs a link"),
    (["run", "--busy-poll", "50", "--", "true"], 2, "needs a link"),
    (["run", "--busy-poll", "-1", "--tun", "x", "--", "true"], 2, "no number between 0 and"),
    (["run", "--seed", "x", "--", "true"], 2, "no number"),
    (["run", "--mtu", "9", "--", "true"], 2, "between 68 and 65535"),
    (["run", "--", "no-such-program-here"], 127, "no such program"),
    (["run", "--", "/etc/passwd"], 126, "Permission denied"),
    (["nonsense"], 2, "no command"),
    ([], 2, "usage"),
    (["net"], 2, "no file given"),
    (["net", "/no/such/file"], 2, "cannot read"),
])
def test_wrong_words_are_told(words, status, text):
    ran = apps.weir(*words)
    assert ran.status == status, ran
    assert text in ran.err
    assert ran.out == ""


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["net", "--help"], ["--version"]])
def test_help_goes_to_standard_output(words):
    ran = apps.weir(*words)
    assert ran.status == 0 and ran.out and not ran.err


def test_nested_use_is_refused_clearly():
    ran = apps.weir("run", "--", apps.WEIR, "run", "--", "true")
    assert ran.status == 125
    assert "cannot run inside" in ran.err


def test_a_machine_that_forbids_inspection_is_told(tmp_path):
    deny = apps.compile_c("deny.c", tmp_path / "deny")
    ran = apps.weir("run", "--", "true", prefix=[deny, "pidfd_getfd"])
    assert ran.status == 125 and "pidfd_getfd" in ran.err, ran


def fetch_script(port, url_file, clients):
    return "\n".join(["trap 'kill $S' EXIT", f"python3 server.py {port} 2>/dev/null & S=$!",
                      WAIT.format(port), *clients])


def programs_fetch(tmp_path, prefix=()):
    tmp_path.chmod(0o755)
    digest = apps.make_file(tmp_path / "file", 5_000_000)
    (tmp_path / "server.py").write_text(SERVER)
    urls = ["http://127.0.0.1:8000/file", "http://[::1]:8000/file", "http://localhost:8000/file"]
    clients = [f"curl -sg '{url}' | sha256sum" for url in urls]
    clients += [f"wget -qO- '{url}' | sha256sum" for url in urls]
    clients += ["python3 -c \"import urllib.request as r; import hashlib; "
                "print(hashlib.sha256(r.urlopen('http://localhost:8000/file').read()).hexdigest())\""]
    ran = apps.weir("run", "--", "sh", "-c", fetch_script(8000, "file", clients), cwd=tmp_path,
                    prefix=prefix)
    assert [line.split()[0] for line in ran.out.splitlines()] == [digest] * len(clients), ran


def test_curl_wget_and_python_fetch_from_python(tmp_path):
    programs_fetch(tmp_path)


@pytest.mark.skipif(not apps.is_root(), reason="runs as nobody already when not root")
def test_the_same_without_privilege(tmp_path):
    programs_fetch(apps.open_folder(tmp_path), prefix=apps.NOBODY)


@pytest.mark.parametrize("workers", [False, True])
def test_nginx_serves(tmp_path, workers):
    apps.open_folder(tmp_path)
    digest = apps.make_file(tmp_path / "file", 20_000_000)
    conf = apps.nginx_conf(tmp_path, 8080, workers)
    script = "\n".join([f"nginx -c {conf} & S=$!", WAIT.format(8080),
                        "curl -s http://127.0.0.1:8080/file | sha256sum",
                        "curl -sg 'http://[::1]:8080/file' | sha256sum",
                        "curl -s http://127.0.0.1:8080/file http://127.0.0.1:8080/file -o /dev/null "
                        "-o /dev/null -w '%{num_connects}\\n'",
                        "kill -QUIT $S; wait $S; echo nginx $?"])
    ran = apps.weir("run", "--", "sh", "-c", script, cwd=tmp_path)
    lines = ran.out.split()
    assert [lines[0], lines[2]] == [digest, digest], ran
    assert lines[4:] == ["1", "0", "nginx", "0"], ran


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_netcat_both_ways(tmp_path, address):
    there = apps.make_file(tmp_path / "there", 3_000_000)
    back = apps.make_file(tmp_path / "back", 100_000)
    # The server answers after the client's half-close, so both ends of both streams are seen.
    script = (f"{{ nc -l -N {address} 9000 <back | sha256sum >served; }} & "
              "sleep 0.4; "
              f"nc -N {address} 9000 <there | sha256sum; wait; cat served")
    ran = apps.weir("run", "--", "sh", "-c", script, cwd=tmp_path)
    assert sorted(line.split()[0] for line in ran.out.splitlines()) == sorted([back, there]), ran


def test_other_sockets_do_not_leave():
    """UDP to another machine fails at once with a clear errno; to oneself it works."""
    script = ("import socket\n"
              "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
              "try:\n"
              "    s.sendto(b'x', ('192.0.2.1', 53)); print('sent')\n"
              "except OSError as e:\n"
              "    print(e.errno)\n"
              "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
              "s.bind(('127.0.0.1', 0)); s.sendto(b'me', s.getsockname()); print(s.recv(9).decode())\n")
    ran = apps.weir("run", "--", "python3", "-c", script)
    import errno
    assert ran.out == f"{errno.ENETUNREACH}\nme\n", ran


def test_io_uring_is_refused_so_that_programs_fall_back():
    script = ("import ctypes, errno\n"
              "libc = ctypes.CDLL(None, use_errno=True)\n"
              "print(libc.syscall(425, 8, None), errno.errorcode[ctypes.get_errno()])\n")
    assert apps.weir("run", "--", "python3", "-c", script).out == "-1 ENOSYS\n"


def test_many_connections_at_once(tmp_path):
    """A forking server and 200 connections, all open at once, each with its own answer."""
    script = """
import os, socket, threading
l = socket.create_server(("127.0.0.1", 7000), backlog=300)
if os.fork() == 0:
    conns = [l.accept()[0] for _ in range(200)]
    for c in conns:
        n = c.recv(10)
        c.sendall(n * 2)
        c.close()
    os._exit(0)
l.close()
clients = [socket.create_connection(("127.0.0.1", 7000)) for _ in range(200)]
for i, c in enumerate(clients):
    c.sendall(b"%d." % i)
good = 0
for i, c in enumerate(clients):
    data = b""
    while True:
        piece = c.recv(100)
        if not piece:
            break
        data += piece
    good += data == (b"%d." % i) * 2
print(good)
"""
    ran = apps.weir("run", "--", "python3", "-c", script)
    assert ran.out == "200\n", ran


def test_a_connection_waits_for_a_free_descriptor():
    """accept() fails with EMFILE, and gives the same connection once a descriptor is free."""
    script = """
import errno, os, resource, select, socket
l = socket.create_server(("127.0.0.1", 7000))
clients = [socket.create_connection(("127.0.0.1", 7000)) for _ in range(2)]
for i, c in enumerate(clients):
    c.sendall(b"%d" % i)
spare = os.open("/dev/null", os.O_RDONLY)
resource.setrlimit(resource.RLIMIT_NOFILE, (spare + 1, 4096))
for _ in range(3):
    try:
        l.accept()
    except OSError as e:
        print(errno.errorcode[e.errno], select.select([l], [], [], 0)[0] == [l])
os.close(spare)
for _ in range(2):
    with l.accept()[0] as s:
        print(s.recv(1))
l.setblocking(False)
try:
    l.accept()
except BlockingIOError:
    print("none")
"""
    ran = apps.weir("run", "--", "python3", "-c", script)
    assert ran.out.split() == ["EMFILE", "True"] * 3 + ["b'0'", "b'1'", "none"], ran


WAITING = """
import errno, os, resource, socket, time
listeners = [socket.create_server(("127.0.0.1", 7000 + i)) for i in range(30)]
clients = [socket.create_connection(("127.0.0.1", 7000 + i)) for i in range(30)]
spare = os.open("/dev/null", os.O_RDONLY)
os.close(spare)
resource.setrlimit(resource.RLIMIT_NOFILE, (spare, 4096))
full = 0
for l in listeners:
    try:
        l.accept()
    except OSError as e:
        full += e.errno == errno.EMFILE
listeners[0].close()
try:
    print(clients[0].recv(1))
except OSError as e:
    print(full, errno.errorcode[e.errno], flush=True)
"""


def test_connections_that_wait_for_a_descriptor_end_with_their_listener():
    """They are reset when it is closed; and gone with it, whichever comes first, when all ends at once."""
    ran = apps.weir("run", "--", "python3", "-c", WAITING)
    assert (ran.status, ran.out, ran.err) == (0, "30 ECONNRESET\n", ""), ran
    # As by Ctrl-C in a terminal: the programs end while Weir still has their sockets.
    words = [apps.WEIR, "run", "--", "sh", "-c", "python3 -c \"$0\"; exit", WAITING + "time.sleep(100)"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               start_new_session=True)
    assert process.stdout.readline() == b"30 ECONNRESET\n"
    os.killpg(process.pid, signal.SIGTERM)
    assert process.communicate(timeout=apps.HANG) == (b"", b"")
    assert process.returncode == -signal.SIGTERM


def test_a_killed_supervisor_resets_the_connections(tmp_path):
    """The peer of a dead supervisor must not take the stream's end for an orderly one."""
    out = tmp_path / "out"
    script = f"""
import os, signal, socket
signal.signal(signal.SIGTERM, signal.SIG_IGN)
l = socket.create_server(("127.0.0.1", 7000))
c = socket.create_connection(("127.0.0.1", 7000))
s = l.accept()[0]
print("ready", flush=True)
try:
    got = s.recv(1)
except OSError as e:
    got = e.errno
open({str(out)!r}, "w").write(repr(got))
"""
    process = subprocess.Popen([apps.WEIR, "run", "--", "python3", "-c", script],
                               stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.kill()
    process.wait()
    process.stdout.read()  # the program has ended
    import errno
    assert out.read_text() == str(errno.ECONNRESET)


@pytest.mark.parametrize("seed", range(1, 6))
def test_hostile_arguments_do_no_harm(seed, tmp_path):
    program = apps.compile_c("hostile.c", tmp_path / "hostile")
    ran = apps.weir("run", "--", program, str(seed))
    assert (ran.status, ran.out, ran.err) == (0, "works\n", ""), ran


def test_nothing_is_left_of_a_killed_supervisors_programs(tmp_path):
    """Orphans in a session of their own, which take no notice of SIGTERM, are ended too."""
    pids = tmp_path / "pids"
    script = (f"trap '' TERM; echo $$ >>{pids}; "
              f"setsid sh -c 'trap \"\" TERM; echo $$ >>{pids}; while :; do sleep 0.2; done' & "
              "sleep 0.3; echo ready; while :; do sleep 0.2; done")
    process = subprocess.Popen([apps.WEIR, "run", "--", "sh", "-c", script],
                               stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.kill()
    process.wait()
    process.stdout.read()  # ends when the last of them has
    for pid in map(int, pids.read_text().split()):
        with pytest.raises(ProcessLookupError):
            for _ in range(100):
                os.kill(pid, 0)
                time.sleep(0.05)
