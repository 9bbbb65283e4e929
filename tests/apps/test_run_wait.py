# SPDX-License-Identifier: MIT
"""Waiting under `weir run`: kinds of readiness that only epoll(7) knows, and calls that signals cut short."""
import apps

EPOLL = """
import select, socket
listener = socket.create_server(("127.0.0.1", 8000))
client = socket.create_connection(("127.0.0.1", 8000))
served, _ = listener.accept()
once = select.epoll()
once.register(served, select.EPOLLIN | select.EPOLLONESHOT)
client.send(b"a")
print("first", len(once.poll(20)))
client.send(b"b")
print("disarmed", len(once.poll(0.1)))
once.modify(served, select.EPOLLIN | select.EPOLLONESHOT)
print("armed", len(once.poll(20)))

waiters = [select.epoll() for _ in range(2)]
for waiter in waiters:
    waiter.register(listener, select.EPOLLIN | select.EPOLLEXCLUSIVE)
client = socket.create_connection(("127.0.0.1", 8000))
print("woken", any([len(waiter.poll(1)) for waiter in waiters]))
listener.setblocking(False)
print("accepted", listener.accept()[0].getpeername() == client.getsockname())
"""

# The second call gives the outcome of the handshake that went on behind the first.
INTERRUPTED = """
import ctypes, errno, select, signal, socket, struct
libc = ctypes.CDLL(None, use_errno=True)
signal.signal(signal.SIGALRM, lambda *_: None)
signal.siginterrupt(signal.SIGALRM, True)
sock = socket.socket()
to = struct.pack("=H", socket.AF_INET) + struct.pack("!H", 8000) + socket.inet_aton("10.0.0.2") + bytes(8)
signal.setitimer(signal.ITIMER_REAL, 0.05)
print(libc.connect(sock.fileno(), to, 16), errno.errorcode[ctypes.get_errno()])
poll = select.poll()
poll.register(sock, select.POLLOUT)
print(len(poll.poll(20000)), sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
print(libc.connect(sock.fileno(), to, 16))
"""


def test_LNX_POLL_14_epoll_oneshot_and_exclusive():
    ran = apps.weir("run", "--", "python3", "-c", EPOLL)
    assert ran.status == 0, ran
    assert ran.out == "first 1\ndisarmed 0\narmed 1\nwoken True\naccepted True\n", ran


def test_LNX_ERR_07_an_interrupted_connect_goes_on(tmp_path):
    (tmp_path / "client.py").write_text(INTERRUPTED)
    (tmp_path / "server.py").write_text("import socket\n"
                                        "listener = socket.create_server(('10.0.0.2', 8000))\n"
                                        "listener.accept()[0].recv(1)\n")
    ran = apps.net(f"host web 10.0.0.2 daemon -- python3 {tmp_path}/server.py\n"
                   f"host cli 10.0.0.1 -- python3 {tmp_path}/client.py\n"
                   "link web cli delay=300ms\n", tmp_path=tmp_path)
    assert ran.status == 0, ran
    assert ran.out == "-1 EINTR\n1 0\n0\n", ran


ERROR_QUEUE = """
import errno, socket, time
MSG_ERRQUEUE = 0x2000
def read(name, s):
    for call in (lambda: s.recv(10, MSG_ERRQUEUE), lambda: s.recvmsg(10, 100, MSG_ERRQUEUE | socket.MSG_TRUNC)):
        try:
            print(name, call())
        except OSError as e:
            print(name, errno.errorcode[e.errno])
l = socket.create_server(("127.0.0.1", 8000))
c = socket.create_connection(("127.0.0.1", 8000))
a = l.accept()[0]
a.sendall(b"data")
print(c.recv(1, socket.MSG_PEEK))
read("data waits", c)
print(c.recv(10))
read("nothing waits", c)
read("fresh", socket.socket())
read("listening", l)
refused = socket.socket()
print(refused.connect_ex(("127.0.0.1", 8001)) == errno.ECONNREFUSED)
read("refused", refused)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.setblocking(False)
read("of UDP", u)
"""


def test_the_error_queue_is_no_stream_and_never_waits():
    """socat reads it when a connect failed. What is expected is what the kernel says."""
    native = apps.run(["unshare", "-n", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", "python3", "-c", ERROR_QUEUE]
                      if apps.is_root() else ["python3", "-c", ERROR_QUEUE])
    ran = apps.weir("run", "--", "python3", "-c", ERROR_QUEUE, timeout=apps.HANG)
    assert ran.status == 0 and ran.out == native.out and "b'data'" in ran.out, (native, ran)
