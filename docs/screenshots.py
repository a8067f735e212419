"""Make the screenshots of the documentation anew; run it as `python docs/screenshots.py`.

Each is a part of a page that `oodkit bench --html` writes of the embedded digits and letters, as headless Chromium
shows it in light colours and, as `NAME-dark.png`, in dark ones; `--browser` names the program. Nothing but embedded
data is ever pictured.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

FOLDER = Path(__file__).resolve().parent / "pictures"
COMMAND = (
    "bench",
    "--scorers",
    "classwise,msp,mcm,knn",
    "--gallery",
    "6",
    "--ood",
    "letters",
    "--ci",
    "--ci-replicates",
    "200",
)
ALONE = "header, footer, main > section:not(#details) {display: none} h2 {margin-top: 20px !important}"
PICTURES = {
    "report": ("#right-part {display: none}", 1120, 650),
    "report-threshold": (f"{ALONE} #details > :not(h2, #choice, .panel) {{display: none}}", 1120, 815),
    "report-errors": (f"{ALONE} #details > :not(#errors) {{display: none}} main {{padding-top: 16px}}", 1120, 915),
}
"""What is shown alone on each, as a style, with width and height in pixels."""
ALWAYS = ("--headless", "--disable-gpu", "--hide-scrollbars", "--no-sandbox", "--virtual-time-budget=5000")
COLOURS = 128
SCHEMES = {"": 1, "-dark": 0}
"""What Chromium calls the colours that a reader prefers, by the end of the picture's name."""


def main() -> None:
    """Write the page into a temporary folder, and its pictures beside the pages of the documentation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--browser", default=shutil.which("chromium") or "chromium", help="Chromium or a kin of it.")
    browser = parser.parse_args().browser
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "report.html")
        env = {**os.environ, "OODKIT_STORE": str(Path(folder, "store")), "OODKIT_NO_PLUGINS": "1"}
        words = [sys.executable, "-m", "ood_toolkit", *COMMAND, "--html", page.name]
        subprocess.run(words, env=env, cwd=folder, check=True)
        for name, (style, width, height) in PICTURES.items():
            shown = Path(folder, f"{name}.html")
            shown.write_text(page.read_text().replace("</style>", f"{style}</style>", 1))
            for end, scheme in SCHEMES.items():
                shot = Path(folder, f"{name}{end}.png")
                flags = [f"--window-size={width},{height}", f"--blink-settings=preferredColorScheme={scheme}"]
                flags += [f"--user-data-dir={folder}/profile", f"--screenshot={shot}"]
                subprocess.run([browser, *ALWAYS, *flags, shown.as_uri()], check=True, capture_output=True)
                FOLDER.mkdir(exist_ok=True)
                Image.open(shot).convert("RGB").quantize(COLOURS).save(FOLDER / shot.name, optimize=True)


if __name__ == "__main__":
    main()
