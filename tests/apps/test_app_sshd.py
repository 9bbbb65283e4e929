# SPDX-License-Identifier: MIT
"""sshd and ssh: public keys, the seccomp sandbox beside ours, 100 MB by scp and sftp, forwarded ports."""
import os
import pwd
import re
import subprocess
from pathlib import Path

import pytest

import apps
import places

USER = pwd.getpwuid(os.geteuid()).pw_name

CONF = """
Port 22
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
Subsystem sftp internal-sftp
"""

OPTIONS = """
Host *
  User {user}
  IdentityFile {folder}/key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  StrictHostKeyChecking yes
  BatchMode yes
  Ciphers aes128-gcm@openssh.com
"""


class Ssh:
    def __init__(self, hosts):
        self.hosts, folder = hosts, hosts.folder
        for name in ("host_key", "key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        (folder / "authorized_keys").write_text((folder / "key.pub").read_text())
        key = " ".join((folder / "host_key.pub").read_text().split()[:2])
        server = hosts.server
        (folder / "known_hosts").write_text(f"{server.addr} {key}\n{server.addr6} {key}\n")
        (folder / "sshd_config").write_text(CONF.format(folder=folder))
        (folder / "ssh_config").write_text(OPTIONS.format(folder=folder, user=USER))
        words = ["/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "sshd_config")]
        # What it wants to chroot into, in a mount namespace of its own.
        words = ["unshare", "-m", "sh", "-c", "mount -t tmpfs weir /run && mkdir -m 755 /run/sshd && "
                 f"exec {' '.join(words)}"]
        self.daemon = server.start(*words, listens=22)

    def words(self, *words):
        return ["ssh", "-F", str(self.hosts.folder / "ssh_config"), *words]

    def run(self, *words, **kwargs):
        return self.hosts.client.run(*self.words(*words), **kwargs)


@pytest.fixture
def ssh(hosts):
    if not apps.is_root():
        pytest.skip("needs root: sshd reads from /etc/shadow whether the account is locked")
    return Ssh(hosts)


def test_commands_statuses_and_streams(hosts, ssh):
    """The command's three streams and its status; sshd knows the peer by its address."""
    ran = ssh.run(hosts.server.addr, "echo out; echo err >&2; id -un; echo $SSH_CONNECTION; exit 7")
    assert ran.status == 7 and "err" in ran.err, ran
    lines = ran.out.split("\n")
    assert lines[:2] == ["out", USER]
    assert re.fullmatch(rf"{hosts.client.addr} \d+ {hosts.server.addr} 22", lines[2]), ran
    digest = apps.make_file(hosts.folder / "file", 3_000_000)
    ran = ssh.run(hosts.server.addr6, "sha256sum; head -c 2000000 /dev/zero | tr '\\0' x", stdin=hosts.folder / "file")
    assert ran.out == f"{digest}  -\n" + "x" * 2_000_000
    (hosts.folder / "authorized_keys").write_text("")
    ran = ssh.run(hosts.server.addr, "true")
    assert ran.status == 255 and "Permission denied" in ran.err, ran
    assert "VRF" not in ssh.daemon.err  # it asks for SO_BINDTODEVICE


def filters(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"Seccomp_filters:\s*(\d+)", status)[1])


def test_before_a_login_the_child_is_in_the_seccomp_sandbox(hosts, ssh):
    """A client that has only said its version: sshd's unprivileged child has one filter more than sshd, and works."""
    client = hosts.client.start("python3", "-c", "import socket, sys\n"
                                "c = socket.create_connection((sys.argv[1], 22)); c.sendall(b'SSH-2.0-weir\\r\\n')\n"
                                "c.recv(40); print('in', flush=True); sys.stdin.read()\n", hosts.server.addr, stdin="pipe")
    places.until(lambda: "in" in client.out, "sshd says its version")

    def family(pid):
        kids = [int(k) for k in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return kids + [grandchild for kid in kids for grandchild in family(kid)]
    base = filters(ssh.daemon.pid)
    assert base == (1 if hosts.server.on_weir else 0) + filters("self")
    places.until(lambda: [filters(pid) for pid in family(ssh.daemon.pid)] == [base, base + 1],
                 "the child has gone into its sandbox")
    client.stdin.close()
    client.stdin = None
    assert client.wait(apps.HANG) == 0


def test_100_mb_there_and_back(hosts, ssh):
    """scp copies 100 MB there, sftp fetches 30 MB, each with its hash."""
    there, back = (apps.make_file(hosts.folder / name, size) for name, size in
                   (("there", 100_000_000), ("back", 30_000_000)))
    config = ["-F", str(hosts.folder / "ssh_config")]
    ran = hosts.client.run("scp", "-q", *config, hosts.folder / "there",
                           f"{hosts.server.addr}:{hosts.folder}/there.copy")
    assert ran.status == 0, ran
    ran = hosts.client.run("sftp", "-q", *config, "-b", "-", hosts.server.addr,
                           stdin=f"get {hosts.folder}/back {hosts.folder}/back.copy\n".encode())
    assert ran.status == 0, ran
    done = subprocess.run(["sha256sum", hosts.folder / "there.copy", hosts.folder / "back.copy"],
                          capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in done.stdout.splitlines()] == [there, back]


def test_forwarded_ports_and_a_shared_connection(hosts, ssh):
    """-L through the connection to an echo on the server's host; -R back; both over one connection (ControlMaster)."""
    folder = hosts.folder
    hosts.server.start("socat", f"TCP-LISTEN:7,bind={hosts.server.addr},fork,reuseaddr", "EXEC:cat", listens=7)
    hosts.client.start("socat", f"TCP-LISTEN:8,bind={hosts.client.addr},fork,reuseaddr", "EXEC:tac", listens=8)
    control = ["-S", str(folder / "control")]
    # ssh 9.2 looks at what its signal handler noted, and then waits in poll(): a signal between the two is seen only
    # when that returns. Under Weir there is a notified shutdown() just before. Keep-alives bound the wait.
    alive = ["-o", "ServerAliveInterval=1", "-o", f"ServerAliveCountMax={apps.HANG}"]
    master = hosts.client.start(*ssh.words("-M", *control, "-N", *alive, "-o", "ExitOnForwardFailure=yes",
                                           "-L", f"{hosts.client.addr}:7007:{hosts.server.addr}:7",
                                           "-R", f"8008:{hosts.client.addr}:8", hosts.server.addr),
                                listens=7007, ready=None)
    digest = apps.make_file(folder / "file", 2_000_000)
    ran = hosts.client.shell(f"socat -t 20 - TCP:{hosts.client.addr}:7007 <file | sha256sum")
    assert ran.out.split()[0] == digest, ran
    places.until(lambda: hosts.server.listens(8008), "the server's end listens")
    ran = hosts.server.shell("printf '1\\n2\\n3\\n' | socat -t 20 - TCP:127.0.0.1:8008")
    assert ran.out == "3\n2\n1\n", ran
    before = len(hosts.server.sockets("state", "established", "sport", "=", ":22"))
    slow = hosts.client.start(*ssh.words(*control, hosts.server.addr, "echo in; cat"), stdin="pipe")
    places.until(lambda: "in" in slow.out, "a second session is open")
    assert len(hosts.server.sockets("state", "established", "sport", "=", ":22")) == before == 1
    slow.stdin.write(b"more")
    slow.stdin.close()
    slow.stdin = None
    assert slow.wait(apps.HANG) == 0 and slow.out == "in\nmore", slow
    assert master.stop() == 0
