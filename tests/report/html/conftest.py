"""A headless browser that the tests start, spoken to over pipes; tests skip where there is none."""

import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from base64 import b64decode
from dataclasses import replace
from itertools import cycle

import numpy as np
import pytest

from ood_toolkit import Outputs, bench
from ood_toolkit.report.evaluation import About, header_of, mean_rows, misclassification, ood_rows
from ood_toolkit.report.gallery import Gallery
from ood_toolkit.report.images_of_rows import cases_of
from ood_toolkit.report.picks import picks
from ood_toolkit.report.report import Report
from ood_toolkit.report.results import Answers

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "chromium-headless-shell")
FLAGS = (
    "--headless", "--disable-gpu", "--no-sandbox", "--no-first-run", "--hide-scrollbars", "--mute-audio",
    "--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--disable-sync",
    "--disable-extensions", "--disable-dev-shm-usage", "--remote-debugging-pipe",
)  # fmt: skip
PATIENCE = 60
LAUNCH = """
import os, sys
os.dup2(int(sys.argv[1]), 3)  # it reads from this handle
os.dup2(int(sys.argv[2]), 4)  # and writes to this one
os.execvp(sys.argv[3], sys.argv[3:])
"""


def _out_of_the_way(handle):
    """Give a copy of a handle that is none of those that the browser gets its own under."""
    copy = fcntl.fcntl(handle, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(handle)
    return copy


class Browser:
    """Chromium and one page of it, through the DevTools protocol on two pipes."""

    def __init__(self, program, profile):
        ours_in, its_out = os.pipe()
        its_in, ours_out = os.pipe()
        its_in, its_out = (_out_of_the_way(handle) for handle in (its_in, its_out))
        self.reading, self.writing, self.held, self.number = ours_in, ours_out, b"", 0
        self.events = []
        words = [sys.executable, "-S", "-c", LAUNCH, str(its_in), str(its_out), program, *FLAGS]
        self.process = subprocess.Popen(
            [*words, f"--user-data-dir={profile}", "about:blank"], pass_fds=(its_in, its_out),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(its_in)
        os.close(its_out)
        self.session = None

    def attach(self):
        """Take the page that is open."""
        pages = [one for one in self.send("Target.getTargets")["targetInfos"] if one["type"] == "page"]
        found = self.send("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)
        self.session = found["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method, **parameters):
        """Ask and wait for the answer; events that come meanwhile are kept."""
        self.number += 1
        said = {"id": self.number, "method": method, "params": parameters}
        if self.session is not None:
            said["sessionId"] = self.session
        os.write(self.writing, json.dumps(said).encode() + b"\0")
        late = time.monotonic() + PATIENCE
        while time.monotonic() < late:
            answer = self.receive(late - time.monotonic())
            if answer is not None and answer.get("id") == self.number:
                assert "error" not in answer, (method, answer)
                return answer["result"]
            if answer is not None:
                self.events.append(answer)
        raise AssertionError(f"{method}: no answer in {PATIENCE} s")

    def receive(self, seconds):
        while b"\0" not in self.held:
            if not select.select([self.reading], [], [], max(seconds, 0))[0]:
                return None
            part = os.read(self.reading, 1 << 20)
            assert part, "the browser has gone"
            self.held += part
        message, _, self.held = self.held.partition(b"\0")
        return json.loads(message)

    def run(self, script):
        """Give what an expression comes to, once its promise is kept."""
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, (script, found)
        return found["result"].get("value")

    def until(self, condition):
        """Wait until an expression is true."""
        late = time.monotonic() + PATIENCE
        while time.monotonic() < late:
            if self.run(f"Boolean({condition})"):
                return
            time.sleep(0.05)
        raise AssertionError(f"not so in {PATIENCE} s: {condition}")

    def open(self, file, width=1280, height=900, dark=False):
        """Open a file anew; what happened before is forgotten."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.send("Page.navigate", url="about:blank")
        self.events.clear()
        self.send("Page.navigate", url=file.as_uri())
        self.until("document.readyState === 'complete' && location.protocol === 'file:'")

    def picture(self, file):
        """Save a picture of the whole page."""
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        found = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        file.write_bytes(b64decode(found["data"]))

    def said(self, *methods):
        """Give the events of these kinds since the page was opened."""
        self.run("new Promise((done) => setTimeout(done, 50))")
        return [one["params"] for one in self.events if one.get("method") in methods]

    def requests(self):
        """Give the addresses that the page asked for, beside itself and what it holds."""
        asked = [one["request"]["url"] for one in self.said("Network.requestWillBeSent")]
        return [url for url in asked if not url.startswith(("data:", "about:"))][1:]

    def complaints(self):
        """Give what stands on the console, and what was thrown."""
        return self.said("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")

    def close(self):
        os.close(self.writing)
        os.close(self.reading)
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        finally:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    named = os.environ.get("OODKIT_TEST_BROWSER")
    program = named or next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("there is no Chromium here; OODKIT_TEST_BROWSER names one")
    opened = Browser(program, tmp_path_factory.mktemp("profile"))
    try:
        opened.attach()
        yield opened
    finally:
        opened.close()


def report_of(specs="msp,classwise,energy", names=None, ids=None, ood="other", tied=False):
    """A report on drawn logits: 150 ID test images of five classes, of which some are taken for another, and OOD."""
    draw = np.random.default_rng(5)
    names = names or ["ant", "bee", "cat", "dog", "emu"]

    def outputs(n, strength, labelled):
        labels = draw.integers(0, 5, n)
        logits = draw.normal(0, 1, (n, 5))
        logits[np.arange(n), labels] += strength * draw.random(n)
        logits = logits.round(0) if tied else logits
        x = Outputs.from_logits(logits, labels if labelled else None, class_names=names)
        return (
            x if ids is None else x.named([f"{one}{place}" for place, one in zip(range(n), cycle(ids), strict=False)])
        )

    test, val = outputs(150, 6, True), outputs(100, 6, True)
    return bench(specs, test, {ood: outputs(90, 1, False), "far": outputs(70, 0, False)}, val, about={"model": "drawn"})


@pytest.fixture(scope="session")
def drawn():
    return report_of()


@pytest.fixture(scope="session")
def make_report():
    return report_of


SPECS = [f"scorer-{place}:alpha=0.{place}" for place in range(10)]
SIZES = {"one": 10_000, "two": 10_000, "three": 10_000, "four": 5_640}


def answers_of(draw, name, n, mean, classes, known):
    said = Answers(np.array([f"{name}/ILSVRC2012_{place:08d}.JPEG" for place in range(n)]))
    predicted, right = draw.integers(0, len(classes), n), draw.random(n) < 0.7
    said.prediction, said.confidence = classes[predicted], draw.random(n)
    for spec in SPECS:
        said.scores[spec] = draw.normal(mean, 1, n) + (right * 0.8 if known else 0)
        said.cuts[spec], said.accepted[spec] = 0.0, said.scores[spec] >= 0
    if known:
        said.right, said.truth = right, np.where(right, said.prediction, classes[predicted - 1])
    return said


@pytest.fixture(scope="session")
def large():
    """Make the report of ten scorers, five of them margins over 1,000 classes, with thumbnails of ImageNet's kind."""

    def make():
        draw = np.random.default_rng(0)
        classes = np.array([f"a class of some things, {place}" for place in range(1000)])
        test = answers_of(draw, "val", 50_000, 1.5, classes, True)
        test.classes, test.class_cuts = classes, {spec: draw.normal(0, 0.3, 1000) for spec in SPECS[:5]}
        ood = {name: answers_of(draw, name, n, 0, classes, False) for name, n in SIZES.items()}
        rows = []
        for spec in SPECS:
            made = ood_rows(About(spec, "val"), test, ood, "native")
            rows += [*made, *mean_rows(made, {}), *misclassification(About(spec, "val"), test)]
        header = {"protocol": "native", "id": [header_of("val", {"test": test})], "ood": SIZES}
        answers = {("val", "test"): test, **{("val", f"ood:{name}"): said for name, said in ood.items()}}
        report = Report(rows, header, answers)
        pictures = {name: {} for name in ("val", *SIZES)}
        for case in cases_of(report):
            for pick in picks(case, 12):
                missed = pick.kind == "missed"
                ids = (case.ood if missed else case.test).ids[pick.rows]
                for one in ids:  # a JPEG of 96 x 72 pixels takes about 3,500 bytes
                    pictures[case.row.ood if missed else "val"][str(one)] = b"\xff\xd8\xff" + draw.bytes(3500)
        return replace(report, gallery=Gallery(12, pictures))

    return make
