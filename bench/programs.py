# SPDX-License-Identifier: MIT
"""The loads of bench/run with real programs: nginx, redis and iperf3, natively and under `weir run`.

One system is two agents, for server and client, or one agent for both. An agent is this file, started
natively or under `weir run`; it starts programs for the measuring process and tells what they cost. So a
program's parent, files and environment are the same everywhere, and the start of `weir run` itself is not
in any figure.

    system                   server                          client               between them
    kernel lo                native                          native               the kernel's loopback
    weir run, one host       under one weir run              under the same one   Weir's loopback
    kernel veth              native                          native               veth
    weir run server, TUN     under weir run                  native               TUN
    weir run client, TUN     native                          under weir run       TUN

Each of the three under `weir run` may be there twice: with today's `weir`, and with that of an earlier
revision (THEN), so that both have the same machine.

CPU is user and system time of the server, of the client and of `weir run` with all that it started, by
/proc/PID/schedstat (living) and wait4(2) (ended). All are pinned to one CPU unless told otherwise, so that
they are not woken across CPUs, which on a virtual machine costs more than all that is measured here.
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PORTS = {"nginx": 8080, "redis": 6379, "iperf": 5201}
PAGE_BYTES = 1024
NGINX = """user root;
daemon off;
master_process on;
worker_processes 1;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    keepalive_requests 100000000;
    client_body_temp_path {dir}/t1;
    proxy_temp_path {dir}/t2;
    fastcgi_temp_path {dir}/t3;
    uwsgi_temp_path {dir}/t4;
    scgi_temp_path {dir}/t5;
    server {{ listen {port} backlog=511; root {root}; }}
}}
"""

# Of each namespace. The algorithm is what a socket begins with: were that bbr, as where it is the machine's default, the
# kernel would pace it by timers for good, also once iperf3 has made it cubic, which it does when it is connected. That
# reno may be begun with anywhere is certain, of others it is not.
SETTINGS = ("net.ipv4.tcp_tw_reuse=1", "net.ipv4.ip_local_port_range=10000 65000",
            "net.ipv4.tcp_congestion_control=reno")

# What of a load's work is counted, and what must be installed for it.
LOADS = {
    "http_new": ("k requests", ("nginx", "ab")),
    "http_keep": ("k requests", ("nginx", "wrk")),
    "redis_c20": ("k requests", ("redis-server", "redis-benchmark")),
    "redis_P16": ("k requests", ("redis-server", "redis-benchmark")),
    "iperf_up": ("Gbit", ("iperf3",)),
    "iperf_down": ("Gbit", ("iperf3",)),
}
WEIR = {
    "weir run, one host": "kernel lo",
    "weir run server, TUN": "kernel veth",
    "weir run client, TUN": "kernel veth",
}
THEN = {system: system.replace("weir run", "earlier weir run") for system in WEIR}


def systems(before):
    """{system: what of the same round it is compared with}, in the order of a round. `before`: with the earlier
    `weir`, which has its turn right before today's."""
    found = {}
    for system, kernel in WEIR.items():
        found[kernel] = ()
        if before:
            found[THEN[system]] = (kernel,)
        found[system] = (kernel, THEN[system]) if before else (kernel,)
    return found


def missing(load):
    return [program for program in LOADS[load][1] if shutil.which(program) is None]


# ---- the agent -----------------------------------------------------------------------------------


def agent_run(words, timeout):
    """Runs to the end: what it printed, its status, and the CPU seconds of it and its children."""
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    signal.signal(signal.SIGALRM, lambda *_: process.kill())
    signal.alarm(timeout)
    out = process.stdout.read()
    err = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    signal.alarm(0)
    return {"out": out.decode(), "err": err.decode(), "status": status,
            "cpu": usage.ru_utime + usage.ru_stime}


def agent_reach(addr, port):
    """Waits until somebody listens there."""
    for _ in range(200):
        try:
            socket.create_connection((addr, port), 1).close()
            return {}
        except OSError:
            time.sleep(0.05)
    return {"error": f"nobody listens on {addr} port {port}"}


def agent():
    """Serves one order a line: start (a program that stays), run, reach."""
    for line in sys.stdin:
        order = json.loads(line)
        answer = {}
        if "start" in order:
            subprocess.Popen(order["start"], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        elif "reach" in order:
            answer = agent_reach(*order["reach"])
        else:
            answer = agent_run(order["run"], order["timeout"])
        print(json.dumps(answer), flush=True)


class Failed(Exception):
    """A program did not do its work."""


class Agent:
    """An agent, and the tree of processes below it, or below the `weir run` that it is under."""

    def __init__(self, prefix, cpus):
        words = [*map(str, prefix), sys.executable, str(pathlib.Path(__file__).resolve()), "agent"]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, start_new_session=True,
                                        preexec_fn=lambda: os.sched_setaffinity(0, cpus))

    def ask(self, **order):
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("an agent ended")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def tree(self):
        parents = {}
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                pass
        found = {self.process.pid}
        while True:
            more = {pid for pid, parent in parents.items() if parent in found} - found
            if not more:
                return found
            found |= more

    def cpu(self):
        """Seconds that what now lives of the tree was on a CPU."""
        total = 0
        for pid in self.tree():
            for task in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
                try:
                    total += int(task.read_text().split()[0])
                except OSError:
                    pass
        return total / 1e9

    def end(self):
        for pid in self.tree() - {self.process.pid}:
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            for pid in self.tree():
                os.kill(pid, signal.SIGKILL)
            self.process.wait()


# ---- systems -------------------------------------------------------------------------------------


def ip(*args):
    subprocess.run(["ip", *args], check=True)


class Programs:
    """All systems with their servers running. Needs root for namespaces and devices."""

    def __init__(self, build, cpus, before=None):
        """`before`: an earlier `weir`."""
        self.weir, self.before = build / "weir", before
        self.cpus = cpus
        self.tag = f"weirprog{os.getpid()}"
        self.spaces, self.agents = [], []
        self.systems = {}  # name: (client's agent, all agents, the server's address)
        self.dir = tempfile.mkdtemp(prefix="weirbench")
        os.chmod(self.dir, 0o755)
        (pathlib.Path(self.dir) / "index.html").write_bytes(b"x" * PAGE_BYTES)

    def space(self, letter):
        name = self.tag + letter
        ip("netns", "add", name)
        self.spaces.append(name)
        ip("-n", name, "link", "set", "lo", "up")
        for setting in SETTINGS:
            subprocess.run(["ip", "netns", "exec", name, "sysctl", "-qw", setting], check=True)
        return name

    def agent(self, netns=None, run=()):
        """`run`: a `weir` and its options."""
        prefix = ["ip", "netns", "exec", netns] if netns else []
        if run:
            prefix += [run[0], "run", *run[1:], "--"]
        self.agents.append(Agent(prefix, self.cpus))
        return self.agents[-1]

    def up(self):
        lo, near, far = (self.space(x) for x in "lab")
        ip("link", "add", "weirp0", "netns", near, "type", "veth",
           "peer", "name", "weirp1", "netns", far)
        for name, link, addr in ((near, "weirp0", "10.76.0.1/24"), (far, "weirp1", "10.76.0.2/24")):
            ip("-n", name, "addr", "add", addr, "dev", link)
            ip("-n", name, "link", "set", link, "up")
        one = self.agent(lo)
        self.system("kernel lo", one, one, "127.0.0.1")
        self.system("kernel veth", self.agent(far), self.agent(near), "10.76.0.2")
        self.up_weir(self.weir, "sc", list(WEIR))
        if self.before:
            self.up_weir(self.before, "tu", list(THEN.values()))

    def up_weir(self, weir, letters, names):
        tun = ["--tun", "weirp0,10.76.0.2/24,kernel=10.76.0.1/24"]
        tun_s, tun_c = (self.space(x) for x in letters)
        one = self.agent(run=[weir])
        self.system(names[0], one, one, "127.0.0.1")
        server = self.agent(tun_s, run=[weir, *tun])
        self.system(names[1], server, self.agent(tun_s), "10.76.0.2")
        server = self.agent(tun_c)
        self.system(names[2], server, self.agent(tun_c, run=[weir, *tun]), "10.76.0.1")

    def system(self, name, server, client, addr):
        data = tempfile.mkdtemp(dir=self.dir)
        conf = pathlib.Path(data) / "nginx.conf"
        conf.write_text(NGINX.format(dir=data, root=self.dir, port=PORTS["nginx"]))
        wanted = {
            "nginx": ["nginx", "-c", conf, "-p", data],
            "redis": ["redis-server", "--port", PORTS["redis"], "--save", "", "--appendonly", "no",
                      "--protected-mode", "no", "--dir", data, "--logfile", data + "/log"],
            "iperf": ["iperf3", "-s"],
        }
        for kind, words in wanted.items():
            if shutil.which(words[0]):
                server.ask(start=[str(word) for word in words])
        for kind, words in wanted.items():
            if shutil.which(words[0]):
                client.ask(reach=[addr, PORTS[kind]])
        self.systems[name] = (client, {server, client}, addr)

    def down(self):
        for agent in self.agents:
            agent.end()
        for name in self.spaces:
            ip("netns", "del", name)
        shutil.rmtree(self.dir, ignore_errors=True)

    def measure(self, load, system, seconds):
        """(work a second, work a CPU-second), in the load's unit."""
        client, agents, addr = self.systems[system]
        before = sum(agent.cpu() for agent in agents)
        said = client.ask(run=words_of(load, addr, seconds), timeout=int(60 + 20 * seconds))
        busy = sum(agent.cpu() for agent in agents) - before
        if said["status"]:
            raise Failed(f"over {system}: status {said['status']}: {said['err']}{said['out']}")
        work, took = result_of(load, said["out"], seconds)
        return work / took, work / (said["cpu"] + busy)


# ---- loads ---------------------------------------------------------------------------------------


def redis_requests(load, seconds):
    """Of each kind, SET and GET."""
    return int({"redis_c20": 15000, "redis_P16": 150000}[load] * seconds)


def words_of(load, addr, seconds):
    url = f"http://{addr}:{PORTS['nginx']}/index.html"
    redis = ["redis-benchmark", "-h", addr, "-p", str(PORTS["redis"]), "--csv", "-t", "set,get"]
    count = str(redis_requests(load, seconds)) if load.startswith("redis") else None
    # As bench_kernel does.
    iperf = ["iperf3", "-c", addr, "-t", f"{max(1, round(seconds))}", "-C", "cubic", "-J"]
    return {
        "http_new": ["ab", "-q", "-c", "10", "-n", f"{int(6000 * seconds)}", url],
        "http_keep": ["wrk", "-t", "1", "-c", "20", "-d", f"{max(1, round(seconds))}s", url],
        "redis_c20": redis + ["-c", "20", "-n", count],
        "redis_P16": redis + ["-c", "20", "-P", "16", "-n", count],
        "iperf_up": iperf,
        "iperf_down": iperf + ["-R"],
    }[load]


def field(text, name):
    for line in text.splitlines():
        if line.strip().startswith(name):
            return float(line.split(":", 1)[1].split()[0])
    raise Failed(f"no '{name}' in: {text}")


def result_of(load, out, seconds):
    """(work, seconds that it took): thousands of requests, or Gbit."""
    if load == "http_new":
        if field(out, "Failed requests") or "Non-2xx" in out:
            raise Failed(out)
        return field(out, "Complete requests") / 1e3, field(out, "Time taken for tests")
    if load == "http_keep":
        if "Socket errors" in out or "Non-2xx" in out:
            raise Failed(out)
        for line in out.splitlines():
            if " requests in " in line:
                requests, seconds = line.split(",")[0].split(" requests in ")
                return float(requests) / 1e3, float(seconds.removesuffix("s"))
        raise Failed(out)
    if load.startswith("redis"):
        rates = [float(line.split(",")[1].strip('"')) for line in out.splitlines()[1:]]
        count = redis_requests(load, seconds) / 1e3
        return count * len(rates), sum(count * 1e3 / rate for rate in rates)
    end = json.loads(out)["end"]["sum_received"]
    return end["bytes"] * 8e-9, end["seconds"]


if __name__ == "__main__" and sys.argv[1:] == ["agent"]:
    agent()
