"""The style of the reports: light or dark by the reader's setting, light on paper."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #f5f6f8; --card: #ffffff; --line: #dfe3e8; --ink: #16202b; --soft: #5b6876;
  --good: #2b6fd6; --defective: #e0641a; --alarm: #c42b2b; --calm: #1a7a49; --note: #eef3fb;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0f1419; --card: #182029; --line: #2c3742; --ink: #e7ecf1; --soft: #98a5b3;
    --good: #6ba4ff; --defective: #ff9350; --alarm: #ff7b72; --calm: #56c98d; --note: #1b2837;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums;
}
main { max-width: 1180px; margin: 0 auto; padding: 36px 24px 56px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 16px; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 40px 0 4px; }
p.lead { margin: 0 0 14px; color: var(--soft); max-width: 78ch; }
.facts { display: flex; flex-wrap: wrap; gap: 6px 28px; margin: 0 0 28px; }
.facts div { min-width: 0; }
.facts dt { color: var(--soft); font-size: 12px; }
.facts dd { margin: 0; overflow-wrap: anywhere; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px 18px; }
.numbers { display: grid; grid-template-columns: repeat(4, 1fr); gap: 14px; }
.numbers .name { color: var(--soft); font-size: 13px; }
.numbers .value { font-size: 30px; font-weight: 600; line-height: 1.25; }
.numbers .said { color: var(--soft); font-size: 12.5px; line-height: 1.4; }
.note { background: var(--note); border-left: 4px solid var(--good); border-radius: 6px; padding: 12px 16px;
  margin: 14px 0 0; white-space: pre-line; }
.note.unsure { border-left-color: var(--defective); }
.charts { display: grid; grid-template-columns: 1fr 1fr; gap: 14px; margin-top: 14px; }
.charts h3 { margin: 0 0 6px; font-size: 15px; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--soft); font-size: 12.5px; }
svg .label { fill: var(--ink); }
svg .grid { stroke: var(--line); fill: none; }
svg .axis { stroke: var(--soft); fill: none; }
svg .chance { stroke: var(--soft); stroke-dasharray: 4 5; fill: none; opacity: 0.7; }
svg .curve { stroke: var(--good); stroke-width: 2.5; stroke-linejoin: round; fill: none; }
svg .area { fill: var(--good); opacity: 0.09; }
svg .point { fill: var(--card); stroke: var(--ink); stroke-width: 2.5; }
svg .good { fill: var(--good); stroke: var(--good); fill-opacity: 0.3; stroke-width: 1.5; }
svg .defective { fill: var(--defective); stroke: var(--defective); fill-opacity: 0.3; stroke-width: 1.5; }
svg .threshold { stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 6 4; fill: none; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: 500; color: var(--soft); font-size: 13px; }
td { white-space: nowrap; }
th, td { padding: 7px 14px 7px 0; border-bottom: 1px solid var(--line); }
tr:last-child td { border-bottom: 0; }
td.bar { width: 30%; }
.track { background: var(--line); border-radius: 4px; height: 9px; overflow: hidden; }
.track i { display: block; height: 100%; background: var(--good); }
.thumbnails { display: grid; grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); gap: 14px; }
.thumbnails img { width: 100%; display: block; }
.thumbnails figcaption { display: block; margin: 8px 0 0; }
.thumbnails figcaption b { display: block; }
li { margin: 0 0 6px; max-width: 78ch; }
figure { margin: 0; }
figcaption { display: flex; align-items: baseline; gap: 10px; margin-bottom: 10px; font-size: 13.5px; }
figcaption b { font-weight: 600; overflow-wrap: anywhere; flex: 1; }
.tag { font-size: 11.5px; font-weight: 600; letter-spacing: 0.03em; padding: 1px 8px; border-radius: 99px;
  border: 1px solid currentColor; white-space: nowrap; }
.tag.wrong { color: var(--alarm); } .tag.right { color: var(--calm); }
.scale { display: flex; align-items: center; gap: 10px; color: var(--soft); font-size: 12.5px; margin: 0 0 12px; }
.scale i { display: inline-block; width: 180px; height: 12px; border-radius: 3px; border: 1px solid var(--line); }
@media screen and (max-width: 820px) {
  .charts { grid-template-columns: 1fr; }
  .numbers { grid-template-columns: 1fr 1fr; }
}
@media print {
  :root {
    color-scheme: light;
    --ground: #ffffff; --card: #ffffff; --line: #cfd5db; --ink: #16202b; --soft: #4c5864;
    --good: #2b6fd6; --defective: #e0641a; --alarm: #c42b2b; --calm: #1a7a49; --note: #f3f6fb;
  }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  figure, .card, .note, tr { break-inside: avoid; }
  h2, .lead, .scale { break-after: avoid; }
  body { font-size: 12px; }
  main { max-width: none; padding: 0; }
  h2 { margin-top: 24px; }
  .numbers .value { font-size: 24px; }
}
"""


def html_page(title: str, sections: Iterable[str], *, style: str = "", script: str = "") -> str:
    """A whole page in HTML, with its style and its script inside it.

    Args:
        title: The window's title, as plain text.
        sections: Pieces of HTML, shown one below the other; empty ones are left out.
        style: CSS that this page has beyond the common one.
        script: JavaScript that runs once the page is there.
    """
    end = f"<script>\n{script}</script>\n" if script else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}{style}</style></head>\n"
        f"<body><main>\n{chr(10).join(filter(None, sections))}\n</main>{end}</body></html>\n"
    )
