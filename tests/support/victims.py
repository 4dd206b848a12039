"""What processes do that a test starts in order to kill them.

Each function is called by its name in a process of its own: see `run_victim`.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path


def run_victim(call, cache, *arguments):
    """Start a process that calls a function of this module with strings."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import victims; "
    code += "getattr(victims, sys.argv[2])(*sys.argv[3:])"
    return subprocess.Popen(
        [sys.executable, "-c", code, str(Path(__file__).parent), call, *arguments],
        env={**os.environ, "CNNVIZ_CACHE": str(cache)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def die(*_):
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def write_half(path, content):
    """Stand in for `Path.write_bytes`: die in the middle."""
    with path.open("wb") as file:
        file.write(content[: len(content) // 2])
    die()


def wait():
    """Say where this process is, and wait for a line."""
    print("in the middle", flush=True)
    sys.stdin.readline()


def train_and_die(moment):
    """Train, and die while the network is kept; or wait in the third step."""
    import torch

    sys.path.insert(0, str(Path(__file__).parents[1] / "library"))
    from test_faults import train

    if moment == "half written":
        Path.write_bytes = write_half
    elif moment == "written":
        Path.replace = die
    else:
        step, count = torch.optim.AdamW.step, [0]

        def wait_at_third(self):
            count[0] += 1
            if count[0] == 3:
                wait()
            step(self)

        torch.optim.AdamW.step = wait_at_third
    train()
