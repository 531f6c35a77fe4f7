"""Build the documentation site: `make docs`, or `python -m tools.build_site`. The result is `site/index.html`.

A browser reads the site from the disk, without a server and without a network. The pages in docs/ are copied to
build/docs first, together with every file of the repository that they link to, so that these links work in the site as
they do on a Git host. Then Zensical makes HTML of them, and the HTML is checked. The build fails where a page of the
navigation is missing, where a page is in no navigation, where a link leads nowhere, and where the site would load
anything from outside.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tools.html_links import problems
from tools.pages import leaves_the_repository, links

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REPOSITORY = Path(__file__).parents[1]
CONFIGURATION = "zensical.toml"
BESIDE = "repository"
"""Folder of the site for files that are not in docs/."""
_INDEXES = ("README.md", "index.md")


class SiteError(Exception):
    """Something is wrong with the pages; the message lists it, a line each."""


def gather(repository: Path, out: Path) -> None:
    """Copy docs/ to a new folder, and beside it what its pages link to outside of docs/.

    Args:
        repository: Holds docs/.
        out: The folder to create; what is there is removed.

    Raises:
        SiteError: A link leads to no file, or to a folder without a README.md.
    """
    shutil.rmtree(out, ignore_errors=True)
    waiting = [file for file in sorted((repository / "docs").rglob("*")) if file.is_file()]
    known, wrong = set(waiting), []
    while waiting:
        file = waiting.pop()
        target = out / _place(file, repository)
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix != ".md":
            shutil.copy(file, target)
            continue
        text = file.read_text(encoding="utf-8")
        followed = {link: _linked(file, link, repository) for link in links(text) if _leads_to_a_file(link)}
        name = file.relative_to(repository)
        wrong += [f"{name}: {link} leads to no file, nor to a folder with a README.md" for link in _dead(followed)]
        found = {link: linked for link, linked in followed.items() if linked is not None}
        for link, linked in found.items():
            text = text.replace(f"]({link})", f"]({_moved(link, out / _place(linked, repository), target)})")
        target.write_text(text, encoding="utf-8")
        new = set(found.values()) - known
        known |= new
        waiting += sorted(new)
    if wrong:
        raise SiteError("\n".join(sorted(wrong)))


def navigation_problems(configuration: Mapping[str, Any], docs: Path) -> list[str]:
    """Pages that the navigation names and that are not there, and pages that it does not name, a line each."""
    named = list(_pages_of(configuration["project"]["nav"]))
    there = {file.relative_to(docs).as_posix() for file in docs.rglob("*.md")}
    missing = [f"{CONFIGURATION}: nav names {page}, which is not in docs/" for page in named if page not in there]
    return missing + [f"docs/{page} is not in nav of {CONFIGURATION}" for page in sorted(there - set(named))]


def main() -> None:
    """Build the site and check it; exits with 1, and says what is wrong, where something is."""
    with (REPOSITORY / CONFIGURATION).open("rb") as file:
        configuration = tomllib.load(file)
    if wrong := navigation_problems(configuration, REPOSITORY / "docs"):
        sys.exit("\n".join(wrong))
    try:
        gather(REPOSITORY, REPOSITORY / configuration["project"]["docs_dir"])
    except SiteError as error:
        sys.exit(str(error))
    site = REPOSITORY / configuration["project"]["site_dir"]
    shutil.rmtree(site, ignore_errors=True)
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict", "--config-file", CONFIGURATION]
    built = subprocess.run(command, cwd=REPOSITORY, check=False)  # noqa: S603  Zensical, with our own arguments
    if built.returncode:
        sys.exit(built.returncode)
    if wrong := problems(site):
        sys.exit("\n".join(wrong))


def _place(file: Path, repository: Path) -> Path:
    """Where a file of the repository is in the site: pages of docs/ at its top, all else in a folder of its own."""
    path = file.relative_to(repository)
    return path.relative_to("docs") if path.parts[0] == "docs" else Path(BESIDE) / path


def _leads_to_a_file(link: str) -> bool:
    return not leaves_the_repository(link) and not link.startswith("#")


def _linked(file: Path, link: str, repository: Path) -> Path | None:
    """The file of the repository that a link of a page means; of a folder its README.md. None where there is none."""
    path = Path(os.path.normpath(file.parent / unquote(link.partition("#")[0])))
    candidates = [path / name for name in _INDEXES] if path.is_dir() else [path]
    return next((one for one in candidates if one.is_file() and one.is_relative_to(repository)), None)


def _dead(followed: Mapping[str, Path | None]) -> list[str]:
    return [link for link, linked in followed.items() if linked is None]


def _moved(link: str, linked: Path, page: Path) -> str:
    """A link as it has to be written where its page, and what it leads to, are now."""
    _, mark, anchor = link.partition("#")
    return Path(os.path.relpath(linked, page.parent)).as_posix() + mark + anchor


def _pages_of(navigation: list[Any]) -> Iterator[str]:
    for entry in navigation:
        for below in entry.values() if isinstance(entry, dict) else [entry]:
            if isinstance(below, list):
                yield from _pages_of(below)
            else:
                yield below


if __name__ == "__main__":
    main()
