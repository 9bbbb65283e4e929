# SPDX-License-Identifier: MIT
"""examples/echo.c, the README's listing, answers the kernel's TCP."""
import os
import pathlib
import subprocess

import pytest

ECHO = pathlib.Path(os.environ["WEIR_BUILD"]) / "examples" / "echo"
CLIENT = """
import socket, sys, time
for _ in range(100):
    try:
        s = socket.create_connection(("10.0.0.2", 7), timeout=10)
        break
    except OSError:
        time.sleep(0.05)
data = bytes(range(256)) * 1000
s.sendall(data)
s.shutdown(socket.SHUT_WR)
got = b""
while part := s.recv(65536):
    got += part
sys.exit(got != data)
"""


@pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists("/dev/net/tun"),
                    reason="needs root and /dev/net/tun")
def test_echo_example_answers():
    netns = f"weirecho{os.getpid()}"
    subprocess.run(["ip", "netns", "add", netns], check=True)
    enter = ["ip", "netns", "exec", netns]
    echo = None
    try:
        echo = subprocess.Popen(enter + [str(ECHO)])
        for _ in range(2):  # one client after another
            subprocess.run(enter + ["python3", "-c", CLIENT], check=True, timeout=30)
        assert echo.poll() is None
    finally:
        if echo:
            echo.terminate()
            echo.wait()
        subprocess.run(["ip", "netns", "del", netns], check=True)
