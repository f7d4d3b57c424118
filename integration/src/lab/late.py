"""late.py A B MILLISECONDS: what comes in at one of two tap interfaces leaves at the other, so much later (netem's delay, which not every kernel has)."""

import collections
import fcntl
import os
import select
import struct
import sys
import time

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 2, 0x1000  # linux/if_tun.h


def tap(name):
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return fd


ends, late = [tap(name) for name in sys.argv[1:3]], int(sys.argv[3]) / 1000
flying = collections.deque()
while True:
    patience = max(0, flying[0][0] - time.monotonic()) if flying else None
    for fd in select.select(ends, [], [], patience)[0]:
        try:
            flying.append((time.monotonic() + late, ends[fd == ends[0]], os.read(fd, 1 << 16)))
        except OSError:
            time.sleep(0.01)  # it is not up yet
    while flying and flying[0][0] <= time.monotonic():
        _, fd, frame = flying.popleft()
        try:
            os.write(fd, frame)
        except OSError:
            pass  # a link that is down loses what is sent
