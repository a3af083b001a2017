"""Pages as plain data, which templates turn into one file of HTML that needs no other."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import ClassVar, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from striate.images.overlays import COLOUR_RAMP, RGBArray, data_uri
from striate.reports.charts import HUES, Chart


@dataclass(frozen=True)
class Paragraph:
    """A paragraph: ordinary, `large`, or a `note` in small print."""

    text: str
    style: Literal["", "large", "note"] = ""
    macro: ClassVar[str] = "paragraph"


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        header: headings of the columns.
        rows: cells.
        numeric: number of columns, the last ones, that are aligned to the right.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: int = 0
    macro: ClassVar[str] = "table"


@dataclass(frozen=True)
class ImageFigure:
    """An image with its caption; made by `image_figure`.

    Attributes:
        caption: text below the image.
        source: the image as a data URI.
        width: width in pixels.
        height: height in pixels.
        description: what is read out in place of the image.
        pixelated: whether pixels stay sharp when the image is enlarged.
    """

    caption: str
    source: str
    width: int
    height: int
    description: str
    pixelated: bool = False
    macro: ClassVar[str] = "image_figure"


@dataclass(frozen=True)
class ChartFigure:
    """A chart with its caption."""

    caption: str
    chart: Chart
    macro: ClassVar[str] = "chart_figure"


@dataclass(frozen=True)
class FigureRow:
    """Figures side by side, as many as there is room for.

    Attributes:
        figures: figures, from left to right.
        layout: `small` ones take less room; `wide` ones lie below each other.
        thumbnails: data URIs of the images that the points of the figures' charts stand for.
    """

    figures: Sequence[ImageFigure | ChartFigure]
    layout: Literal["", "small", "wide"] = ""
    thumbnails: Sequence[str] = ()
    macro: ClassVar[str] = "figure_row"


@dataclass(frozen=True)
class ColourLegend:
    """Names of the colours of charts; where there are more names than colours, the rest is counted."""

    names: Sequence[str]
    macro: ClassVar[str] = "colour_legend"


@dataclass(frozen=True)
class MapScale:
    """What the colours of maps mean."""

    macro: ClassVar[str] = "map_scale"


Block = Paragraph | Table | FigureRow | ColourLegend | MapScale


@dataclass
class Section:
    """A section of a page, from top to bottom; `text`, `figures` and `table` add to it.

    Attributes:
        heading: heading of the section; empty: none.
        blocks: contents of the section.
    """

    heading: str = ""
    blocks: list[Block] = field(default_factory=list)

    def text(self, text: str, style: Literal["", "large", "note"] = "") -> None:
        """Add a paragraph; an empty one is left out."""
        if text:
            self.blocks.append(Paragraph(text, style))

    def figures(
        self,
        figures: Sequence[ImageFigure | ChartFigure],
        layout: Literal["", "small", "wide"] = "",
        thumbnails: Sequence[RGBArray] = (),
    ) -> None:
        """Add figures side by side; `thumbnails` are the images that points of their charts stand for."""
        if figures:
            uris = [data_uri(image, quality=70) for image in thumbnails]
            self.blocks.append(FigureRow(tuple(figures), layout, uris))

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]], numeric: int = 0) -> None:
        """Add a table whose last `numeric` columns are aligned to the right."""
        self.blocks.append(Table(header, rows, numeric))


@dataclass
class Page:
    """A page.

    Attributes:
        title: heading of the page.
        lead: note below the heading; empty: none.
        sections: sections, from top to bottom.
    """

    title: str
    lead: str = ""
    sections: list[Section] = field(default_factory=list)

    def html(self) -> str:
        """Render the page as one file of HTML."""
        blocks = [block for section in self.sections for block in section.blocks]
        return (
            _environment()
            .get_template("page.html.j2")
            .render(
                page=self,
                style=Markup(_static("page.css")),
                ramp=", ".join(f"#{colour}" for colour in COLOUR_RAMP),
                script=Markup(_static("thumbnails.js"))
                if any(isinstance(block, FigureRow) and block.thumbnails for block in blocks)
                else "",
            )
        )


def image_figure(image: RGBArray, caption: str, *, pixelated: bool = False, description: str = "") -> ImageFigure:
    """Return an image with its caption, as JPEG, or as PNG where every pixel counts (`pixelated`)."""
    height, width = image.shape[:2]
    source = data_uri(image, lossless=pixelated)
    return ImageFigure(caption, source, width, height, description or caption, pixelated)


def chart_figures(*figures: tuple[Chart | None, str]) -> list[ChartFigure]:
    """Return charts with their captions; those that are None are left out."""
    return [ChartFigure(caption, chart) for chart, caption in figures if chart is not None]


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("striate.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["hues"] = HUES
    return environment


@functools.cache
def _static(name: str) -> str:
    return (files("striate.reports") / "static" / name).read_text(encoding="utf-8")
