"""The filters of the first layer on a page."""

from __future__ import annotations

from torch import nn

from striate.images.overlays import image_grid, scale_to
from striate.interpret.filters import filter_images, first_filters
from striate.reports.page import Section, image_figure

_MOST_FILTERS, _SIDE_PX = 128, 44


def first_layer_section(network: nn.Module) -> Section | None:
    """Show the filters of the first layer; None where it has none."""
    weights = first_filters(network)
    if weights is None:
        return None
    section = Section("What its first layer looks for")
    section.text(
        f"{len(weights)} filters of {weights.shape[2]}x{weights.shape[3]} pixels: edges, colours, or still the noise "
        "that they began with. Grey is nothing."
    )
    images = [scale_to(image, _SIDE_PX) for image in filter_images(weights)[:_MOST_FILTERS]]
    section.figures([image_figure(image_grid(images, columns=16), "The filters.", pixelated=True)], "wide")
    return section
