"""A layer of a network on a page, as the matrix that it is."""

from __future__ import annotations

from torch import nn

from striate.interpret.activations import backbone_layers, find_layer, layer_shapes
from striate.interpret.layer_matrix import layer_matrix
from striate.reports.charts import bar_chart
from striate.reports.page import Page, chart_figure, picture_figure


def matrix_page(network: nn.Module, name: str) -> Page:
    """Draw a layer for small images: the pattern of its matrix, the transpose, the singular values.

    Raises:
        ModelError: there is no such layer, or it is not linear.
    """
    name = find_layer(network, name)
    layer, steps = network.get_submodule(name), backbone_layers(network)
    found = layer_matrix(layer, layer_shapes(network, name)[0][0])
    rows, columns = found.shape
    size = "x".join(map(str, found.input))
    page = Page(
        f"{name} as a matrix",
        f"{steps[name].element if name in steps else layer}, for an input of {size}: {rows:,} outputs from {columns:,} "
        "inputs.",
    )
    filled = found.entries / (rows * columns)
    target_statistics = sum(parameter.numel() for parameter in layer.parameters())
    shared = "They follow from the layer's shape alone."
    if target_statistics and not found.weights:
        shared = "What is on the diagonal has been learned, a number for each channel."
    if found.weights:
        shared = (
            f"All of these are made of {found.weights:,} weights: a convolution is a matrix whose rows repeat the same "
            "few numbers, each moved along by a place (Toeplitz blocks)."
        )
    page.text(
        f"Of {rows * columns:,} entries {found.entries:,} are not zero ({filled:.1%}). "
        f"{shared if found.weights < found.entries else 'Each is a weight of its own.'}"
    )
    page.figures(
        [
            picture_figure(found.pattern, "The matrix: red above zero, blue below.", exact=True),
            picture_figure(
                found.transposed,
                "Its transpose: what back-propagation multiplies gradients by, and what a transposed convolution is.",
                exact=True,
            ),
            chart_figure(
                bar_chart(found.singular.tolist(), x_label="number", y_label="singular value"),
                f"Its singular values{'' if len(found.singular) == min(rows, columns) else ', the largest ones'}: by "
                f"{found.singular[0]:.2f} it can lengthen an image at most.",
            ),
        ]
    )
    return page
