# SPDX-License-Identifier: MIT
"""Two hosts of `weir net` that talk when they are told to, for the commands that look at running hosts."""
import os
import signal
import subprocess
import time

import apps

SERVER = """
import socket
s = socket.create_server(("0.0.0.0", 80))
while True:
    c, _ = s.accept()
    while c.recv(65536):
        pass
    c.close()
"""
# One connection a word of input: its bytes.
CLIENT = """
import socket, sys
for line in sys.stdin:
    port, size = map(int, line.split())
    c = socket.socket()
    try:
        c.connect(("10.0.0.1", port))
        c.sendall(bytes(size))
        c.shutdown(socket.SHUT_WR)
        c.recv(1)
    except OSError as e:
        print(e.strerror, flush=True)
    c.close()
    print("done", flush=True)
"""


class Net:
    """Two hosts of `weir net`; the third data segment and its like that the client sends are lost by rule."""

    def __init__(self, folder, *options, rules="out drop data 3", link=""):
        self.folder = folder
        (folder / "run").mkdir(mode=0o700, exist_ok=True)
        (folder / "server.py").write_text(SERVER)
        (folder / "client.py").write_text(CLIENT)
        (folder / "file.net").write_text(
            f"host web 10.0.0.1 daemon -- python3 {folder}/server.py\n"
            f"host cli 10.0.0.2 -- python3 {folder}/client.py\n"
            f"link cli web delay=5ms {link} rules='{rules}'\n")
        self.env = dict(os.environ, XDG_RUNTIME_DIR=str(folder / "run"))
        self.process = subprocess.Popen([apps.WEIR, "net", *options, folder / "file.net"], env=self.env,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.talk(80, 1)

    def talk(self, port, size):
        """A connection; what the client had to say of it."""
        self.process.stdin.write(f"{port} {size}\n")
        self.process.stdin.flush()
        said = []
        while not said or said[-1] not in ("done", ""):
            said.append(self.process.stdout.readline().strip())
        return said[:-1]

    def name(self, host):
        """By its process: other networks may run, with hosts of the same names."""
        return f"{host}.{self.process.pid}"

    def watch(self, command, host, *words):
        """A command that looks at a running host, and has begun to."""
        process = subprocess.Popen([apps.WEIR, command, "--host", self.name(host), *words], env=self.env, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(0.7)
        assert process.poll() is None, process.communicate()
        return process

    def capture(self, host, *words):
        return self.watch("capture", host, *words)

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(apps.HANG) == 0


def stop(process, what=" packets "):
    """^C; what it printed, and its counts."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=apps.HANG)
    assert process.returncode == 0, err
    return out, [int(line.split()[0]) for line in err.splitlines() if what in line]
