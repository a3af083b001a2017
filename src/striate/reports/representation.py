"""What depth does to images: where they lie at each layer, and what a linear model can read there."""

from __future__ import annotations

from torch import nn

from striate.datasets.splits import SplitName
from striate.images.overlays import scale_to
from striate.interpret.activations import representation_layers
from striate.interpret.embedding import Projection, embed, project
from striate.reports.charts import line_chart, scatter_chart
from striate.reports.linear_probes import LinearProbes, probe_layers
from striate.reports.page import ColourLegend, Section, chart_figures
from striate.runs.run_images import RunImages, images_in_words
from striate.system.progress import progress_bar
from striate.tasks.figures import brief
from striate.tasks.task import Task

_SPLIT: SplitName = "val"
_TRAIN_IMAGES, _VAL_IMAGES = 400, 200  # that linear models are fitted to, and evaluated on
_LEAST_PER_CLASS = 4  # of the former
_POINTS = 240  # images in the plane
_THUMBNAIL_PX = 48


def representation_section(
    run_images: RunImages, task: Task, network: nn.Module, method: Projection = "pca", depths: int = 8
) -> Section | None:
    """Show images in a plane at some depths, and what a linear model reads there; None for a network of one layer.

    Args:
        run_images: images of the run.
        task: task of the run.
        network: trained network; its state is preserved.
        method: method that puts images into a plane.
        depths: number of layers at most.
    """
    layers = representation_layers(network, depths)
    if len(layers) < 2:
        return None
    section = Section("From pixels to meaning")
    section.text(
        "The network makes something new of an image at each layer: a representation, which its last layer only has to "
        "read. How good that is at some depth is seen by having a linear model read it there. Of maps it reads a "
        "summary (for classes each channel's mean), so that a layer can seem better that only writes them out."
    )
    classes = len(run_images.record.classes)
    if classes * _LEAST_PER_CLASS <= _TRAIN_IMAGES:
        sizes = {"train_images": _TRAIN_IMAGES, "evaluation_images": _VAL_IMAGES}
        _add_probes(section, task, probe_layers(run_images, task, network, layers, split=_SPLIT, **sizes))
    else:
        section.text(f"Linear models are left out: {_TRAIN_IMAGES} images are too few to learn {classes:,} classes.")
    _add_planes(section, run_images, network, layers, method)
    return section


def _add_probes(section: Section, task: Task, probes: LinearProbes) -> None:
    """Draw what linear models reach, from the first layer to the last."""
    headline = task.spec.figures[0]
    reached = ", ".join(f"{layer} {brief(task.spec.figures, values)}" for layer, values in probes.figures.items())
    depths = [float(depth) for depth in range(1, len(probes.figures) + 1)]
    chart = line_chart(
        {headline.name: (depths, [values[headline.name] for values in probes.figures.values()])},
        x_label="depth (of the layers shown)",
        y_label=headline.heading,
        percent=headline.is_share,
    )
    images = f"{probes.train_images:,} training images and evaluated on {probes.evaluation_images:,} validation images"
    caption = f"What a linear model of each layer reaches, fitted to {images}: {reached}."
    section.figures(chart_figures((chart, caption)))


def _add_planes(
    section: Section, run_images: RunImages, network: nn.Module, layers: list[str], method: Projection
) -> None:
    """Draw images as points in a plane, layer by layer."""
    chosen = run_images.spread(_SPLIT, _POINTS)
    indices = chosen.tolist()
    with progress_bar("embedding", len(indices)) as advance:
        vectors = embed(network, layers, run_images.normalised(_SPLIT, chosen), advance)
    groups = run_images.stores[_SPLIT].labels.strata()[indices].tolist()
    names = run_images.dataset.classes if any(groups) else ()  # else all labels are of one group
    titles = [
        f"{run_images.name(_SPLIT, index)}{f': {names[group]}' if names else ''}"
        for index, group in zip(indices, groups, strict=True)
    ]
    charts = []
    for layer in layers:
        points, shown = project(vectors[layer], method)
        share = "" if shown is None else f" ({shown:.0%} of what differs is seen)"
        charts.append((scatter_chart(points, groups, titles), f"{layer}{share}"))
    images = images_in_words(_SPLIT, len(indices), len(run_images.stores[_SPLIT]))
    by = "t-SNE" if method == "tsne" else "principal components"
    section.text(
        f"{images[0].upper()}{images[1:]} as points (by {by}), layer by layer: those that the network takes to be "
        "alike lie together. Point at one to see it."
    )
    if names:
        section.blocks.append(ColourLegend(names))
    thumbnails = [scale_to(image, _THUMBNAIL_PX) for image in run_images.rgb(_SPLIT, indices)]
    section.figures(chart_figures(*charts), thumbnails=thumbnails)
