# SPDX-License-Identifier: MIT
"""A server and a client, each on Weir or on the kernel, driven step by step by one test.

A test takes the fixture `hosts` (conftest.py) and runs once for each arrangement:

    both     two hosts of `weir net`, joined by a link
    serves   the server's host is `weir run --tun`, the client's is the kernel in a network namespace
    asks     the client's host is `weir run --tun`, the server's is the kernel in a network namespace

and, where a test asks for them with @arrange("one", ...):

    one      server and client on one host of `weir run`, over its loopback
    nobody   as `both`, without privilege, where the test is run by root
    kernel   server and client on the kernel, in a network namespace: what Linux itself does

    def test_a_file_is_served(hosts):
        digest = apps.make_file(hosts.folder / "file", 1_000_000)
        hosts.server.start("nginx", "-c", apps.nginx_conf(hosts.folder), listens=80)
        ran = hosts.client.shell(f"curl -s http://{hosts.server.addr}/file | sha256sum")
        assert ran.out.split()[0] == digest, ran

`hosts.server` and `hosts.client` are Places: `addr`, `addr6`, `url` (host part of a URL), `on_weir`; `start()` gives
a running Program, `run()` and `shell()` run to the end and give an apps.Ran. Ports are the hosts' own, so a test
takes fixed ones, and no two tests meet. `hosts.folder` is a new folder that every user can read and write; it
holds all output (NAME-N.out, NAME-N.err, weir.err) and is printed and kept when the test fails. What a test leaves
running is sent SIGTERM, last started first; afterwards Weir must end by itself with status 0 and no process may be left.

Options by marker: @pytest.mark.hosts(impair="delay=2ms loss=1%", pcap=True, options=("--mtu", "9000")). With `pcap`,
hosts.packets(FILTER, FIELD...) ends the hosts and gives tshark's reading of the link, one tuple for each packet.

A place reaches what the machine's users reach, but for the network; `user="nobody"` starts a program as somebody else
(only where the test is root's: `apps.is_root()`).
"""
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

import apps

ARRANGEMENTS = ("both", "serves", "asks")
SERVER, CLIENT = ("10.77.0.1", "fd77::1"), ("10.77.0.2", "fd77::2")


def arrange(*names):
    """Other arrangements for a test than the three: @arrange("one"), @arrange("both", "kernel")."""
    return pytest.mark.parametrize("hosts", names, indirect=True)


def over(**families):
    """Arrangements and the IP version for each: @over(both=6, serves=4); the test takes hosts and family."""
    return pytest.mark.parametrize("hosts, family", list(families.items()), indirect=["hosts"])


# A client for web servers: connects anew for each request until the file `stop` is there, in sys.argv[2] threads; keeps the
# number of answers in the file `progress` and prints how often each X-Generation came. GET /small must be b"small" * 100.
WEB_LOAD = """
import collections, os, socket, sys, threading
address, seen, lock = sys.argv[1], collections.Counter(), threading.Lock()
def ask():
    with socket.create_connection((address, 80), 200) as c:
        c.sendall(b"GET /small HTTP/1.0\\r\\n\\r\\n")
        data = b""
        while (d := c.recv(65536)):
            data += d
    head, _, body = data.partition(b"\\r\\n\\r\\n")
    fields = dict(line.split(b": ") for line in head.split(b"\\r\\n")[1:])
    assert body == b"small" * 100, data
    return fields[b"X-Generation"].decode()
def loop():
    while not os.path.exists("stop"):
        try:
            what = ask()
        except Exception as e:
            what = repr(e)
        with lock:
            seen[what] += 1
            open("progress", "w").write(str(sum(seen.values())))
threads = [threading.Thread(target=loop) for _ in range(int(sys.argv[2]))]
[t.start() for t in threads]; [t.join() for t in threads]
for what in seen: print(what, seen[what], sep="\\t")
"""


def until(condition, what, seconds=apps.HANG):
    """Waits for condition() and gives its value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.01)
    return value


class Program:
    """A running program of a place."""

    def __init__(self, place, words, pid, out, err):
        self.place, self.words, self.pid = place, words, pid
        self.out_file, self.err_file = out, err
        self.stdin = self.stdout = None  # pipes, if it was started with stdin="pipe", stdout="pipe"
        self.pidfd = os.pidfd_open(pid)
        self.status = None

    def __repr__(self):
        return f"{self.place.name}: {' '.join(self.words)}: {apps.Ran(self.status, self.out, self.err)}"

    @property
    def out(self):
        return self.out_file.read_bytes().decode(errors="replace")

    @property
    def err(self):
        return self.err_file.read_bytes().decode(errors="replace")

    def alive(self):
        return self.status is None and not select.select([self.pidfd], [], [], 0)[0]

    def kill(self, number):
        signal.pidfd_send_signal(self.pidfd, number)

    def wait(self, timeout=apps.HANG):
        """Its exit status, negative for a signal."""
        if self.status is None:
            if not select.select([self.pidfd], [], [], timeout)[0]:
                raise AssertionError(f"not done after {timeout} s: {self}")
            self.status = self.place.ask({"op": "status", "pid": self.pid})["status"]
            os.close(self.pidfd)
            for end in (self.stdin, self.stdout):
                if end:
                    end.close()
        return self.status

    def stop(self, number=signal.SIGTERM, timeout=apps.HANG):
        """Sends the signal, if it still runs, and waits."""
        if self.alive():
            self.kill(number)
        return self.wait(timeout)


class Place:
    """A host's inside: where programs are started. The agent (agent.py) in there does it."""

    def __init__(self, hosts, name, addresses, on_weir):
        self.hosts, self.name, self.on_weir = hosts, name, on_weir
        self.host = name  # what weir ss calls it
        self.addr, self.addr6 = addresses
        self.programs = []
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.path = str(hosts.folder / f"{name}.sock")
        self.listener.bind(self.path)
        os.chmod(self.path, 0o777)
        self.listener.listen(1)
        self.conversation = None

    def agent(self):
        return [sys.executable, "-B", str(apps.HERE / "agent.py"), self.path]

    def join(self, process):
        """Waits for the agent, which `process` is to bring about."""
        self.listener.settimeout(0.1)
        for _ in range(10 * apps.HANG):
            try:
                self.conversation = self.listener.accept()[0]
                self.conversation.settimeout(apps.HANG)
                return
            except socket.timeout:
                if process.poll() is not None:
                    break
        raise AssertionError(f"{self.name} did not come up, status {process.poll()}")

    def ask(self, request, fds=()):
        socket.send_fds(self.conversation, [json.dumps(request).encode()], fds)
        answer = self.conversation.recv(1 << 16)
        assert answer, f"the agent of {self.name} is gone"
        answer = json.loads(answer)
        if "error" in answer:
            raise OSError(f"{self.name}: {request.get('words')}: {answer['error']}")
        return answer

    def start(self, *words, listens=None, ready=None, user=None, cwd=None, env=None, stdin=None,
              stdout=None, timeout=apps.HANG):
        """Starts a program. listens: waits until something listens on this TCP port; ready: until ready() is true.
        stdin: bytes, a Path, or "pipe"; stdout: a Path, or "pipe"; else they go to files, see Program."""
        words = [str(word) for word in words]
        stem = f"{self.name}-{len(self.programs)}-{Path(words[0]).name}"
        out = Path(stdout) if stdout and stdout != "pipe" else self.hosts.folder / f"{stem}.out"
        err = self.hosts.folder / f"{stem}.err"
        if isinstance(stdin, bytes):
            (self.hosts.folder / f"{stem}.in").write_bytes(stdin)
            stdin = self.hosts.folder / f"{stem}.in"
        ours = [None, None]
        fds = [None, None, os.open(err, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)]
        if stdin == "pipe":
            fds[0], ours[0] = os.pipe()
        else:
            fds[0] = os.open(stdin or "/dev/null", os.O_RDONLY)
        if stdout == "pipe":
            ours[1], fds[1] = os.pipe()
        else:
            fds[1] = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            pid = self.ask({"op": "start", "words": words, "cwd": str(cwd or self.hosts.folder),
                            "env": env or {}, "user": user}, fds)["pid"]
        finally:
            for fd in fds:
                os.close(fd)
        program = Program(self, words, pid, out, err)
        program.stdin = ours[0] is not None and os.fdopen(ours[0], "wb", buffering=0)
        program.stdout = ours[1] is not None and os.fdopen(ours[1], "rb", buffering=0)
        self.programs.append(program)
        if listens:
            ready = lambda: self.listens(listens)
        if ready:
            until(lambda: ready() or not program.alive(), f"{words} is ready", timeout)
            if not program.alive():
                program.wait()
                raise AssertionError(f"ended instead of getting ready: {program}")
        return program

    def run(self, *words, timeout=apps.HANG, **kwargs):
        """Runs a program to its end."""
        program = self.start(*words, **kwargs)
        try:
            status = program.wait(timeout)
        except AssertionError:
            program.kill(signal.SIGKILL)
            raise
        return apps.Ran(status, program.out, program.err)

    def shell(self, script, **kwargs):
        return self.run("sh", "-c", script, **kwargs)

    def listens(self, port):
        """True if a TCP socket of this place listens on the port."""
        return any(f":{port} " in row for row in self.sockets("-l", "sport", "=", f":{port}"))

    def sockets(self, *words):
        """`weir ss -Htn` or `ss -Htn` of this place, with these options and filters: the lines."""
        if self.on_weir:
            ss = [*self.hosts.prefix, apps.WEIR, "ss", "--host", f"{self.host}.{self.hosts.weir.pid}"]
        else:
            ss = ["ip", "netns", "exec", self.hosts.netns, "ss"]
        done = subprocess.run([*ss, "-Htn", *words], env=self.hosts.env, capture_output=True,
                              text=True)
        assert done.returncode == 0, done
        return done.stdout.splitlines()


class Hosts:
    """The two places, from start to end."""

    def __init__(self, arrangement, folder, impair="", pcap=False, options=()):
        self.arrangement, self.folder = arrangement, folder
        self.mark = "WEIR_TEST_MARK=" + uuid.uuid4().hex
        self.env = dict(os.environ, XDG_RUNTIME_DIR=str(folder / "run"),
                        **dict([self.mark.split("=")]))
        self.impair, self.pcap = impair, folder / "link.pcapng" if pcap else None
        self.options = [*map(str, options), *(["--pcap", str(self.pcap)] if pcap else [])]
        self.prefix = apps.NOBODY if arrangement == "nobody" and apps.is_root() else []
        self.netns = None  # where the kernel's place is
        self.started = []  # processes that bring an agent, Weir's among them
        self.weir = None
        self.ended = False
        self.patience = apps.HANG  # seconds that Weir may take to end once its programs have
        folder.chmod(0o777)
        (folder / "run").mkdir(mode=0o700)
        weir = {"both": "sc", "nobody": "sc", "one": "sc", "serves": "s", "asks": "c", "kernel": ""}
        where = weir[arrangement]
        self.server = Place(self, "server", SERVER, "s" in where)
        self.client = Place(self, "client", CLIENT, "c" in where)
        try:
            self.bring_up()
        except BaseException:
            self.end(kill=True)
            self.show()
            raise

    def bring_up(self):
        if self.arrangement in ("both", "nobody"):
            self.bring_up_net()
        elif self.arrangement == "one":
            self.bring_up_one()
        else:
            self.bring_up_kernel()

    def begin(self, words, log):
        with open(self.folder / log, "ab") as err:
            process = subprocess.Popen([str(w) for w in words], stdin=subprocess.DEVNULL, stdout=err,
                                       stderr=err, env=self.env, start_new_session=True)
        self.started.append(process)
        return process

    def bring_up_net(self):
        file = self.folder / "hosts.net"
        file.write_text("".join(f"host {p.name} {p.addr} {p.addr6} -- {' '.join(p.agent())}\n"
                                for p in (self.server, self.client)) +
                        f"link server client {self.impair}\n")
        if self.prefix:
            os.chown(self.folder / "run", 65534, 65534)
        self.weir = self.begin([*self.prefix, apps.WEIR, "net", *self.options, file], "weir.err")
        for place in (self.server, self.client):
            place.join(self.weir)

    def bring_up_one(self):
        """One host, with one agent that both places talk to; each has its conversation."""
        agents = " & ".join(" ".join(p.agent()) for p in (self.server, self.client))
        self.server.addr, self.server.addr6 = self.client.addr, self.client.addr6 = "127.0.0.1", "::1"
        self.weir = self.begin([apps.WEIR, "run", "--host", "server", *self.options, "--", "sh",
                                "-c", f"{agents}; wait"], "weir.err")
        for place in (self.server, self.client):
            place.join(self.weir)
        self.client.host = "server"

    def bring_up_kernel(self):
        self.netns = f"weir-apps-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        subprocess.run(["ip", "netns", "add", self.netns], check=True)
        subprocess.run(["ip", "-n", self.netns, "link", "set", "lo", "up"], check=True)
        for weir, kernel in ((self.server, self.client), (self.client, self.server)):
            if weir.on_weir:
                addresses = f"{weir.addr}/24,{weir.addr6}/64,kernel={kernel.addr}/24,kernel={kernel.addr6}/64"
                impair = ["--impair", self.impair] if self.impair else []
                self.weir = self.begin([apps.WEIR, "run", "--host", weir.name, "--netns", self.netns,
                                        "--tun", f"weir0,{addresses}", *impair, *self.options,
                                        "--", *weir.agent()], "weir.err")
                weir.join(self.weir)
        for place in (self.server, self.client):
            if not place.on_weir:
                if not self.weir:
                    for address in (place.addr + "/32", place.addr6 + "/128"):
                        subprocess.run(["ip", "-n", self.netns, "addr", "add", address, "dev", "lo"],
                                       check=True)
                place.join(self.begin(["ip", "netns", "exec", self.netns, *place.agent()],
                                      f"{place.name}-agent.err"))

    def places(self):
        return [self.server, self.client]

    def stop_programs(self):
        """SIGTERM to what still runs, last started first, clients first; a list of what did not heed it."""
        stubborn = []
        for place in reversed(self.places()):
            for program in reversed(place.programs):
                try:
                    if program.status is None:
                        program.stop()
                except (AssertionError, OSError):
                    stubborn.append(" ".join(program.words))
        return stubborn

    def end(self, kill=False):
        """Ends everything; what should not have been is an AssertionError at the end."""
        if self.ended:
            return
        self.ended = True
        trouble = []
        if not kill:
            trouble += [f"did not end at SIGTERM: {words}" for words in self.stop_programs()]
        for place in self.places():
            if place.conversation:
                place.conversation.close()
            place.listener.close()
        for process in self.started:
            try:
                if kill or trouble:
                    self.kill_marked()
                status = process.wait(self.patience)
                if status != 0 and not (kill or trouble):
                    trouble.append(f"status {status} of {process.args[:4]}")
            except subprocess.TimeoutExpired:
                trouble.append(f"does not end: {process.args[:4]}; there are {self.marked()}")
                self.kill_marked()
                process.wait(apps.HANG)
        left = self.still_marked()
        if left:
            trouble.append(f"left behind: {left}")
            self.kill_marked()
            self.still_marked()
        if self.netns:
            subprocess.run(["ip", "netns", "del", self.netns], check=True)
        assert not trouble or kill, "; ".join(trouble)

    def still_marked(self):
        """Those that do not go by themselves: one that was killed is there a moment longer."""
        left = self.marked()
        for _ in range(50 * min(self.patience, 20)):
            if not left:
                break
            time.sleep(0.02)
            left = self.marked()
        return left

    def marked(self):
        found = {}
        for process in self.started:
            found.update(apps.left_over(self.mark, process.pid))
        return list(found.items())

    def kill_marked(self):
        for pid, _ in self.marked():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass

    def packets(self, match, *fields):
        """Ends the hosts and reads the link's capture: a tuple of the fields for each packet that matches."""
        self.end()
        words = ["tshark", "-r", str(self.pcap), "-Y", match, "-T", "fields"]
        for field in fields:
            words += ["-e", field]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        return [tuple(line.split("\t")) for line in done.stdout.splitlines()]

    def show(self):
        """The logs, for the report of a test that failed."""
        for path in sorted(self.folder.iterdir()):
            if path.suffix in (".out", ".err", ".log") and path.is_file() and path.stat().st_size:
                with open(path, "rb") as file:
                    file.seek(max(0, path.stat().st_size - 3000))
                    print(f"--- {path}\n{file.read().decode(errors='replace')}")


def make_hosts(request, folder):
    """The fixture `hosts`: brings them up for request.param, ends them, tells and tidies up."""
    arrangement = request.param
    if arrangement in ("serves", "asks", "kernel") and not (apps.is_root() and
                                                           os.path.exists("/dev/net/tun")):
        pytest.skip("needs root and /dev/net/tun")
    marker = request.node.get_closest_marker("hosts")
    hosts = Hosts(arrangement, folder, **(marker.kwargs if marker else {}))
    try:
        yield hosts
        hosts.end()
    except AssertionError:
        request.node.failed = True
        raise
    finally:
        hosts.end(kill=True)
        if getattr(request.node, "failed", False):
            hosts.show()
