"""A page of HTML in one file: nothing comes from elsewhere, and it reads on paper, in the dark, and on a phone."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from striate.images.overlays import COLOUR_RAMP, RGBArray, data_uri

_STYLE = """
:root { color-scheme: light dark; --paper: #fbfbf8; --card: #fff; --ink: #22252a; --soft: #666b73; --line: #dcdcd6;
  --a: #1f5fa8; --b: #c8541e; --c: #2e8b57; --d: #8e44ad; --e: #b8860b; --f: #008b9a; --g: #b03060; --h: #6b6b6b;
  --i: #9acd32; --j: #000080; }
@media (prefers-color-scheme: dark) { :root { --paper: #16181b; --card: #1e2125; --ink: #e6e6e1; --soft: #a0a4ab;
  --line: #363a40; --a: #6ea8e6; --b: #f0905a; --c: #6cc893; --d: #c78fdd; --e: #dfb64a; --f: #4fc3cf; --g: #e57fa5;
  --h: #aaaaaa; --i: #c5e86c; --j: #9fa8ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; margin: .6rem 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2rem 0 .4rem; }
p { max-width: 46rem; margin: .4rem 0; overflow-wrap: anywhere; }
.note, figcaption, .legend { color: var(--soft); font-size: .88rem; }
.big { font-size: 1.25rem; }
.row { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); gap: 1rem; }
.small { grid-template-columns: repeat(auto-fill, minmax(min(100%, 150px), 1fr)); }
.wide { grid-template-columns: 1fr; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: .6rem;
  min-width: 0; break-inside: avoid; }
figure img { display: block; max-width: 100%; height: auto; border-radius: 3px; }
figure img.sharp { image-rendering: pixelated; }
figcaption { margin-top: .4rem; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere; }
td:first-child { overflow-wrap: normal; white-space: nowrap; }
th { overflow-wrap: normal; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif; }
svg text.end { text-anchor: end; } svg text.middle { text-anchor: middle; } svg text.on { fill: var(--card); }
svg .grid { stroke: var(--line); } svg .guide { stroke: var(--soft); stroke-dasharray: 4 4; }
svg .frame { fill: none; stroke: var(--line); } svg .line { fill: none; stroke-width: 1.8; }
.line.a { stroke: var(--a); } .line.b { stroke: var(--b); } .line.c { stroke: var(--c); } .line.d { stroke: var(--d); }
.line.e { stroke: var(--e); } .line.f { stroke: var(--f); } .line.g { stroke: var(--g); } .line.h { stroke: var(--h); }
.bar.a, .dot.a { fill: var(--a); } .bar.b, .dot.b { fill: var(--b); } .dot.c { fill: var(--c); }
.dot.d { fill: var(--d); } .dot.e { fill: var(--e); } .dot.f { fill: var(--f); } .dot.g { fill: var(--g); }
.dot.h { fill: var(--h); } .dot.i { fill: var(--i); } .dot.j { fill: var(--j); }
.dot:hover { stroke: var(--ink); stroke-width: 2; }
.ramp { display: inline-block; width: 7rem; height: .7rem; border-radius: 2px; vertical-align: middle;
  print-color-adjust: exact; -webkit-print-color-adjust: exact; background: linear-gradient(90deg, RAMP); }
.legend span { margin-right: 1rem; display: inline-block; }
.legend i { print-color-adjust: exact; -webkit-print-color-adjust: exact;
  display: inline-block; width: .7rem; height: .7rem; border-radius: 2px; margin-right: .3rem; }
i.a { background: var(--a); } i.b { background: var(--b); } i.c { background: var(--c); } i.d { background: var(--d); }
i.e { background: var(--e); } i.f { background: var(--f); } i.g { background: var(--g); } i.h { background: var(--h); }
i.i { background: var(--i); } i.j { background: var(--j); }
#looked { position: fixed; pointer-events: none; background: var(--card); border: 1px solid var(--line);
  border-radius: 6px; padding: .4rem; font-size: .8rem; max-width: 12rem; }
#looked[hidden] { display: none; }
#looked img { display: block; width: 8rem; height: auto; image-rendering: pixelated; }
@media print { body { background: #fff; } main { max-width: none; } h2 { break-after: avoid; } }
""".replace("RAMP", ", ".join(f"#{colour}" for colour in COLOUR_RAMP))

_SCRIPT = """
const card = document.getElementById("looked"), picture = card.querySelector("img"), words = card.querySelector("span");
function show(dot) {
  const box = dot.getBoundingClientRect();
  picture.src = pictures[dot.dataset.picture];
  words.textContent = dot.querySelector("title").textContent;
  card.hidden = false;
  const left = Math.min(box.right + 8, innerWidth - card.offsetWidth - 8);
  card.style.left = Math.max(8, left) + "px";
  card.style.top = Math.max(8, Math.min(box.bottom + 8, innerHeight - card.offsetHeight - 8)) + "px";
}
for (const dot of document.querySelectorAll("[data-picture]")) {
  for (const kind of ["mouseenter", "click"]) dot.addEventListener(kind, () => show(dot));
  dot.addEventListener("mouseleave", () => { card.hidden = true; });
}
"""


class Page:
    """A page, from top to bottom.

    Args:
        title: its heading.
        lead: what stands below that.
    """

    def __init__(self, title: str, lead: str = "") -> None:
        self.title = title
        self._parts = [f"<h1>{escape(title)}</h1>", *([f'<p class="note">{escape(lead)}</p>'] if lead else [])]
        self._pictures: list[str] = []

    def section(self, heading: str, sentence: str = "") -> None:
        """Begin a section, with what it is about."""
        self._parts.append(f"<h2>{escape(heading)}</h2>")
        if sentence:
            self.text(sentence)

    def text(self, sentence: str, kind: str = "") -> None:
        """Write a paragraph: `big`, or a `note`."""
        self._parts.append(f'<p class="{kind}">{escape(sentence)}</p>' if kind else f"<p>{escape(sentence)}</p>")

    def legend(self, content: str) -> None:
        """Put in what says the colours of charts."""
        self._parts.append(content)

    def scale(self) -> None:
        """Put in what says the colours of maps."""
        self._parts.append('<p class="legend">least <span class="ramp"></span> most, of each picture by itself</p>')

    def figures(self, figures: Sequence[str], kind: str = "") -> None:
        """Put figures side by side, as many as there is room for, `small` ones too, or `wide` ones below each other."""
        shown = "".join(figures)
        if shown:
            self._parts.append(f'<div class="{f"row {kind}".strip()}">{shown}</div>')

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 0) -> None:
        """Write rows under a header; the last `numbers` columns are aligned to the right."""
        first = len(header) - numbers

        def cells(row: Sequence[str], tag: str) -> str:
            return "".join(
                f"<{tag}{' class=number' if place >= first else ''}>{escape(cell)}</{tag}>"
                for place, cell in enumerate(row)
            )

        body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
        head = f"<thead><tr>{cells(header, 'th')}</tr></thead>"
        self._parts.append(f'<div class="scroll"><table>{head}<tbody>{body}</tbody></table></div>')

    def keep(self, pictures: Sequence[RGBArray]) -> int:
        """Keep small pictures for the points of a chart; returns the index of the first."""
        first = len(self._pictures)
        self._pictures += [data_uri(picture, quality=70) for picture in pictures]
        return first

    def html(self) -> str:
        """Return the whole page."""
        script = ""
        if self._pictures:
            listed = ",\n".join(f'"{uri}"' for uri in self._pictures)
            script = (
                '<div id="looked" hidden><img alt="" src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=">'
                f"<span></span></div><script>const pictures = [{listed}];{_SCRIPT}</script>"
            )
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{escape(self.title)}</title><style>{_STYLE}</style></head>\n"
            f"<body><main>\n{chr(10).join(self._parts)}\n</main>{script}</body></html>\n"
        )


def picture_figure(picture: RGBArray, caption: str, *, exact: bool = False, name: str = "") -> str:
    """Return a picture with its sentence; `exact` ones keep every pixel."""
    kind = ' class="sharp"' if exact else ""
    size = f'width="{picture.shape[1]}" height="{picture.shape[0]}"'
    shown = f'<img{kind} {size} alt="{escape(name or caption)}" src="{data_uri(picture, lossless=exact)}">'
    return f"<figure>{shown}<figcaption>{escape(caption)}</figcaption></figure>"


def chart_figure(chart: str, caption: str) -> str:
    """Return a chart with its sentence; nothing where there is no chart."""
    return f"<figure>{chart}<figcaption>{escape(caption)}</figcaption></figure>" if chart else ""
