# SPDX-License-Identifier: MIT
"""What a program that was killed leaves behind: nothing that keeps the next one from its place."""

import os
import signal
import socket
import time

import kernel
from kernel import Peer, ping

kernel.enter_namespace()


def has_ring(pid):
    links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    return "anon_inode:[io_uring]" in links


def come_together(peer):
    """Many small datagrams wait for the peer at a time, so that it reads several by one call."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for _ in range(20):
            os.kill(peer.process.pid, signal.SIGSTOP)
            for _ in range(40):
                s.sendto(b"x", (peer.v4, 9))
            os.kill(peer.process.pid, signal.SIGCONT)
            ping(peer.v4, 1)
            if has_ring(peer.process.pid):
                return


def test_its_device_can_be_opened_at_once():
    """An io_uring ends some time after its process, and holds the device until then."""
    for offload in (False, True, False):
        p = Peer(name="weirkp0", offload=offload)
        come_together(p)
        p.process.kill()
        p.process.wait()
    with Peer(name="weirkp0") as p:
        ping(p.v4, 1)
