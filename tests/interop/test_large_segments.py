# SPDX-License-Identifier: MIT
"""Super-segments of more than 64 KB to the kernel."""

import json
import os
import subprocess

import pytest

import kernel
from kernel import MB, PEER, Peer, from_source, run

kernel.enter_namespace()


def received(name):
    """Bytes and packets that the kernel took from the interface; a packet is one write."""
    counters = json.loads(run("ip", "-s", "-j", "link", "show", name))[0]["stats64"]["rx"]
    return counters["bytes"], counters["packets"]


@pytest.mark.parametrize("tap", [False, True])
def test_large_super_segments(tap):
    """Where the kernel takes TCP over IPv4 in more than 64 KB at once (6.3), it is given that. Over IPv6, and in a kernel
    without, 64 KB."""
    with Peer(offload=True, tap=tap, name="weirbig0") as peer:
        kernel_has = tuple(int(n) for n in os.uname().release.split(".")[:2]) >= (6, 3)
        most = 262144 if kernel_has else 65535
        for host, whole in ((peer.v4, most), (peer.v6, 65535)):
            before = received(peer.name)
            from_source(host, 64 * MB)
            total, packets = (b - a for a, b in zip(before, received(peer.name)))
            assert total >= 64 * MB
            assert whole / 3 < total / packets <= whole


def test_what_the_kernel_has_no_room_for_is_cut():
    """A super-segment of more bytes than the kernel finds room for (Linux: 17 pieces of 32 KB, and one of 4 MB) is refused by
    it with ENOBUFS. It goes as the frames of the wire then, each of them once."""
    size, gso = 6000000, 1448
    refused = os.path.join(os.path.dirname(PEER), "refused")
    with subprocess.Popen([refused, "weirbig1", str(size), str(gso)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as process:
        assert process.stdout.readline().strip() == "OK"
        frames = -(-size // gso)
        assert received("weirbig1") == (size + 40 * frames, frames)
        process.stdin.close()
        assert process.wait(30) == 0
