"""Text for LaTeX: ASCII alone, so that it compiles whatever the encoding of the document is."""

from __future__ import annotations

import unicodedata

from ood_toolkit.report.cells import plain

__all__ = ["latex_cell"]

SIGNS = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "`": "{`}",
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\^{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"{\char34}",
}  # fmt: skip
"""Signs of ASCII that mean something, or that old fonts set as another one."""
LETTERS = {
    0xDF: r"\ss{}", 0xE6: r"\ae{}", 0xC6: r"\AE{}", 0x153: r"\oe{}", 0x152: r"\OE{}", 0xF8: r"\o{}", 0xD8: r"\O{}",
    0x142: r"\l{}", 0x141: r"\L{}", 0x131: r"\i{}", 0xA0: "~", 0x2013: r"\textendash{}", 0x2014: r"\textemdash{}",
    0x2018: r"\textquoteleft{}", 0x2019: r"\textquoteright{}", 0x201C: r"\textquotedblleft{}",
    0x201D: r"\textquotedblright{}", 0x2026: r"\dots{}", 0xB1: r"$\pm$", 0xD7: r"$\times$", 0xB7: r"$\cdot$",
    0xB0: r"$^\circ$", 0x2212: "$-$", 0x2264: r"$\leq$", 0x2265: r"$\geq$", 0x2260: r"$\neq$", 0x2248: r"$\approx$",
    0x221E: r"$\infty$", 0x2190: r"$\leftarrow$", 0x2192: r"$\rightarrow$", 0xB5: r"$\mu$", 0xA7: r"\S{}",
    0xA9: r"\copyright{}",
}  # fmt: skip
ACCENTS = {
    0x300: "`", 0x301: "'", 0x302: "^", 0x303: "~", 0x304: "=", 0x306: "u", 0x307: ".", 0x308: '"', 0x30A: "r",
    0x30B: "H", 0x30C: "v", 0x323: "d", 0x327: "c", 0x331: "b",
}  # fmt: skip
"""The command that sets each combining mark; those that the oldest font encoding lacks are not among them."""
SMALL = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi  pi rho  sigma tau upsilon phi chi psi "
    "omega"
)
CAPITALS = {0x393: "Gamma", 0x394: "Delta", 0x398: "Theta", 0x39B: "Lambda", 0x39E: "Xi", 0x3A0: "Pi", 0x3A3: "Sigma",
            0x3A6: "Phi", 0x3A8: "Psi", 0x3A9: "Omega"}  # fmt: skip
GREEK = {0x3B1 + place: name for place, name in enumerate(SMALL.split(" ")) if name} | CAPITALS


def latex_cell(text: object) -> str:
    """Give text that LaTeX sets as it is; a letter that not every font has is written as its number, `[U+4E2D]`."""
    made = "".join(map(_set, unicodedata.normalize("NFC", plain(text))))
    made = f"{{{made[0]}}}{made[1:]}" if made.startswith(("[", "*")) else made  # they would belong to the end of a row
    return made.replace("--", "-{}-").replace("--", "-{}-").replace("''", "'{}'").replace(",,", ",{},")


def _set(char: str) -> str:
    if char in SIGNS:
        return SIGNS[char]
    if char.isascii():
        return char
    if ord(char) in LETTERS:
        return LETTERS[ord(char)]
    if ord(char) in GREEK:
        return f"$\\{GREEK[ord(char)]}$"
    parts = unicodedata.normalize("NFD", char)
    if len(parts) == 2 and parts[0].isascii() and ord(parts[1]) in ACCENTS:
        return f"\\{ACCENTS[ord(parts[1])]}{{{parts[0]}}}"
    return f"[U+{ord(char):04X}]"
