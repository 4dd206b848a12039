"""All tests, the building of the site among them, pass without a network.

`nox -s tests` runs them where there is none but loopback: see `offline.py`.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest


def test_there_is_no_network():
    if "CNNVIZ_OFFLINE" not in os.environ:
        pytest.skip("the network is not cut off: run `nox -s tests` on Linux")
    assert [name for _, name in socket.if_nameindex()] == ["lo"]


def test_loopback_works_where_the_network_is_cut_off():
    talk = (
        "import socket; server = socket.create_server(('127.0.0.1', 0)); "
        "socket.create_connection(server.getsockname()); print('heard')"
    )
    script = Path(__file__).with_name("offline.py")
    done = subprocess.run(
        [sys.executable, script, "-c", talk],
        env={k: v for k, v in os.environ.items() if k != "CNNVIZ_OFFLINE"},
        **{"capture_output": True, "text": True, "check": True},
    )
    assert "heard" in done.stdout
