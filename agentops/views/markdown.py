"""Markdown as HTML that is safe whoever wrote it: no HTML of its own, no images, no styles."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

_SCROLLING = (
    '<div class="table-card" tabindex="0" role="region" aria-label="Table {}"><table>\n',
    "</table></div>\n",
)


def render(text: str) -> SafeString:
    """The HTML of ``text``. Headings are one level down, because a page has its own first one."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = parser.parse(text)
    tables = 0
    for token in tokens:
        _tame(token)
        tables += token.type == "table_open"
        if token.type in {"table_open", "table_close"}:
            _wrap(token, tables)
    html: str = parser.renderer.render(tokens, parser.options, {})
    return mark_safe(html)  # noqa: S308 - the parser escapes what it did not make itself


def _tame(token: Token) -> None:
    """No inline styles, headings one level down, links that tell their target nothing."""
    token.attrs.pop("style", None)
    if token.type in {"heading_open", "heading_close"}:
        token.tag = f"h{min(int(token.tag[1:]) + 1, 6)}"
    if token.type == "link_open":
        token.attrSet("rel", "noopener noreferrer nofollow")
    for child in _children(token):
        _tame(child)


def _children(token: Token) -> Sequence[Token]:
    return token.children or ()


def _wrap(token: Token, number: int) -> None:
    """Let a wide table scroll by itself, also with the keyboard."""
    opens = token.type == "table_open"
    token.type, token.tag = "html_block", ""
    token.content = _SCROLLING[0].format(number) if opens else _SCROLLING[1]
