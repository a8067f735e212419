"""What a Parquet file claims to hold, read off its footer; pyarrow would end the process for some damage."""

import io
import random
import subprocess
import sys

import pytest

from ood_toolkit.store.foreign.footers import claimed_values

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
pytestmark = pytest.mark.quick

TABLE = pa.table({
    "a": [[1.0, 2.0]] * 30, "b": list(range(30)), "c": [True, None] * 15, "d": ["x" * 300] * 30,
    "e": [{"z": 1, "y": [1, None]}] * 30, "f": pa.array([[("k", 1)]] * 30, pa.map_(pa.string(), pa.int32())),
}).replace_schema_metadata({"k": "v" * 300})  # fmt: skip


def written(**options):
    out = io.BytesIO()
    parquet.write_table(TABLE, out, **options)
    return out


@pytest.mark.parametrize(
    "options",
    [
        {}, {"row_group_size": 1}, {"row_group_size": 7, "compression": "zstd"}, {"data_page_version": "2.0"},
        {"write_statistics": False}, {"write_page_index": True, "store_schema": False}, {"use_dictionary": False},
        {"version": "1.0"},
    ],
)  # fmt: skip
def test_it_is_what_pyarrow_says_of_a_sound_file(options):
    file = written(**options)
    about = parquet.ParquetFile(file).metadata
    groups = [about.row_group(place) for place in range(about.num_row_groups)]
    assert claimed_values(file) == [sum(one.column(c).num_values for c in range(one.num_columns)) for one in groups]


def test_damaged_footers_are_errors_and_take_no_time():
    sound, draw = written().getvalue(), random.Random(0)
    length = int.from_bytes(sound[-8:-4], "little")
    for _ in range(3000):
        content = bytearray(b"PAR1" + sound[-8 - length :])
        for _ in range(draw.choice((1, 2, 8))):
            content[draw.randrange(4, len(content))] = draw.choice((0, 1, 0x1C, 0x7F, 0xFC, 0xFF, draw.randrange(256)))
        try:
            claimed_values(io.BytesIO(content))
        except (OSError, ValueError):
            continue
    for content in (
        b"",
        b"PAR1",
        b"PAR1" * 3,
        bytes(100),
        b"PAR1" + b"\xff" * 100 + b"\x64\0\0\0PAR1",
        b"PAR1" + b"\x1c" * 100 + b"\x64\0\0\0PAR1",
    ):
        with pytest.raises((OSError, ValueError)):
            claimed_values(io.BytesIO(content))


PROGRAM = """
import random, sys
from pathlib import Path
from ood_toolkit.errors import OodkitError
from ood_toolkit.store.foreign.batches import Batches
from ood_toolkit.store.foreign.columns import read_columns

sound, file, draw = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]), random.Random(0)
length, refused = int.from_bytes(sound[-8:-4], "little"), 0
for _ in range(300):
    content = bytearray(sound)
    for _ in range(draw.choice((1, 2, 4))):
        content[draw.randrange(len(content) - 8 - length, len(content))] = draw.randrange(256)
    file.write_bytes(content)
    for read in (read_columns, lambda file: list(Batches(file).walk(["a", "b"], 10))):
        try:
            read(file)
        except OodkitError:
            refused += 1
print(refused)
"""


def test_no_damage_of_a_footer_ends_the_process(tmp_path):
    (tmp_path / "sound.parquet").write_bytes(written().getvalue())
    words = [sys.executable, "-c", PROGRAM, tmp_path / "sound.parquet", tmp_path / "damaged.parquet"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 100
