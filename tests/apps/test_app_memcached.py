# SPDX-License-Identifier: MIT
"""memcached with four threads: many clients at once, pipelined sets, multi-get, values of a megabyte."""
import sys

import pytest

CLIENT = """
import hashlib, socket, sys, threading
address, clients = sys.argv[1], int(sys.argv[2])

class Cache:
    def __init__(self):
        self.s = socket.create_connection((address, 11211), 30)
        self.f = self.s.makefile("rb")
    def line(self):
        return self.f.readline().rstrip()
    def get(self, *keys):
        self.s.sendall(b"get " + b" ".join(keys) + b"\\r\\n")
        found = {}
        while (line := self.line()) != b"END":
            _, key, _, size = line.split()
            found[key] = self.f.read(int(size))
            assert self.line() == b""
        return found
    def close(self):
        self.s.sendall(b"quit\\r\\n")
        assert self.f.read() == b""
        self.s.close()

def work(number, caches, barrier):
    c = caches[number]
    pairs = {b"k%d-%d" % (number, i): hashlib.sha256(b"%d %d" % (number, i)).hexdigest().encode() * (i % 7)
             for i in range(50)}
    # All sets in one write, none waits for the answer of the one before.
    c.s.sendall(b"".join(b"set %s 0 0 %d\\r\\n%s\\r\\n" % (k, len(v), v) for k, v in pairs.items()))
    assert [c.line() for _ in pairs] == [b"STORED"] * len(pairs)
    assert c.get(*pairs) == pairs
    for _ in range(20):
        c.s.sendall(b"incr total 1\\r\\n")
        assert c.line().isdigit()
    barrier.wait()
    other = (number + 1) % len(caches)
    assert len(c.get(*[b"k%d-%d" % (other, i) for i in range(50)])) == 50
    done.append(number)

done, caches = [], [Cache() for _ in range(clients)]
caches[0].s.sendall(b"set total 0 0 1\\r\\n0\\r\\n")
assert caches[0].line() == b"STORED"
barrier = threading.Barrier(clients)
threads = [threading.Thread(target=work, args=(i, caches, barrier)) for i in range(clients)]
[t.start() for t in threads]; [t.join() for t in threads]
large = hashlib.shake_256(b"large").digest(1_000_000)
caches[0].s.sendall(b"set large 0 0 1000000\\r\\n" + large + b"\\r\\n")
assert caches[0].line() == b"STORED"
assert caches[1].get(b"large") == {b"large": large}
caches[1].s.sendall(b"stats\\r\\n")
stats = dict(line.split()[1:] for line in iter(caches[1].line, b"END"))
print(len(done), caches[1].get(b"total")[b"total"].decode(), stats[b"curr_connections"].decode())
[c.close() for c in caches]
"""


@pytest.mark.parametrize("family", [4, 6])
def test_clients_at_once(hosts, family):
    address = hosts.server.addr if family == 4 else hosts.server.addr6
    hosts.server.start("memcached", "-U", "0", "-t", "4", "-u", "nobody", "-l",
                       address if family == 4 else f"[{address}]", listens=11211)
    ran = hosts.client.run(sys.executable, "-c", CLIENT, address, 40)
    done, total, connections = ran.out.split()
    assert (done, total) == ("40", "800"), ran
    assert int(connections) >= 40  # memcached counts what listens, too


def test_too_many_clients_wait_their_turn(hosts):
    """At its limit memcached stops to accept and makes its queue listen(fd, 0); who waits, in the queue or sending
    SYNs again, is served when others have left."""
    hosts.server.start("memcached", "-U", "0", "-c", "40", "-o", "no_maxconns_fast", "-t", "1", "-u", "nobody",
                       "-l", hosts.server.addr, listens=11211)
    script = """
import socket, sys, threading, time
answered = []
def ask():
    with socket.create_connection((sys.argv[1], 11211), 30) as s:
        s.sendall(b"version\\r\\n")
        answered.append(s.recv(100).startswith(b"VERSION"))
        time.sleep(0.2)
threads = [threading.Thread(target=ask) for _ in range(60)]
[t.start() for t in threads]; [t.join() for t in threads]
print(sum(answered))
"""
    ran = hosts.client.run(sys.executable, "-c", script, hosts.server.addr)
    assert ran.out == "60\n", ran
