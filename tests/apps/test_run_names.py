# SPDX-License-Identifier: MIT
"""Names under `weir run`: with and without /etc/hosts, resolv.conf and --dns."""
import os
import subprocess
import time

import pytest

import apps
from test_run_tun import DNS_SERVER

NS = f"weir-names-{os.getpid()}"
TUN = ("--netns", NS, "--tun", "wname0,10.77.0.2/24,fd77::2/64,kernel=10.77.0.1/24,kernel=fd77::1/64")

pytestmark = pytest.mark.skipif(not apps.is_root() or not os.path.exists("/dev/net/tun"),
                                reason="needs root and /dev/net/tun")

# A machine as a small container is one: with files of its own in /etc, or with none.
BARE = ["unshare", "-m", "sh", "-ec", 'mount -t tmpfs none /etc; exec "$@"', "sh"]
OWN = ["unshare", "-m", "sh", "-ec", "mount -t tmpfs none /etc; echo '10.1.2.3 elsewhere' >/etc/hosts; "
       "echo 'nameserver 127.0.0.53\nsearch test' >/etc/resolv.conf; exec \"$@\"", "sh"]

LOOK = """
import socket, sys
for name in sys.argv[1:]:
    for flags in (0, socket.AI_ADDRCONFIG):
        try:
            found = {a[4][0] for a in socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM, flags=flags)}
        except socket.gaierror as e:
            found = [e.args[0] == socket.EAI_NONAME and "no name" or "trouble"]
        print(name, flags, *sorted(found))
"""


@pytest.fixture
def server(tmp_path):
    subprocess.run(["ip", "netns", "add", NS], check=True)
    subprocess.run(["ip", "-n", NS, "link", "set", "lo", "up"], check=True)
    (tmp_path / "dns.py").write_text(DNS_SERVER)
    process = subprocess.Popen(["ip", "netns", "exec", NS, "python3", tmp_path / "dns.py"])
    for _ in range(200):
        listens = subprocess.run(["ip", "netns", "exec", NS, "ss", "-Hltn"], capture_output=True, text=True)
        if ":53 " in listens.stdout:
            break
        time.sleep(0.05)
    yield
    process.kill()
    process.wait()
    subprocess.run(["ip", "netns", "del", NS], check=True)


def look(*names, options=(), prefix=()):
    ran = apps.weir("run", *options, "--", "python3", "-c", LOOK, *names, prefix=prefix)
    assert ran.status == 0, ran
    found = {}
    for line in ran.out.splitlines():
        name, flags, *addrs = line.split(maxsplit=2)
        found[name, int(flags) != 0] = " ".join(addrs).split()
    return found


@pytest.mark.parametrize("prefix", [(), BARE, OWN])
def test_localhost_resolves_without_anything(prefix):
    found = look("localhost", prefix=prefix)
    assert "127.0.0.1" in found["localhost", False], found
    assert found["localhost", True], found


@pytest.mark.parametrize("prefix", [(), BARE, OWN])
def test_names_by_a_server(server, prefix):
    found = look("localhost", "some.test", "none.test", options=(*TUN, "--dns", "10.77.0.1"), prefix=prefix)
    assert "127.0.0.1" in found["localhost", False], found
    for config in (False, True):  # there are addresses of both families
        assert found["some.test", config] == ["10.77.0.1", "fd77::1"], found
        assert found["none.test", config] == ["no", "name"], found


def test_the_machines_own_names_stay(server):
    found = look("elsewhere", "some", options=(*TUN, "--dns", "10.77.0.1"), prefix=OWN)
    assert found["elsewhere", False] == ["10.1.2.3"], found
    assert found["some", False] == ["10.77.0.1", "fd77::1"], found  # by the machine's `search test`


def test_without_a_server_a_name_fails_at_once(server):
    """The machine's server is on the machine's loopback, and there is no way to another."""
    began = time.monotonic()
    found = look("some.test", options=TUN, prefix=OWN)
    assert found["some.test", False] == ["trouble"] and time.monotonic() - began < 10, found


def test_nothing_of_the_machine_is_changed(server):
    look_at = ["sh", "-c", 'ls /etc; cat /etc/hosts; "$0" run -- true; ls /etc; cat /etc/hosts', apps.WEIR]
    ran = apps.run(look_at, prefix=OWN)
    assert ran.out == "hosts\nresolv.conf\n10.1.2.3 elsewhere\n" * 2, ran
