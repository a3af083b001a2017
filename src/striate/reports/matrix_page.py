"""A layer of a network on a page, as the matrix that it is."""

from __future__ import annotations

from torch import nn

from striate.interpret.activations import backbone_layers, find_layer, layer_shapes
from striate.interpret.layer_matrix import LayerMatrix, layer_matrix
from striate.reports.charts import bar_chart
from striate.reports.page import Page, Section, chart_figures, image_figure


def matrix_page(network: nn.Module, name: str) -> Page:
    """Draw a layer for small images: the pattern of its matrix, the transpose, the singular values.

    Raises:
        ModelError: there is no such layer, or it is not linear.
    """
    name = find_layer(network, name)
    layer, steps = network.get_submodule(name), backbone_layers(network)
    matrix = layer_matrix(layer, layer_shapes(network, name)[0][0])
    rows, columns = matrix.shape
    size = "x".join(map(str, matrix.input))
    section = Section()
    section.text(_entries_in_words(layer, matrix))
    section.figures(
        [
            image_figure(matrix.pattern, "The matrix: red above zero, blue below.", pixelated=True),
            image_figure(
                matrix.transposed,
                "Its transpose: what back-propagation multiplies gradients by, and what a transposed convolution is.",
                pixelated=True,
            ),
            *chart_figures(
                (
                    bar_chart(matrix.singular.tolist(), x_label="number", y_label="singular value"),
                    f"Its singular values{'' if len(matrix.singular) == min(rows, columns) else ', the largest ones'}: "
                    f"by {matrix.singular[0]:.2f} it can lengthen an image at most.",
                )
            ),
        ]
    )
    element = steps[name].element if name in steps else layer
    lead = f"{element}, for an input of {size}: {rows:,} outputs from {columns:,} inputs."
    return Page(f"{name} as a matrix", lead, [section])


def _entries_in_words(layer: nn.Module, matrix: LayerMatrix) -> str:
    """Say how many entries of the matrix are not zero, and what they are made of."""
    entries = matrix.shape[0] * matrix.shape[1]
    shared = "They follow from the layer's shape alone."
    if matrix.weights >= matrix.entries:
        shared = "Each is a weight of its own."
    elif matrix.weights:
        shared = (
            f"All of these are made of {matrix.weights:,} weights: a convolution is a matrix whose rows repeat the "
            "same few numbers, each moved along by one position (Toeplitz blocks)."
        )
    elif any(True for _ in layer.parameters()):
        shared = "What is on the diagonal has been learned, a number for each channel."
    return f"Of {entries:,} entries {matrix.entries:,} are not zero ({matrix.entries / entries:.1%}). {shared}"
