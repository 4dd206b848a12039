"""Run Python without any network but loopback, where the system allows it.

Usage: ``python offline.py -m pytest``, with what else Python is to be given.

On Linux the command gets a network namespace of its own, as root or, where users may
make namespaces, as anybody. ``CNNVIZ_OFFLINE`` tells it so. Elsewhere it is run as it
is, and that is said.
"""

import os
import shutil
import socket
import struct
import subprocess
import sys

FLAGS, UP = 0x8914, 0x1  # SIOCSIFFLAGS and IFF_UP, see netdevice(7)


def main(arguments):
    """Enter a namespace, or run the command in the one that was entered."""
    command = [sys.executable, *arguments]
    if "CNNVIZ_OFFLINE" in os.environ:
        raise_loopback()
    elif enter := namespace():
        os.environ["CNNVIZ_OFFLINE"] = "1"
        command = [*enter, sys.executable, __file__, *arguments]
    else:
        print("offline.py: no namespaces here, so the network is not cut off")
    sys.exit(subprocess.call(command))


def namespace():
    """Return the command that enters a namespace without interfaces, if that works."""
    enter = ["unshare", "--net"]
    if sys.platform != "linux" or not shutil.which("unshare"):
        return None
    if os.geteuid() != 0:
        enter += ["--user", "--map-current-user", "--keep-caps"]
    return enter if subprocess.call([*enter, "true"]) == 0 else None


def raise_loopback():
    """Take the one interface of a new namespace into service."""
    from fcntl import ioctl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        ioctl(any_socket, FLAGS, struct.pack("16sH14x", b"lo", UP))


if __name__ == "__main__":
    main(sys.argv[1:])
