"""Damage to files: of bytes anywhere, and of what is inside archives and headers, sums and lengths put right again."""

from __future__ import annotations

import io
import json
import random
import re
import struct
import tarfile
import zipfile
import zlib
from typing import Any

NASTY = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, 10**400, -0.5, 1e308, float("nan"), float("inf"), "", "x",
    "x" * 3000, "\ud800", "\x1b[2J\x07", "=1+1", "{}", "../../etc", "/dev/zero", "a\nb", [], {}, [[]], [None], [1, 2],
    {"": {}}, "NaN", "1e5", ["x"] * 50,
)  # fmt: skip
"""Values that a reader may not expect."""
INTEGERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
NUMBERS = (b"0", b"-1", b"99999999999999999999", b"1e999", b"9" * 5000, b"nan", b"", b"2147483648", b"0x10", b"1_0")


def mutated(seed: bytes, kind: str, draw: random.Random, others: list[bytes]) -> bytes:
    """Damage a file once to four times, as its kind allows."""
    inside = INSIDE.get(kind)
    content = seed
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        try:
            if inside is not None and draw.random() < 0.6:
                content = inside(content, draw)
            else:
                content = of_bytes(content, draw, others)
        except Exception:  # what an earlier step damaged has no inside any more
            content = of_bytes(content, draw, others)
    return content


def of_bytes(content: bytes, draw: random.Random, others: list[bytes]) -> bytes:
    """Flip, replace, insert, delete, repeat, cut or splice bytes."""
    raw = bytearray(content)
    place = draw.randrange(len(raw) + 1)
    length = min(draw.choice((1, 1, 2, 4, 8, 32, 200)), len(raw) - place)
    way = draw.randrange(9)
    if way == 0 and raw:
        raw[place - 1] ^= 1 << draw.randrange(8)
    elif way == 1:
        raw[place : place + length] = draw.randbytes(length)
    elif way == 2:
        raw[place:place] = draw.randbytes(draw.choice((1, 4, 100)))
    elif way == 3:
        del raw[place : place + length]
    elif way == 4:
        raw[place:place] = raw[place : place + length] * draw.choice((1, 2, 50))
    elif way == 5:
        del raw[place:]
    elif way == 6:
        width = draw.choice((1, 2, 4, 8))
        value = draw.choice(INTEGERS) & (1 << 8 * width) - 1
        raw[place : place + width] = value.to_bytes(width, draw.choice(("little", "big")))
    elif way == 7:
        other = draw.choice(others)
        raw[place:] = other[draw.randrange(len(other) + 1) :]
    else:
        return of_text(content, draw)
    return bytes(raw)


def of_text(content: bytes, draw: random.Random) -> bytes:
    """Put another number, another word or another line in the place of one."""
    if draw.random() < 0.5 and (found := list(NUMBER.finditer(content))):
        one = draw.choice(found)
        return content[: one.start()] + draw.choice(NUMBERS) + content[one.end() :]
    lines = content.split(b"\n")
    place = draw.randrange(len(lines))
    way = draw.randrange(5)
    if way == 0:
        lines[place] = b""
    elif way == 1:
        lines.insert(place, draw.choice(lines))
    elif way == 2:
        lines[place] = draw.choice((b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b'"', b"[" * 3000, b"= = ="))
    elif way == 3:
        lines[place] += draw.choice((b" ", b"\t", b",", b"\xe9", b" -2", b" 1e3", "\u2028".encode()))
    else:
        draw.shuffle(lines)
    return b"\n".join(lines)


def of_value(value: Any, draw: random.Random) -> Any:
    """Put something nasty in the place of some part of a JSON value."""
    if isinstance(value, dict | list) and value and draw.random() < 0.85:
        key = draw.choice(list(value) if isinstance(value, dict) else range(len(value)))
        changed = dict(value) if isinstance(value, dict) else list(value)
        if draw.random() < 0.1:
            del changed[key]
        else:
            changed[key] = of_value(value[key], draw)
        return changed
    if draw.random() < 0.05:
        deep: Any = []
        for _ in range(draw.choice((50, 200, 900))):
            deep = [deep]
        return deep
    return draw.choice(NASTY)


def of_json(content: bytes, draw: random.Random) -> bytes:
    """Damage a value in a JSON file."""
    return json.dumps(of_value(json.loads(content), draw)).encode()


def of_npz(content: bytes, draw: random.Random) -> bytes:
    """Damage a member of a zip archive, or its name, and pack it again."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {one.filename: archive.read(one) for one in archive.infolist()}
    name = draw.choice(list(members))
    way = draw.random()
    if way < 0.3:
        members[draw.choice(list(members))] = members[name]
    elif way < 0.4:
        members[draw.choice((name + "x", "classes.npy", "labels.npy", "ids.npy", "text.npy", "", "../x.npy"))] = (
            members.pop(name)
        )
    elif way < 0.7 and members[name].startswith(b"\x93NUMPY"):
        members[name] = of_npy(members[name], draw)
    else:
        members[name] = of_bytes(members[name], draw, [content])
    held = io.BytesIO()
    packing = draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
    with zipfile.ZipFile(held, "w", packing) as archive:
        for one, body in members.items():
            archive.writestr(one, body)
    return held.getvalue()


def of_npy(content: bytes, draw: random.Random) -> bytes:
    """Change what the description of an array says, of the same length; of another file, bytes anywhere."""
    words = {
        b"<f4": (b"<i4", b">f4", b"|O8", b"<U1", b"|S4", b"<c8", b"<u4"),
        b"<f8": (b"<U2", b"<M8", b"<i8", b">f8", b"<c8"),
        b"<i8": (b"<f8", b"<U2", b"<u8", b">i8"),
        b"<U": (b">U", b"|S", b"|V"),
        b"False": (b"True ",),
        b"(": (b"[",),
        b", ": (b"0,", b"-,", b"**"),
    }
    if not content.startswith(b"\x93NUMPY"):
        return of_bytes(content, draw, [content])
    found = [word for word in words if word in content[:200]]
    word = draw.choice(found)
    return content.replace(word, draw.choice(words[word]), 1)


def of_safetensors(content: bytes, draw: random.Random) -> bytes:
    """Damage a value in the header of a safetensors file, or in the JSON that its metadata hold."""
    (length,) = struct.unpack("<Q", content[:8])
    header, body = json.loads(content[8 : 8 + length]), content[8 + length :]
    metadata = header.get("__metadata__", {})
    if metadata and draw.random() < 0.8:
        key = draw.choice(list(metadata))
        about = of_value(json.loads(metadata[key]), draw)
        if isinstance(about, dict) and "digest" in about:
            about = resigned(about, header, body)
        metadata[key] = json.dumps(about)
    elif draw.random() < 0.5:
        header = of_value(header, draw)
    else:
        body = of_bytes(body, draw, [content])
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def resigned(about: dict[str, Any], header: dict[str, Any], body: bytes) -> dict[str, Any]:
    """Put the digest of a detector's file right again."""
    from safetensors.torch import load

    from ood_toolkit.detectors.file import digest_of

    text = json.dumps({key: value for key, value in header.items() if key != "__metadata__"}).encode()
    arrays = load(struct.pack("<Q", len(text)) + text + body)
    about = {key: value for key, value in about.items() if key != "digest"}
    return {**about, "digest": digest_of(about, arrays)}


def of_png(content: bytes, draw: random.Random) -> bytes:
    """Damage a chunk of a PNG and put its sum right; of another picture, bytes near its start."""
    if not content.startswith(b"\x89PNG"):
        head = bytearray(content)
        for _ in range(draw.choice((1, 2, 4))):
            head[draw.randrange(min(len(head), 64))] = draw.randrange(256)
        return bytes(head)
    chunks, place = [], 8
    while place + 8 <= len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + length]))
        place += 12 + length
    at = draw.randrange(len(chunks))
    name, data = chunks[at]
    if name == b"IHDR" and draw.random() < 0.5:
        sides = [draw.choice((0, 1, 5, 40, 3000, 60_000, 2**31)) for _ in range(2)]
        data = struct.pack(">II", *(side & 0xFFFFFFFF for side in sides)) + data[8:]
    elif name == b"IDAT" and draw.random() < 0.5:
        data = zlib.compress(of_bytes(zlib.decompress(data), draw, [content]))
    else:
        data = of_bytes(data, draw, [content])
    chunks[at] = (name, data)
    if draw.random() < 0.2:
        chunks.insert(at, (draw.choice((b"tEXt", b"iTXt", b"zTXt", b"eXIf", b"acTL", b"tRNS", b"PLTE")), data))
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    ]
    return content[:8] + b"".join(parts)


def of_tar(content: bytes, draw: random.Random) -> bytes:
    """Damage a member of a tar file or its header, and put the header's sum right."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        places = [(one.offset, one.offset_data, one.size) for one in archive]
    start, data, size = draw.choice(places)
    raw = bytearray(content)
    if draw.random() < 0.4 and size:
        body = of_bytes(content[data : data + size], draw, [content])[:size]
        raw[data : data + len(body)] = body
        return bytes(raw)
    fields = ((0, 100), (100, 8), (124, 12), (156, 1), (157, 100), (257, 8), (345, 155))
    at, length = draw.choice(fields)
    new = draw.choice((draw.randbytes(length), b"\x80" + b"\xff" * length, b"\xff" * length, b"7" * length, b"xgLSK5"))
    raw[start + at : start + at + min(length, len(new))] = new[:length]
    raw[start + 148 : start + 156] = b" " * 8
    raw[start + 148 : start + 156] = b"%06o\0 " % sum(raw[start : start + 512])
    return bytes(raw)


INSIDE = {
    "json": of_json, "npz": of_npz, "pt": of_npz, "npy": of_npy, "safetensors": of_safetensors, "picture": of_png,
    "tar": of_tar, "text": of_text,
}  # fmt: skip
"""What knows the inside of a kind of file."""
