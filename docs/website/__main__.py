"""Build the documentation as a site in `site/`; run it as `python docs/website`, or `make docs`.

Pages of the repository, those of scorers and of the Python API are put together in `build/docs`; Sphinx makes the site
of them. Every warning is an error, a broken link among them. The site asks for nothing from outside when it is built or
looked at.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from assembly import assemble
from checks import asked_outside, not_found
from places import ROOT

HERE = Path(__file__).resolve().parent
SOURCE, SITE = ROOT / "build" / "docs", ROOT / "site"
SPHINX = ("--quiet", "--fail-on-warning", "--keep-going", "--conf-dir", str(HERE))


def main() -> None:
    """Assemble, build and check."""
    for folder in (SOURCE, SITE):
        shutil.rmtree(folder, ignore_errors=True)
    os.environ["OODKIT_NO_PLUGINS"] = "1"
    assemble(SOURCE)
    remembered = ROOT / "build" / "doctrees"
    words = [sys.executable, "-m", "sphinx", *SPHINX, "--doctree-dir", str(remembered), str(SOURCE), str(SITE)]
    if subprocess.run(words, check=False).returncode:
        raise SystemExit("the site has faults: see above")
    wrong = [f"asks for something outside: {one}" for one in asked_outside(SITE)]
    wrong += [f"the search does not find {word}" for word in not_found(SITE)]
    if wrong:
        raise SystemExit("\n".join(wrong))
    print(SITE / "index.html")


if __name__ == "__main__":
    main()
