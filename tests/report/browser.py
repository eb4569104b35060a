"""A real browser for tests: Chromium without a window, driven through its DevTools pipe; no package is needed."""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE = 60.0
"""Seconds to wait for an answer; a machine at work on other things is slow to start a browser."""
# The protocol speaks on file descriptors 3 and 4.
_LAUNCH = (
    "import os, sys\nr, w = int(sys.argv[1]), int(sys.argv[2])\nr, w = os.dup(r), os.dup(w)\nr = os.dup2(r, 203)\n"
)
_LAUNCH += "w = os.dup2(w, 204)\nos.dup2(203, 3)\nos.dup2(204, 4)\nos.execvp(sys.argv[3], sys.argv[3:])"


def browser_path():
    """Return the browser of this machine, or None."""
    return next((found for found in map(shutil.which, NAMES) if found), None)


class Browser:
    """One page of a headless browser; every event of the protocol is kept in ``events``."""

    def __init__(self, folder: Path):
        ours, theirs = os.pipe(), os.pipe()
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe"]
        flags += ["--no-first-run", "--disable-background-networking", f"--user-data-dir={folder}", "about:blank"]
        command = [sys.executable, "-c", _LAUNCH, str(ours[0]), str(theirs[1]), browser_path(), *flags]
        self.process = subprocess.Popen(
            command, pass_fds=(ours[0], theirs[1]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(ours[0])
        os.close(theirs[1])
        self.to, self.back = ours[1], theirs[0]
        self.buffer, self.number, self.events, self.session = b"", 0, [], None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.terminate()
        self.process.wait(timeout=PATIENCE)
        os.close(self.to)
        os.close(self.back)

    def call(self, method, **parameters):
        """Send a command and return its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session and not method.startswith("Target."):
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def open(self, path: Path, *, width=1280, height=900, dark=False, reduced=False, media=""):
        """Open a file at a size and wait until it has loaded."""
        self.look(width=width, height=height, dark=dark, reduced=reduced, media=media)
        self.events.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.wait_for("document.readyState === 'complete'")

    def look(self, *, width=1280, height=900, dark=False, reduced=False, media=""):
        """Change the size of the page, its colours, its motion, or the medium."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if reduced else "no-preference"},
        ]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)

    def run(self, expression):
        """Evaluate JavaScript and return its value."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"].get("exception", {}).get("description", "exception"))
        return found["result"].get("value")

    def wait_for(self, condition):
        """Wait until an expression is true."""
        end = time.monotonic() + PATIENCE
        while not self.run(condition):
            if time.monotonic() > end:
                raise TimeoutError(condition)
            time.sleep(0.05)

    def press(self, key):
        """Press a key where the focus is."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def picture(self, path: Path, *, selector=None):
        """Write a screenshot of the whole page, or of one element."""
        box = "document.documentElement.getBoundingClientRect()"
        if selector:
            box = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        place = self.run(f"(() => {{ const b = {box}; return [b.x + scrollX, b.y + scrollY, b.width, b.height]; }})()")
        clip = dict(zip(("x", "y", "width", "height"), place, strict=True)) | {"scale": 1}
        shot = self.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def requests(self):
        """Return the addresses that were asked for since the page was opened."""
        return [
            one["params"]["request"]["url"] for one in self.events if one.get("method") == "Network.requestWillBeSent"
        ]

    def complaints(self):
        """Return exceptions, errors of the console and of the log since the page was opened."""
        found = []
        for one in self.events:
            about = one.get("params", {})
            if one.get("method") == "Runtime.exceptionThrown":
                found.append(about["exceptionDetails"]["text"])
            if one.get("method") == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning"):
                found.append(str(about["args"]))
            if one.get("method") == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
                found.append(about["entry"]["text"])
        return found

    def _next(self):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.back], [], [], PATIENCE)
            chunk = os.read(self.back, 1 << 20) if ready else b""
            if not chunk:
                raise RuntimeError("the browser does not answer")
            self.buffer += chunk
        line, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(line)
