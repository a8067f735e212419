"""How a page of ours is told from other HTML: by the generator that its head names."""

from __future__ import annotations

from ood_toolkit.store.kinds import Kind, beginning

__all__ = ["PAGE"]

PAGE = Kind("page of oodkit", beginning(b'<meta name="generator" content="oodkit">', within=1000))
