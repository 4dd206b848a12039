"""Three engines, each in a browser: open addresses, evaluate JavaScript, hear all.

An engine has `open`, `evaluate`, with a function's argument as Playwright has it,
`screenshot`, and `said`: what the console was told since the last `open`. Playwright
drives Chromium. Firefox and WebKit, as systems ship them, listen on web sockets:
WebDriver BiDi (W3C) and WebKit's inspector protocol.
"""

import base64
import io
import json
import os
import re
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

import pytest
from PIL import Image
from websockets.sync.client import connect

PATIENCE = 120  # seconds, for machines that do much else

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
MINIBROWSER = next(Path("/usr").glob("lib*/**/webkit2gtk-4.1/MiniBrowser"), None)
XVFB = shutil.which("Xvfb")


class Chromium:
    """A page of Playwright's."""

    def __init__(self, browser):
        self.page, self.said = browser.new_page(), []
        self.page.set_default_timeout(1000 * PATIENCE)
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))

    def open(self, address):
        self.said.clear()
        self.page.goto(address)

    def evaluate(self, code, argument=None):
        return self.page.evaluate(code, argument)

    def screenshot(self):
        return picture(self.page.screenshot())


class Remote:
    """A tab that takes numbered commands from a web socket, and tells of events."""

    def __init__(self, socket):
        self.socket, self.number, self.said = socket, 0, []

    def ask(self, method, **params):
        self.number += 1
        number = self.number
        self.send({"id": number, "method": method, "params": params})
        answer = self.hear(lambda message: message.get("id") == number)
        assert "error" not in answer, (method, answer)
        return answer["result"]

    def hear(self, awaited):
        """Return the message that is awaited; what came before it was told."""
        while not awaited(message := self.receive()):
            self.told(message)
        return message

    def send(self, message):
        self.socket.send(json.dumps(message))

    def receive(self):
        return json.loads(self.socket.recv(timeout=PATIENCE))

    def evaluate(self, code, argument=None):
        it = f"typeof it == 'function' ? it({json.dumps(argument)}) : it"
        value = f"Promise.resolve((it => {it})({code}))"
        return json.loads(
            self.awaited(f"{value}.then(it => JSON.stringify(it ?? null))")
        )


class Firefox(Remote):
    """A tab of Firefox, by WebDriver BiDi."""

    def __init__(self, socket):
        super().__init__(socket)
        self.ask("session.new", capabilities={})
        self.ask("session.subscribe", events=["log.entryAdded"])
        (tab,) = self.ask("browsingContext.getTree")["contexts"]
        self.tab = tab["context"]

    def told(self, message):
        if message.get("method") == "log.entryAdded":
            self.said.append(message["params"]["text"])

    def open(self, address):
        self.said.clear()
        where = {"context": self.tab, "url": address}
        self.ask("browsingContext.navigate", **where, wait="complete")

    def awaited(self, promise):
        how = {"target": {"context": self.tab}, "awaitPromise": True}
        answer = self.ask("script.evaluate", expression=promise, **how)
        assert answer["type"] == "success", answer
        return answer["result"]["value"]

    def screenshot(self):
        shot = self.ask("browsingContext.captureScreenshot", context=self.tab)
        return picture(base64.b64decode(shot["data"]))


class WebKitTab(Remote):
    """A tab of WebKit, by the protocol of its inspector."""

    def __init__(self, socket, address):
        super().__init__(socket)
        created = self.hear(lambda m: m.get("method") == "Target.targetCreated")
        self.target = created["params"]["targetInfo"]["targetId"]
        self.ask("Console.enable")
        while self.run("location.href", returnByValue=True)["value"] != address:
            time.sleep(0.05)
        self.evaluate(
            "new Promise(it => document.readyState == 'complete' ? it() : onload = it)"
        )

    def send(self, message):
        wrapped = {"targetId": self.target, "message": json.dumps(message)}
        method = "Target.sendMessageToTarget"
        super().send({"id": -1, "method": method, "params": wrapped})

    def receive(self):
        message = super().receive()
        if message.get("method") == "Target.dispatchMessageFromTarget":
            message = json.loads(message["params"]["message"])
        return message

    def told(self, message):
        if message.get("method") == "Console.messageAdded":
            self.said.append(message["params"]["message"]["text"])

    def run(self, code, **how):
        """Evaluate code as if the reader had clicked, who may open tabs."""
        how["emulateUserGesture"] = True
        return self.ask("Runtime.evaluate", expression=code, **how)["result"]

    def awaited(self, promise):
        made = self.run(promise)["objectId"]
        answer = self.ask("Runtime.awaitPromise", promiseObjectId=made)
        assert not answer["wasThrown"], answer
        return answer["result"]["value"]

    def screenshot(self):
        width, height = self.evaluate("[innerWidth, innerHeight]")
        box = {"x": 0, "y": 0, "width": width, "height": height}
        shot = self.ask("Page.snapshotRect", **box, coordinateSystem="Viewport")
        return picture(base64.b64decode(shot["dataURL"].partition(",")[2]))


class WebKit:
    """MiniBrowser, WebKitGTK's own; its first tab, a file, opens a tab an address.

    A page that isn't a file could not lead to files.
    """

    def __init__(self, process, inspector, first, sockets):
        self.process, self.inspector, self.sockets = process, inspector, sockets
        self.known = set()
        self.first = self.tab = self.new_tab(first)

    def new_tab(self, address):
        (path,) = when(self.process, self.new_paths)
        self.known.add(path)
        socket = connected(f"ws://{self.inspector}{path}")
        return WebKitTab(self.sockets.enter_context(socket), address)

    def new_paths(self):
        """Return the paths of tabs, as the inspector lists them, that are new."""
        with urlopen(f"http://{self.inspector}/") as answer:
            listed = re.findall(r"/socket/[\w/]+", answer.read().decode())
        return set(listed) - self.known

    def open(self, address):
        self.first.evaluate(
            "address => { globalThis.tab?.close(); globalThis.tab = open(address); }",
            address,
        )
        self.tab = self.new_tab(address)

    def __getattr__(self, name):
        return getattr(self.tab, name)


def connected(address):
    """Open a socket. It sends no pings: those draw from `random`, at any time."""
    return connect(address, max_size=None, ping_interval=None)


@contextmanager
def firefox(profile):
    """Start Firefox, with its profile in an empty folder."""
    if not FIREFOX:
        pytest.skip("no Firefox: install Debian's package `firefox-esr`")
    command = (FIREFOX, "--headless", "--no-remote", "--profile", profile)
    command += ("--remote-debugging-port=0", "about:blank")
    with started(command) as process:
        told = when(process, (profile / "WebDriverBiDiServer.json").read_text)
        host, port = json.loads(told).values()
        with connected(f"ws://{host}:{port}/session") as socket:
            yield Firefox(socket)


@contextmanager
def webkit(folder):
    """Start WebKit, with its first page in an empty folder, on a screen of its own."""
    if not (MINIBROWSER and XVFB):
        pytest.skip("no WebKit: install Debian's `libwebkit2gtk-4.1-0` and `xvfb`")
    first = folder / "first.html"
    first.write_text("<!doctype html><title>first</title>")
    inspector = f"127.0.0.1:{free_port()}"
    screen = (XVFB, "-displayfd", "1", "-noreset", "-screen", "0", "1280x900x24")
    browser = (MINIBROWSER, "--private", first.as_uri())
    with started(screen, stdout=subprocess.PIPE) as shown:
        environment = os.environ | {
            "DISPLAY": f":{shown.stdout.readline().strip()}",
            "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1",  # it opens what is ours
            "WEBKIT_INSPECTOR_HTTP_SERVER": inspector,
        }
        with started(browser, env=environment) as process, ExitStack() as sockets:
            yield WebKit(process, inspector, first.as_uri(), sockets)


@contextmanager
def started(command, **options):
    """Start a process, and end it."""
    options = {"stderr": subprocess.DEVNULL, "text": True, **options}
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def when(process, ask):
    """Return a process's first answer that is not empty."""
    until = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until:
        with suppress(OSError):
            if answer := ask():
                return answer
        time.sleep(0.05)
    raise TimeoutError(f"{process.args} does not answer")


def free_port():
    with socket.socket() as any_socket:
        any_socket.bind(("127.0.0.1", 0))
        return any_socket.getsockname()[1]


def picture(png):
    return Image.open(io.BytesIO(png)).convert("RGB")
