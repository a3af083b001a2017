"""Linear probes: what a linear model can read from the output of each layer (Alain and Bengio 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from striate.batching.targets import take_targets
from striate.datasets.splits import SplitName
from striate.interpret.activations import crop_to_image, image_share, preserve_state, record_activations
from striate.runs.run_images import RunImages
from striate.system.progress import progress_bar
from striate.tasks.task import Task
from striate.tasks.training import Features

_POSITIONS = 20  # per image at most, where positions in an image are read one by one
_GROUPS = 50  # of these, that are held out together when a model's regularisation is chosen


@dataclass(frozen=True)
class LinearProbes:
    """What linear models reach that read the output of layers.

    Attributes:
        figures: figures of the linear model of each layer, by name.
        train_images: number of training images that the models were fitted to.
        evaluation_images: number of other images that they were evaluated on.
    """

    figures: dict[str, dict[str, Any]]
    train_images: int
    evaluation_images: int


def probe_layers(
    run_images: RunImages,
    task: Task,
    network: nn.Module,
    layers: list[str],
    *,
    split: SplitName,
    train_images: int,
    evaluation_images: int,
) -> LinearProbes:
    """Fit a linear model to the output of each layer, and evaluate it.

    Args:
        run_images: images of the run.
        task: task of the run.
        network: trained network; its state is preserved.
        layers: names of the layers.
        split: split that the models are evaluated on.
        train_images: number of training images at most, evenly spread.
        evaluation_images: number of images of `split` at most, evenly spread.
    """
    train = run_images.spread("train", train_images)
    held_out = run_images.spread(split, evaluation_images)
    fitted_to = _features(run_images, "train", train, task, network, layers)
    evaluated_on = _features(run_images, split, held_out, task, network, layers)
    figures = {}
    with progress_bar("fitting linear models", len(layers)) as advance:
        for layer in layers:
            linear = task.training.fit_linear(fitted_to[layer]).to(run_images.device)
            metrics = task.training.metrics()
            with torch.inference_mode():
                for values, targets in zip(evaluated_on[layer].values, evaluated_on[layer].targets, strict=True):
                    metrics.update(linear(values), targets)
            figures[layer] = metrics.compute()
            advance(1)
    return LinearProbes(figures, len(train), len(held_out))


def _features(
    run_images: RunImages, split: SplitName, indices: np.ndarray, task: Task, network: nn.Module, layers: list[str]
) -> dict[str, Features]:
    """Return what linear models read from each layer."""
    features: dict[str, Features] = {
        layer: Features(values=[], targets=[], groups=np.arange(len(indices))) for layer in layers
    }
    with (
        preserve_state(network),
        torch.inference_mode(),
        record_activations(network, layers) as outputs,
        progress_bar("reading", len(indices)) as advance,
    ):
        for batch in run_images.batches(split, indices).in_order():
            network(batch.images)
            share = image_share(network, (batch.images.shape[2], batch.images.shape[3]))
            for layer in layers:
                output = outputs[layer].float()
                output = crop_to_image(output, share) if output.ndim == 4 else output
                values, targets = task.explaining.probe_features(output, batch.targets)
                # where images are read position by position, all positions would take gigabytes; an odd step comes to
                # every row and column
                step = len(values) // (_POSITIONS * len(batch.images)) | 1
                features[layer].values.append(values[::step].clone())
                features[layer].targets.append(take_targets(targets, slice(None, None, step)))
            advance(len(batch.images))
    return {layer: _grouped(of_layer) for layer, of_layer in features.items()}


def _grouped(features: Features) -> Features:
    """Number the groups of samples: where images are read position by position, fifty runs of neighbours."""
    samples = sum(len(values) for values in features.values)
    if samples == len(features.groups):
        return features
    groups = np.arange(samples) // max(1, samples // _GROUPS)
    return Features(values=features.values, targets=features.targets, groups=groups)
