"""A page as a tree, and what the browser does with frames, in a few lines of Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

_VOID = frozenset({"input", "br", "meta", "link", "img", "option"})
# How many rows a timeline has is not known (-1) until the run is over and the page loaded again.
_DRIFTS = frozenset({"data-after", "data-seq", "title", "aria-rowcount"})


@dataclass(eq=False)
class Node:
    tag: str
    attrs: dict[str, str] = field(default_factory=dict)
    children: list[Node | str] = field(default_factory=list)
    parent: Node | None = None

    @property
    def id(self) -> str:
        return self.attrs.get("id", "")

    def walk(self) -> Iterator[Node]:
        yield self
        for child in self.children:
            if isinstance(child, Node):
                yield from child.walk()

    def find(self, id: str) -> Node | None:
        return next((node for node in self.walk() if node.id == id), None)

    def all(self, tag: str) -> list[Node]:
        return [node for node in self.walk() if node.tag == tag]

    @property
    def text(self) -> str:
        return "".join(c if isinstance(c, str) else c.text for c in self.children)

    def replace_by(self, fresh: Node) -> None:
        assert self.parent is not None
        place = self.parent.children.index(self)
        self.parent.children[place] = fresh
        fresh.parent = self.parent

    def append(self, child: Node) -> None:
        self.children.append(child)
        child.parent = self

    def canonical(self, depth: int = 0) -> str:
        """The tree as text, without what changes with the clock or the session."""
        if self.attrs.get("name") == "csrfmiddlewaretoken":
            return ""
        pad = "  " * depth
        kept = sorted((k, v) for k, v in self.attrs.items() if k not in _DRIFTS)
        lines = [f"{pad}<{self.tag} {kept}>"]
        if "data-since" in self.attrs:
            return lines[0]
        for child in self.children:
            if isinstance(child, Node):
                lines.append(child.canonical(depth + 1))
            elif child.strip():
                lines.append(f"{pad}  {' '.join(child.split())}")
        return "\n".join(line for line in lines if line)


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = self.at = Node("#root")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.at.append(node)
        if tag not in _VOID:
            self.at = node

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.at.append(Node(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        node: Node | None = self.at
        while node and node.tag != tag:
            node = node.parent
        if node and node.parent:
            self.at = node.parent

    def handle_data(self, data: str) -> None:
        self.at.children.append(data)


def parse(html: str) -> Node:
    parser = _Parser()
    parser.feed(html)
    return parser.root


def apply(page: Node, frames: list[dict[str, Any]], reload: Callable[[], Node]) -> None:
    """What ``live.js`` does with a message; ``reload`` is the page's own GET."""
    for frame in frames:
        match frame["do"]:
            case "news":
                assert frame["after"] < frame["seq"]
            case "place":
                _place(page, frame, reload)
            case "stale":
                _reread(page, frame["ids"], reload)
            case "count":
                counter = page.find(frame["id"])
                if counter is not None:
                    counter.children = [frame["text"]]


def _place(page: Node, frame: dict[str, Any], reload: Callable[[], Node]) -> None:
    fresh = next(child for child in parse(frame["html"]).children if isinstance(child, Node))
    there = page.find(fresh.id)
    into = page.find(frame["id"])
    if there is not None:
        for kept in {"aria-current", "data-here"} & there.attrs.keys():
            fresh.attrs[kept] = there.attrs[kept]
        there.replace_by(fresh)
    elif frame["how"] == "append" and into is not None and "hx-get" not in into.attrs:
        into.append(fresh)
    followers = [n.id for n in page.walk() if n.attrs.get("data-follows") == fresh.id]
    _reread(page, followers, reload)


def _reread(page: Node, ids: list[str], reload: Callable[[], Node]) -> None:
    fresh = reload() if ids else None
    for name in ids:
        old, new = page.find(name), fresh.find(name) if fresh else None
        if old is not None and new is not None:
            old.replace_by(new)
