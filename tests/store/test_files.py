import os
import subprocess
import sys
from pathlib import Path

import pytest

from ood_toolkit.store.files import default_store, replaced_file, replaced_folder

pytestmark = pytest.mark.quick


def test_where_the_store_lies(monkeypatch, tmp_path):
    monkeypatch.setenv("OODKIT_STORE", str(tmp_path / "named"))
    assert default_store() == tmp_path / "named"
    monkeypatch.setenv("OODKIT_STORE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert default_store() == tmp_path / "cache" / "oodkit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_store() == Path.home() / ".cache" / "oodkit"


def test_a_file_takes_its_place_when_it_is_whole(tmp_path):
    final = tmp_path / "deep" / "file"
    with replaced_file(final) as partial:
        partial.write_text("new")
        assert not final.exists()
    assert final.read_text() == "new"

    def interrupted():
        with replaced_file(final) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert final.read_text() == "new"
    assert list(final.parent.iterdir()) == [final]


def test_a_folder_takes_its_place_when_it_is_whole_and_one_that_is_there_stays(tmp_path):
    final = tmp_path / "deep" / "folder"

    def interrupted():
        with replaced_folder(final) as partial:
            (partial / "x").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(final.parent.iterdir()) == []
    for text in ("first", "second"):
        with replaced_folder(final) as partial:
            (partial / "x").write_text(text)
    assert (final / "x").read_text() == "first"
    assert list(final.parent.iterdir()) == [final]


MODES = """
import os, sys
from pathlib import Path
import numpy as np, torch
from safetensors.torch import save_file
from ood_toolkit.detectors.detector import Detector
from ood_toolkit.models.digits_clip import load_digits_clip, save_digits_clip
from ood_toolkit.models.saving import save_model
from ood_toolkit.outputs import Outputs
from ood_toolkit.store.files import replaced_file, replaced_folder
from ood_toolkit.store.hashes import Memory
from ood_toolkit.store.imports import Imports
from ood_toolkit.store.leases import keep

base = Path(sys.argv[1])
os.umask(int(sys.argv[2], 8))
os.umask = None  # nobody calls it from here on

with replaced_file(base / "file") as partial:
    partial.write_text("x")
    (base / "mode").write_text(oct(partial.stat().st_mode & 0o777))
with replaced_folder(base / "folder") as partial:
    (partial / "deep").mkdir()
    save_file({"a": torch.zeros(2)}, partial / "deep" / "own.safetensors")
with replaced_file(base / "own.safetensors") as partial:
    save_file({"a": torch.zeros(2)}, partial)
Memory(base / "store").close()
Imports(base / "store").add("a", "m", "test", {"logits": np.eye(3, dtype=np.float32)}, "a.npz")
keep(base / "store", "encodings/" + "a" * 64)
x = Outputs.from_logits(torch.randn(40, 4, generator=torch.Generator().manual_seed(0)))
Detector.fit("msp", x).save(base / "detector.safetensors")
model = load_digits_clip()
save_digits_clip(model.clip, base / "model.safetensors")
save_model(model, base / "saved")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs the modes of Unix")
@pytest.mark.parametrize("mask", ["027", "002", "077"])
def test_the_umask_holds_for_every_file_and_is_never_set(tmp_path, mask):
    done = subprocess.run([sys.executable, "-c", MODES, tmp_path, mask], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = [path for path in tmp_path.rglob("*") if path.name != "mode"]
    assert {"file", "own.safetensors", "detector.safetensors", "hashes.sqlite", "logits.npy", "lock"} <= {
        path.name for path in made
    }
    for path in made:
        full = 0o777 if path.is_dir() else 0o666
        assert oct(path.stat().st_mode & 0o777) == oct(full & ~int(mask, 8)), path
    assert (tmp_path / "mode").read_text() == oct(0o666 & ~int(mask, 8))  # while it is written, too
