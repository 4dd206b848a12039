"""Running commands, and serving a site as hosts of static sites do."""

import subprocess
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def run(*command, timeout=1800, **options):
    """Run a command; when it fails, show what it said."""
    done = subprocess.run(
        command, text=True, capture_output=True, timeout=timeout, **options
    )
    said = f"{command}\n{done.stdout[-3000:]}{done.stderr[-5000:]}"
    assert done.returncode == 0, said
    return done.stdout + done.stderr


class Host(SimpleHTTPRequestHandler):
    """Answers with 404.html where there is nothing."""

    def send_error(self, code, message=None, explain=None):
        self.send_response(code)
        self.end_headers()
        lost = Path(self.directory, "404.html")
        self.wfile.write(lost.read_bytes() if lost.exists() else b"")

    def log_message(self, *arguments):
        pass


def served(folder):
    """Serve a folder on loopback; say where."""
    return listening(partial(Host, directory=folder))


@contextmanager
def listening(handler):
    """Let a handler answer on loopback; say where."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
