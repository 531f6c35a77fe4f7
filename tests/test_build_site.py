"""The documentation's site: which pages it has, what is copied beside them, and what its check finds."""

from __future__ import annotations

import re
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown import Markdown
from pymdownx.slugs import slugify

from tools import build_site, html_links, pages

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@pytest.fixture
def repository(tmp_path):
    """Writes pages and other files: `repository({"docs/index.md": "text"})` gives the folder."""

    def write(files):
        for name, text in files.items():
            file = tmp_path / "repository" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return tmp_path / "repository"

    return write


def test_pages_are_copied_with_what_they_link_to(repository, tmp_path):
    root = repository(
        {
            "docs/index.md": "[how](how-to/run.md#begin) [deploy](../deploy/README.md)",
            "docs/how-to/run.md": "# Begin\n[unit](../../deploy/edgerd.service) ![map](../images/map.png)",
            "docs/images/map.png": "pixels",
            "deploy/README.md": "[first](../docs/index.md) [examples](../examples)",
            "deploy/edgerd.service": "[Unit]",
            "examples/README.md": "nothing",
            "benchmarks/README.md": "nobody links to this",
        }
    )
    build_site.gather(root, tmp_path / "out")
    out = tmp_path / "out"
    there = {file.relative_to(out).as_posix(): file.read_text() for file in out.rglob("*") if file.is_file()}
    assert there == {
        "index.md": "[how](how-to/run.md#begin) [deploy](repository/deploy/README.md)",
        "how-to/run.md": "# Begin\n[unit](../repository/deploy/edgerd.service) ![map](../images/map.png)",
        "images/map.png": "pixels",
        "repository/deploy/README.md": "[first](../../index.md) [examples](../examples/README.md)",
        "repository/deploy/edgerd.service": "[Unit]",
        "repository/examples/README.md": "nothing",
    }


@pytest.mark.parametrize("link", ["gone.md", "../edgerd", "../../outside.md", "images"])
def test_a_link_to_nothing_ends_the_build(repository, tmp_path, link):
    root = repository({"docs/index.md": f"[there]({link})", "edgerd/__init__.py": "", "docs/images/a.png": ""})
    (tmp_path / "outside.md").write_text("not of this repository")
    with pytest.raises(build_site.SiteError, match=r"docs/index\.md: .* leads to no file"):
        build_site.gather(root, tmp_path / "out")


def test_links_to_other_hosts_and_within_a_page_stay(repository, tmp_path):
    text = "# A\n[a](#a) [paper](https://example.com/paper.html) `](gone.md)`\n\n```text\n[b](gone.md)\n```\n"
    build_site.gather(repository({"docs/index.md": text}), tmp_path / "out")
    assert (tmp_path / "out" / "index.md").read_text() == text


def test_the_navigation_names_every_page(repository):
    root = repository({"docs/index.md": "", "docs/a/b.md": "", "docs/a/lost.md": ""})
    nav = [{"Home": "index.md"}, {"A": [{"B": "a/b.md"}, {"C": "a/gone.md"}]}]
    assert build_site.navigation_problems({"project": {"nav": nav}}, root / "docs") == [
        "zensical.toml: nav names a/gone.md, which is not in docs/",
        "docs/a/lost.md is not in nav of zensical.toml",
    ]


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ('<a href="other.html#here">', []),
        ('<a href="#top"></a><h1 id="top">', []),
        ('<a href="https://example.com/">', []),
        ('<link rel="canonical" href="https://example.com/">', []),
        ('<img src="data:image/png;base64,AA==">', []),
        ('<a href="gone.html">', ["index.html: gone.html leads nowhere"]),
        ('<a href="other.html#gone">', ["index.html: other.html#gone leads nowhere"]),
        ('<img src="gone.png">', ["index.html: gone.png leads nowhere"]),
        ('<script src="https://cdn.example/a.js">', ["index.html loads https://cdn.example/a.js from outside"]),
        ('<link rel="stylesheet" href="//f.example/a.css">', ["index.html loads //f.example/a.css from outside"]),
    ],
)
def test_the_check_finds_what_leads_nowhere_or_comes_from_outside(repository, html, found):
    root = repository({"index.html": html, "other.html": '<h2 id="here">', "404.html": '<a href="/gone.html">'})
    assert html_links.problems(root) == found


def test_the_check_reads_style_sheets(repository):
    root = repository(
        {"a.css": "@import 'https://f.example/b.css'; .x { background: url(//f.example/c.png) url(d.png) }"}
    )
    assert html_links.problems(root) == [
        "a.css loads https://f.example/b.css from outside",
        "a.css loads //f.example/c.png from outside",
    ]


TYPED = st.characters(codec="ascii", categories=["L", "Nd"], include_characters=" -_.,:;`()'\"/+=")


def is_tidy(heading):
    """Whether renderers agree on it: no two spaces or backticks in a row, no space at either end of a code span."""
    code_spans = re.findall("`([^`]*)`", heading)
    return "  " not in heading and "``" not in heading and all(code == code.strip() for code in code_spans)


@given(st.text(TYPED, max_size=30).filter(is_tidy))
@example("`edgerd outbox` PATH, then: run it (again) & again")
def test_the_site_names_headings_as_a_git_host_does(heading):
    """Else a link to a heading would work in one of the two places only."""
    configured = tomllib.loads((build_site.REPOSITORY / build_site.CONFIGURATION).read_text(encoding="utf-8"))
    extensions = configured["project"]["markdown_extensions"]
    assert extensions["toc"]["slugify"] == {"object": "pymdownx.slugs.slugify", "kwds": {"case": "lower"}}
    markdown = Markdown(extensions=["toc"], extension_configs={"toc": {"slugify": slugify(case="lower")}})
    html = markdown.convert(f"# x{heading}x")
    assert re.findall(r'<h1 id="([^"]*)"', html) == list(pages.anchors(f"# x{heading}x"))
