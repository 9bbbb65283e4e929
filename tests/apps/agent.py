# SPDX-License-Identifier: MIT
"""agent.py SOCKET: starts programs where it runs itself. The other end is Place in places.py.

A process cannot be put under a seccomp filter from outside, so whoever wants to start programs of a host
one by one, while others of them run, needs somebody in there. One JSON object a line each way; the three
standard descriptors of a program come by SCM_RIGHTS with the request.

    {"op": "start", "words": [...], "cwd": ..., "env": {...}, "user": ...} -> {"pid": N} or {"error": text}
    {"op": "status", "pid": N}    waits for its end -> {"status": N}, negative: the signal
    {"op": "end"}                 or the end of the conversation: leaves

It does not end what it started: the test does, and is told if something stays.
"""
import json
import os
import pwd
import signal
import socket
import subprocess
import sys


def start(request, stdio):
    who = {}
    if request["user"]:
        entry = pwd.getpwnam(request["user"])
        who = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    try:
        return subprocess.Popen(request["words"], cwd=request["cwd"], start_new_session=True,
                                env=dict(os.environ, **request["env"]), stdin=stdio[0],
                                stdout=stdio[1], stderr=stdio[2], **who)
    finally:
        for fd in stdio:
            os.close(fd)


def serve(conversation):
    children = {}
    while True:
        data, stdio, _, _ = socket.recv_fds(conversation, 1 << 20, 3)
        request = json.loads(data or '{"op": "end"}')
        answer = {}
        try:
            if request["op"] == "start":
                child = start(request, stdio)
                children[child.pid] = child
                answer["pid"] = child.pid
            elif request["op"] == "status":
                answer["status"] = children.pop(request["pid"]).wait()
            else:
                return
        except OSError as error:
            answer["error"] = str(error)
        conversation.sendall(json.dumps(answer).encode())


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: None)  # the test says when; unlike SIG_IGN not inherited
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as there:
        there.connect(sys.argv[1])
        serve(there)
