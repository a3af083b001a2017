"""Explanations of images on a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from striate.images.overlays import colour_map, image_grid, scale_to
from striate.interpret.feature_maps import strongest_channels
from striate.reports.first_layer import first_layer_section
from striate.reports.page import ImageFigure, MapScale, Page, Section, image_figure
from striate.runs.evaluation import SplitEvaluation
from striate.runs.explanation import Explainer, Explanation, ImagePatch
from striate.runs.run_images import network_name, purpose
from striate.tasks.figures import figure_heading, figure_table, meanings

_FEW = 20  # answers that say little


def explanation_page(explainer: Explainer, explanations: Sequence[Explanation]) -> Page:
    """Put explanations of images on a page."""
    record = explainer.record
    page = Page(f"What {network_name(record)} sees", f"{purpose(record)}. Its images were: {record.data['location']}.")
    notes = Section()
    if explainer.run_images is None:
        notes.text("Its training images are not at hand, so what it compares images with is left out.", "note")
    if explainer.layer is None:
        notes.text(
            "It has no feature maps, so covering parts of an image is the one way to see where it looks.", "note"
        )
    filters = first_layer_section(explainer.network)
    explained = [_explanation_section(explainer, explanation) for explanation in explanations]
    page.sections += [notes, *explained, *([filters] if filters else [])]
    return page


def _explanation_section(explainer: Explainer, explanation: Explanation) -> Section:
    section = Section(Path(explanation.name).name)
    if explanation.grad_cam:
        section.text(
            "Where it looks (Grad-CAM): yellow are the parts that count most. Where the map of a network with random "
            "weights looks the same, it tells of the image alone, and not of what was learned."
        )
    section.figures([image_figure(image, caption) for image, caption in explanation.illustrations()])
    section.blocks.append(MapScale())
    _add_confidence(section, explainer, explanation)
    if explanation.feature_maps:
        section.text("What its layers make of the image: the channels that respond most.")
        section.figures([_channels(layer, maps) for layer, maps in explanation.feature_maps.items()])
    if explanation.patches:
        section.text(
            f"What activates those channels of {explanation.layer} most in the training images; the frame is all that "
            "such a unit sees."
        )
        section.figures([_patches(channel, patches) for channel, patches in explanation.patches.items() if patches])
    if explanation.neighbours:
        images = image_grid([scale_to(other.image, 110) for other in explanation.neighbours], columns=6)
        names = ", ".join(f"{Path(other.name).name} ({other.cosine:.2f})" for other in explanation.neighbours)
        caption = (
            f"Of {explainer.neighbour_pool:,} training images those that it takes to be most alike: {names}; 1 is the "
            "same to it, 0 has nothing in common."
        )
        section.figures([image_figure(images, caption)], "wide")
    return section


def _add_confidence(section: Section, explainer: Explainer, explanation: Explanation) -> None:
    """Say how confident the network is of an image, and what that is worth on held-out images."""
    header, explained = [""], ""
    cells = [[name] for name in explanation.confidence]
    if any(value is not None for value in explanation.confidence.values()):
        header.append("probability, here")
        for row, value in zip(cells, explanation.confidence.values(), strict=True):
            row.append("–" if value is None else f"{value:.1%}")
    evaluation = explainer.evaluation()
    if evaluation is not None:
        figures = explainer.task.spec.row_figures
        keys, rows = figure_table(figures, evaluation.metrics.rows())
        known = {row[0]: row[1:] for row in rows}
        if any(row[0] in known for row in cells):
            header += [figure_heading(figures, key) for key in keys[1:]]
            cells = [row + known[row[0]] for row in cells if row[0] in known]
            explained = meanings(figures, keys[1:])
    if len(header) > 1:
        section.text(f"How confident it is. {_worth(explanation, evaluation)}")
        section.table(header, cells, numeric=len(header) - 1)
        section.text(explained, "note")


def _worth(explanation: Explanation, evaluation: SplitEvaluation | None) -> str:
    """Say what the probability of the likeliest answer is worth."""
    if evaluation is None:
        return "What that is worth is not known without its training images."
    others = f"The other columns tell how good it is on {evaluation.scope}."
    first, calibration = next(iter(explanation.confidence.values())), evaluation.calibration
    if first is None or calibration is None:
        return f"Its answers come without a probability. {others}"
    index = min(int(first * len(calibration.counts)), len(calibration.counts) - 1)
    count, right = calibration.counts[index], round(calibration.accuracy[index] * calibration.counts[index])
    span = f"{index * 10} to {index * 10 + 10} %"
    if not count:
        return f"{others} It gave no answer there with {span}."
    few = " That is too few to go by." if count < _FEW else ""
    return f"{others} Of {count:,} answers there that it gave with {span}, {right:,} were right.{few}"


def _channels(layer: str, maps: Float[np.ndarray, "channels _ _"]) -> ImageFigure:
    """Show the channels of a layer that respond most."""
    channels = strongest_channels(torch.from_numpy(maps), 8)
    images = [scale_to(colour_map(maps[channel]), 90) for channel in channels]
    size = f"{maps.shape[0]} channels of {maps.shape[2]}x{maps.shape[1]}"
    return image_figure(image_grid(images, columns=4), f"{layer}: {size}; shown {', '.join(map(str, channels))}")


def _patches(channel: int, patches: Sequence[ImagePatch]) -> ImageFigure:
    images = [scale_to(patch.image, 110) for patch in patches]
    return image_figure(image_grid(images, columns=3), f"channel {channel}")
