"""Read a Markdown page as a Git host does: its links, the anchors of its headings, its fenced blocks, its prose."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

_READER = MarkdownIt("commonmark").enable("table")
_SCHEME = re.compile(r"[a-z][a-z+.-]*:", re.IGNORECASE)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: The first word behind the fence, such as "console"; empty where there is none.
        title: NAME of `title="NAME"` behind the language: the file that the block shows. Empty where there is none.
        content: What stands between the fences.
        line: Line of the page on which the block begins, from 1.
    """

    language: str
    title: str
    content: str
    line: int


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page, also those within lists and quotes."""
    found = []
    for token in _READER.parse(text):
        if token.type == "fence" and token.map:
            language, *rest = shlex.split(token.info) or [""]
            titles = [word.removeprefix("title=") for word in rest if word.startswith("title=")]
            found.append(Block(language, titles[0] if titles else "", token.content, token.map[0] + 1))
    return found


def links(text: str) -> list[str]:
    """Where the links and pictures of a page lead, in their order, as they are written."""
    found = []
    for token in _inline(text):
        for child in token.children or ():
            target = child.attrs.get("href" if child.type == "link_open" else "src")
            if child.type in ("link_open", "image") and target is not None:
                found.append(str(target))
    return found


def leaves_the_repository(link: str) -> bool:
    """Whether a link has a scheme (`https:`, `mailto:`), so that no file of the repository is meant."""
    return bool(_SCHEME.match(link))


def anchors(text: str) -> set[str]:
    """What may stand behind `#` in a link to a page: its headings, named as GitHub names them.

    Where two headings have one name, the anchor of the first.
    """
    tokens = _READER.parse(text)
    headings = [tokens[index + 1] for index, token in enumerate(tokens) if token.type == "heading_open"]
    return {_slug("".join(child.content for child in heading.children or ())) for heading in headings}


def prose(text: str) -> str:
    """The text of a page without its fenced blocks; code within sentences keeps its backticks."""
    return "\n".join(token.content for token in _inline(text))


def _inline(text: str) -> list[Token]:
    return [token for token in _READER.parse(text) if token.type == "inline"]


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
