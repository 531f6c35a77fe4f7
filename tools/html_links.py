"""Check a folder of HTML pages that are read from the disk: links lead somewhere, and nothing comes from outside."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADED = {"img": "src", "script": "src", "iframe": "src", "source": "src", "video": "src", "object": "data"}
_LOADED_LINKS = {"stylesheet", "icon", "preload", "modulepreload", "preconnect", "dns-prefetch", "manifest"}
_OF_STYLES = re.compile(r"(?:url\(\s*[\"']?|@import\s+[\"'])((?:https?:)?//[^\"')]+)")
_OF_A_SERVER = {"404.html"}
"""Pages that only a server shows, at any address: their links are those of its top."""


class _Page(HTMLParser):
    """What a page loads, where it leads, and where one can be led to in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take a tag's address and name."""
        found = {name: value for name, value in attrs if value is not None}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag in _LOADED and _LOADED[tag] in found:
            self.loaded.append(found[_LOADED[tag]])
        elif tag == "link" and _LOADED_LINKS & set(found.get("rel", "").split()):
            self.loaded.append(found.get("href", ""))
        elif tag == "a" and "href" in found:
            self.links.append(found["href"])


def problems(site: Path) -> list[str]:
    """What is wrong with a site, a line each.

    Args:
        site: The folder; its pages link to each other by relative addresses.
    """
    files = [file for file in sorted(site.rglob("*.html")) if file.name not in _OF_A_SERVER]
    pages = {file: _Page(file.read_text(encoding="utf-8")) for file in files}
    found = []
    for file, page in pages.items():
        name = file.relative_to(site)
        found += [f"{name} loads {address} from outside" for address in page.loaded if _is_outside(address)]
        inside = [address for address in (*page.loaded, *page.links) if not urlsplit(address).scheme]
        found += [f"{name}: {address} leads nowhere" for address in inside if not _leads(file, address, pages)]
    for style in sorted(site.rglob("*.css")):
        outside = _OF_STYLES.findall(style.read_text(encoding="utf-8"))
        found += [f"{style.relative_to(site)} loads {address} from outside" for address in outside]
    return list(dict.fromkeys(found))


def _is_outside(address: str) -> bool:
    return address.startswith("//") or urlsplit(address).scheme in ("http", "https")


def _leads(file: Path, address: str, pages: dict[Path, _Page]) -> bool:
    if address.startswith("//"):
        return True  # to another host, which is not looked at
    path, anchor = unquote(urlsplit(address).path), unquote(urlsplit(address).fragment)
    target = (file.parent / path).resolve() if path else file
    if target not in pages:
        return target.is_file()
    return not anchor or anchor in pages[target].anchors
