"""What depth does to images: where they lie at each layer, and what a linear model can read there."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from striate.datasets.dataset import SplitName
from striate.datasets.labels import ClassLabels
from striate.images.overlays import scale_to
from striate.interpret.activations import (
    crop_to_image,
    image_share,
    preserve_state,
    record_activations,
    representation_layers,
)
from striate.interpret.embedding import Projection, embed, project
from striate.reports import charts
from striate.reports.page import Page, chart_figure
from striate.runs.evaluation import is_share, label
from striate.runs.run_images import RunImages
from striate.system.progress import progress_bar
from striate.tasks.base import Features, Task

_TRAIN, _VAL = 400, 200  # images that linear models learn from, and are measured on
_PLACES = 20  # of each of these at most, where places of an image are read
_POINTS = 240  # images in the plane
_THUMBNAIL_PX = 48
_PER_CLASS = 4  # images that a linear model has to learn from at least


def add_representation(
    page: Page, gallery: RunImages, task: Task, network: nn.Module, how: Projection = "pca", depths: int = 8
) -> None:
    """Show images in a plane at some depths, and what a linear model reads there."""
    layers = representation_layers(network, depths)
    if len(layers) < 2:
        return
    split: SplitName = "val"
    page.section(
        "From pixels to meaning",
        "The network makes something new of an image at each layer: a representation, which its last layer only has to "
        "read. How good that is at some depth is seen by having a linear model read it there. Of maps it reads a "
        "summary (for classes each channel's mean), so that a layer can seem better that only writes them out.",
    )
    classes = len(gallery.record.classes)
    if classes * _PER_CLASS <= _TRAIN:
        _add_curve(page, task, layers, probe_depths(gallery, split, task, network, layers))
    else:
        page.text(f"Linear models are left out: {_TRAIN} images are too few to learn {classes:,} classes.", "note")
    chosen = gallery.spread(split, _POINTS)
    with progress_bar("embedding", len(chosen)) as advance:
        vectors = embed(network, layers, gallery.normalised(split, chosen), advance)
    pictures = [scale_to(picture, _THUMBNAIL_PX) for picture in gallery.rgb(split, chosen.tolist())]
    first = page.keep(pictures)
    groups, names = _groups(gallery, split, chosen.tolist())
    said = [
        f"{gallery.name(split, place)}{f': {names[group]}' if names else ''}"
        for place, group in zip(chosen.tolist(), groups, strict=True)
    ]
    drawn = []
    for layer in layers:
        places, shown = project(vectors[layer], how)
        share = "" if shown is None else f" ({shown:.0%} of what differs is seen)"
        drawn.append(chart_figure(charts.scatter(places, groups, said, first), f"{layer}{share}"))
    page.text(
        f"The same images as points (by {'t-SNE' if how == 'tsne' else 'principal components'}), layer by layer: those "
        "that the network takes to be alike lie together. Point at one to see it."
    )
    if names:
        page.legend(charts.legend(names))
    page.figures(drawn)


def _add_curve(page: Page, task: Task, layers: list[str], figures: list[dict[str, float]]) -> None:
    name = task.headline
    values = [row[name] for row in figures]
    reached = ", ".join(f"{layer} {task.brief(row)}" for layer, row in zip(layers, figures, strict=True))
    curve = charts.line_chart(
        {name: ([float(depth) for depth in range(1, len(layers) + 1)], values)},
        x_label="depth (of the layers shown)",
        y_label=label(name),
        share=is_share(name),
    )
    page.figures([chart_figure(curve, f"What a linear model of each layer reaches: {reached}.")])


def probe_depths(
    gallery: RunImages, split: SplitName, task: Task, network: nn.Module, layers: list[str]
) -> list[dict[str, float]]:
    """Return the figures that linear models reach which read the output of some layers."""
    target_statistics = _features(gallery, "train", _TRAIN, task, network, layers)
    measured = _features(gallery, split, _VAL, task, network, layers)
    figures = []
    with progress_bar("fitting linear models", len(layers)) as advance:
        for layer in layers:
            linear = task.fit_linear(target_statistics[layer]).to(gallery.device)
            metrics = task.metrics()
            with torch.inference_mode():
                for values, targets in zip(measured[layer].values, measured[layer].targets, strict=True):
                    outputs = linear(values)
                    places = targets.ndim - 1 if isinstance(targets, Tensor) else 0
                    metrics.update(outputs.reshape(*outputs.shape, *[1] * places), targets)
            figures.append(metrics.compute())
            advance(1)
    return figures


def _features(
    gallery: RunImages, split: SplitName, most: int, task: Task, network: nn.Module, layers: list[str]
) -> dict[str, Features]:
    """Return what linear models are to read, of each layer."""
    chosen = gallery.spread(split, most)
    found: dict[str, Features] = {
        layer: Features(values=[], targets=[], groups=np.arange(len(chosen))) for layer in layers
    }
    with (
        preserve_state(network),
        torch.inference_mode(),
        record_activations(network, layers) as outputs,
        progress_bar("reading", len(chosen)) as advance,
    ):
        for batch in gallery.batches(split, chosen).in_order():
            network(batch.images)
            share = image_share(network, (batch.images.shape[2], batch.images.shape[3]))
            for layer in layers:
                output = outputs[layer].float()
                values, targets = task.read(crop_to_image(output, share) if output.ndim == 4 else output, batch.targets)
                # of images that are read in several places not all of these: they would take gigabytes; an odd step
                # comes to every row and column
                every = len(values) // (_PLACES * len(batch.images)) | 1
                found[layer].values.append(values[::every].clone())
                found[layer].targets.append(targets[::every] if isinstance(targets, Tensor) else targets)
            advance(len(batch.images))
    return {layer: _grouped(features) for layer, features in found.items()}


def _grouped(features: Features) -> Features:
    """Number the samples: those of images that are read in several places in fifty runs of neighbours."""
    counts = [len(values) for values in features.values]
    if sum(counts) == len(features.groups):
        return features
    return Features(
        values=features.values, targets=features.targets, groups=np.arange(sum(counts)) // max(1, sum(counts) // 50)
    )


def _groups(gallery: RunImages, split: SplitName, places: list[int]) -> tuple[list[int], list[str]]:
    """Return what colours points: classes, where each image has one."""
    labels = gallery.stores[split].labels
    if isinstance(labels, ClassLabels):
        return labels.targets[places].tolist(), list(gallery.dataset.classes)
    return [0] * len(places), []
