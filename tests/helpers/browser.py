"""A headless Chromium, controlled over a pipe by its DevTools protocol.

    with Browser() as browser:
        browser.open(path, width=390, height=844, dark=True)
        assert not browser.complaints and not browser.requests

The protocol is documented at https://chromedevtools.github.io/devtools-protocol/.
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
TIMEOUT = 60  # seconds without a message from Chromium, so that no test waits forever


class Browser:
    """A browser with one page; `complaints` and `requests` belong to the page that is open."""

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self._start(stack)
            self._ending = stack.pop_all()
        return self

    def __exit__(self, *error):
        self._ending.close()

    def _start(self, stack) -> None:
        profile = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        commands, responses = os.pipe(), os.pipe()
        for end in (*commands, *responses):
            stack.callback(os.close, end)
        # Chromium reads from 3 and writes to 4, which must not be these before they are moved.
        moved = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (commands[0], responses[1])]
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
        self._commands, self._responses = commands[1], responses[0]
        self._read, self._sent, self._session = b"", 0, {}
        self.events = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters) -> dict:
        """Send a command and return the response; earlier events are added to `events`."""
        self._sent += 1
        command = {"id": self._sent, "method": method, "params": parameters, **self._session}
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        while True:
            message = self._next()
            if message.get("id") == self._sent:
                assert "error" not in message, message
                return message["result"]

    def _next(self) -> dict:
        """The next response or event."""
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._responses], [], [], TIMEOUT)
            assert ready, f"Chromium has sent nothing for {TIMEOUT} seconds"
            more = os.read(self._responses, 1 << 20)
            self._read += more
        content, self._read = self._read.split(b"\0", 1)
        message = json.loads(content)
        if "method" in message:
            self.events.append(message)
        return message

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

    def evaluate(self, expression: str):
        """The value of a JavaScript expression in the page."""
        response = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in response, response
        return response["result"].get("value")

    def click(self, selector: str) -> None:
        """Scroll to the element of the selector and click in its middle."""
        place = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect();"
            "return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            mouse = {"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1}
            self.send("Input.dispatchMouseEvent", **mouse)

    def screenshot(self, whole=True) -> bytes:
        """A PNG of the whole page, or only of the window."""
        png = self.send("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        return base64.b64decode(png)

    @property
    def complaints(self) -> list[str]:
        """Messages on the console: errors, warnings, and refused requests."""
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [json.dumps(event) for event in self.events if event["method"] in kinds]

    @property
    def requests(self) -> list[str]:
        """The requested addresses, without the page itself and data inside it."""
        urls = [
            event["params"]["request"]["url"]
            for event in self.events
            if event["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in urls if url != self.address and not url.startswith("data:")]
