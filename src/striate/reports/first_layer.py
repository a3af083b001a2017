"""The filters of the first layer on a page."""

from __future__ import annotations

from torch import nn

from striate.images.overlays import image_grid, scale_to
from striate.interpret.filters import filter_images, first_filters
from striate.reports.page import Page, picture_figure

_MOST, _SIDE_PX = 128, 44  # filters on a page, and how large each is


def add_first_layer(page: Page, network: nn.Module) -> None:
    """Show the filters on a page, in a section of their own; nothing where there are none."""
    weights = first_filters(network)
    if weights is None:
        return
    page.section(
        "What its first layer looks for",
        f"{len(weights)} filters of {weights.shape[2]}x{weights.shape[3]} pixels: edges, colours, or still the noise "
        "that they began with. Grey is nothing.",
    )
    scaled = [scale_to(picture, _SIDE_PX) for picture in filter_images(weights)[:_MOST]]
    page.figures([picture_figure(image_grid(scaled, columns=16), "The filters.", exact=True)], "wide")
