"""A headless Chromium that is told what to do over a pipe, by its DevTools protocol.

    with Browser() as browser:
        browser.open(path, width=390, height=844, dark=True)
        assert not browser.complaints and not browser.left

The protocol's words are at https://chromedevtools.github.io/devtools-protocol/.
"""

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for name in NAMES if (path := shutil.which(name))), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--no-first-run", "--remote-debugging-pipe"),
)
PATIENCE = 60  # seconds that Chromium may say nothing, so that no test waits for ever


class Browser:
    """One page, opened again and again; `complaints` and `left` are of the page that is open."""

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self._start(stack)
            self._ending = stack.pop_all()
        return self

    def __exit__(self, *error):
        self._ending.close()

    def _start(self, stack) -> None:
        profile = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        orders, answers = os.pipe(), os.pipe()
        for end in (*orders, *answers):
            stack.callback(os.close, end)
        # Chromium reads from 3 and writes to 4, which must not be these before they are moved.
        moved = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (orders[0], answers[1])]
        for end in moved:
            stack.callback(os.close, end)
        process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{moved[0]} 4>&{moved[1]}', "bash"]
            + [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=moved,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        self._orders, self._answers = orders[1], answers[0]
        self._read, self._sent, self._session = b"", 0, {}
        self.events = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters) -> dict:
        """What Chromium answers; events that come before the answer are kept."""
        self._sent += 1
        order = {"id": self._sent, "method": method, "params": parameters, **self._session}
        os.write(self._orders, json.dumps(order).encode() + b"\0")
        while True:
            heard = self._next()
            if heard.get("id") == self._sent:
                assert "error" not in heard, heard
                return heard["result"]

    def _next(self) -> dict:
        """The next answer or event."""
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._answers], [], [], PATIENCE)
            assert ready, f"Chromium has said nothing for {PATIENCE} seconds"
            more = os.read(self._answers, 1 << 20)
            self._read += more
        heard, self._read = self._read.split(b"\0", 1)
        heard = json.loads(heard)
        if "method" in heard:
            self.events.append(heard)
        return heard

    def open(self, path: Path, width=1280, height=900, dark=False) -> None:
        """Show the page in a window of so many pixels, and wait until it is loaded."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        self.address = path.resolve().as_uri()
        self.send("Page.navigate", url=self.address)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._next()

    def ask(self, expression: str):
        """The value of a JavaScript expression in the page."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def click(self, selector: str) -> None:
        """A real click, in the middle of what the selector finds, which is scrolled to first."""
        place = self.ask(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect();"
            "return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            mouse = {"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1}
            self.send("Input.dispatchMouseEvent", **mouse)

    def screenshot(self, whole=True) -> bytes:
        """A PNG of the page, or of its window alone."""
        png = self.send("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        return base64.b64decode(png)

    @property
    def complaints(self) -> list[str]:
        """What the console said: errors, warnings, and what was refused."""
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [json.dumps(event) for event in self.events if event["method"] in kinds]

    @property
    def left(self) -> list[str]:
        """The addresses that were asked for, but for the page's own and what is inside it."""
        urls = [
            event["params"]["request"]["url"]
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in urls if url != self.address and not url.startswith("data:")]
