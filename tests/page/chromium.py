"""A headless Chromium, spoken to by the DevTools protocol: what a test of a page needs of it."""

import base64
import json
import subprocess
import threading
import time

import websocket

PATIENCE = 60

FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-default-apps", "--mute-audio",
    "--force-color-profile=srgb", "--hide-scrollbars", "--remote-debugging-port=0", "--remote-allow-origins=*",
]


def eventually(what, ask):
    """The first answer that is not None or False."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"it did not come to this: {what}")


class Chromium:
    """One page of it. Everything that the page asks for, says and is forbidden is kept."""

    def __init__(self, profile):
        command = ["chromium", *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self.child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        active = profile / "DevToolsActivePort"
        eventually("Chromium listens", lambda: active.exists() and len(active.read_text().splitlines()) == 2)
        port, path = active.read_text().splitlines()
        # Its own answers may be large.
        self.socket = websocket.create_connection(f"ws://127.0.0.1:{port}{path}", timeout=PATIENCE)
        self.number = 0
        self.answers = {}
        self.asked_for = []
        self.complaints = []
        self.news = threading.Condition()
        threading.Thread(target=self.listen, daemon=True).start()
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime", "DOM", "Audits"):
            self.call(f"{domain}.enable")

    def listen(self):
        while True:
            try:
                message = json.loads(self.socket.recv())
            except (websocket.WebSocketException, OSError, ValueError):
                return
            with self.news:
                if "id" in message:
                    self.answers[message["id"]] = message
                else:
                    self.note(message["method"], message["params"])
                self.news.notify_all()

    def note(self, method, params):
        if method == "Network.requestWillBeSent":
            self.asked_for.append(params["request"]["url"])
        elif method == "Log.entryAdded":
            self.complaints.append(params["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(json.dumps(params["args"]))
        elif method == "Audits.issueAdded":
            self.complaints.append(json.dumps(params["issue"]))
        elif method == "Page.javascriptDialogOpening":
            self.complaints.append(f"a dialog: {params['message']}")

    def call(self, method, **params):
        with self.news:
            self.number += 1
            number = self.number
            session = {"sessionId": self.session} if self.session else {}
            self.socket.send(json.dumps({"id": number, "method": method, "params": params, **session}))
            assert self.news.wait_for(lambda: number in self.answers, PATIENCE), f"no answer to {method}"
            answer = self.answers.pop(number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def go(self, url):
        self.call("Page.navigate", url=url)
        eventually(f"{url} is there", lambda: self.eval("document.readyState") == "complete")

    def eval(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def html(self):
        """The page, without a script of ours in it. Nothing where another one takes its place just now."""
        try:
            root = self.call("DOM.getDocument", depth=0)["root"]["nodeId"]
            return self.call("DOM.getOuterHTML", nodeId=root)["outerHTML"]
        except AssertionError:
            return ""

    def press(self, key, code, text=None):
        down = {"key": key, "code": key, "windowsVirtualKeyCode": code, **({"text": text} if text else {})}
        self.call("Input.dispatchKeyEvent", type="keyDown", **down)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=code)

    def look(self, width, height, scheme="light", scale=1):
        """As on a screen of this size."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self):
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def end(self):
        self.socket.close()
        self.child.terminate()
        self.child.wait(PATIENCE)
