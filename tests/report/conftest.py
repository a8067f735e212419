"""Names that a data set of anybody may hold, and what is checked of every form of output."""

import pytest

HOSTILE = (
    "=cmd|'/C calc'!A0",
    "\x1b]0;PWNED\x07\x1b[31mred\x1b[0m\x1b[2J",
    "[bold red]x[/] | pipe & % $ # _ {} ~ ^ \\",
    "a\nb\r\nc\x0b\x0c\u2028d\u0085e",
    "\u202egnp.exe\u2066",
    "+1;=1+1",
    "@SUM(1)\t-1",
    '-1"; <script>alert(1)</script> `code` [link](http://x) **b**',
    "\x9b2J\x90q\x7f\x00nul",
    "[*]\\\\\\| 한국어 żółć ß \udcff \U0001f600",
)


@pytest.fixture(params=range(len(HOSTILE)), ids=lambda place: f"name{place}")
def hostile(request):
    return HOSTILE[request.param]


@pytest.fixture
def hostile_names():
    return HOSTILE
