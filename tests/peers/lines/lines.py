#!/usr/bin/env python3
"""Lines as hospitals have them, packet by packet, for a kernel that has no `tc netem`.

Run as `unshare -rn python3 lines.py LINES`. This namespace is the hub; every line leads to a namespace of its own, in
which somebody at 10.66.N.2 reaches the hub at 10.66.0.1. What goes over a line is late, gets lost, and waits for what is
ahead of it on the way up; TCP is the kernel's on both ends.

Says one JSON document once all lines are there: the process, and each line's namespace as `nsenter --net=` takes it.
Then obeys `cut N...` and `mend N...` on stdin, and says after each how many packets these lines have lost to cuts so far;
ends with stdin.
"""

import ctypes
import fcntl
import heapq
import json
import os
import random
import selectors
import struct
import subprocess
import sys
import time

DELAY_S = 0.1  # each way: 200 ms there and back
LOSS = 0.01  # of the packets, each way
UP_BYTES_S = 1_250_000  # 10 Mbit/s
QUEUE_PACKETS = 1000  # as long as netem's; what comes on top is dropped

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
LARGEST_PACKET = 65535

libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


def end_of_line(name, address, route):
    """A device in this thread's namespace; what is routed to it is read here, and what is written here arrives."""
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    ip("address", "add", address, "dev", name)
    ip("link", "set", "dev", name, "up")
    ip("route", "add", route, "dev", name)
    return tun


class Way:
    """One direction of a line."""

    def __init__(self, out, bytes_s):
        self.out, self.bytes_s = out, bytes_s
        self.free_at, self.cut, self.swallowed = 0.0, False, 0

    def arrives(self, length, now):
        """When a packet that is sent now is there; None if it never is."""
        if self.cut:
            self.swallowed += 1
            return None
        if random.random() < LOSS:
            return None
        if self.bytes_s is None:
            return now + DELAY_S
        if (self.free_at - now) * self.bytes_s > QUEUE_PACKETS * 1500:
            return None
        self.free_at = max(self.free_at, now) + length / self.bytes_s
        return self.free_at + DELAY_S


def build(count):
    """The namespaces, and what is read from where."""
    ip("link", "set", "dev", "lo", "up")
    ip("address", "add", "10.66.0.1/32", "dev", "lo")
    hub = os.open("/proc/self/ns/net", os.O_RDONLY)
    namespaces, lines, ways = [], [], {}
    for number in range(1, count + 1):
        near = end_of_line(f"line{number}", f"10.66.{number}.1/32", f"10.66.{number}.2/32")
        checked(libc.unshare(CLONE_NEWNET))
        namespaces.append(os.open("/proc/self/ns/net", os.O_RDONLY))
        ip("link", "set", "dev", "lo", "up")
        far = end_of_line("line", f"10.66.{number}.2/32", "10.66.0.1/32")
        checked(libc.setns(hub, CLONE_NEWNET))
        up, down = Way(near, UP_BYTES_S), Way(far, None)
        ways[far], ways[near] = up, down
        lines.append((up, down))
    return namespaces, lines, ways


def obey(words, lines):
    order, numbers = words[0], [int(word) for word in words[1:]]
    ways = [way for number in numbers for way in lines[number - 1]]
    for way in ways:
        way.cut = {"cut": True, "mend": False}[order]
    print(sum(way.swallowed for way in ways), flush=True)


def carry(lines, ways):
    selector = selectors.DefaultSelector()
    for end in ways:
        selector.register(end, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    under_way, sent = [], 0
    while True:
        wait = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
        for key, _ in selector.select(wait):
            if key.fileobj is sys.stdin:
                words = sys.stdin.readline().split()
                if not words:
                    return
                obey(words, lines)
                continue
            try:
                packet = os.read(key.fd, LARGEST_PACKET)
            except BlockingIOError:
                continue
            way = ways[key.fd]
            due = way.arrives(len(packet), time.monotonic())
            if due is not None:
                sent += 1
                heapq.heappush(under_way, (due, sent, way, packet))
        now = time.monotonic()
        while under_way and under_way[0][0] <= now:
            _, _, way, packet = heapq.heappop(under_way)
            if way.cut:
                way.swallowed += 1
                continue
            try:
                os.write(way.out, packet)
            except OSError:
                pass  # its end takes no more just now: lost, as in a full queue


def main():
    random.seed(66)
    namespaces, lines, ways = build(int(sys.argv[1]))
    own = f"/proc/{os.getpid()}/fd"
    print(json.dumps({"process": os.getpid(), "lines": [f"{own}/{ns}" for ns in namespaces]}), flush=True)
    carry(lines, ways)


if __name__ == "__main__":
    main()
