"""What a network gets wrong, and what it is least confident of, with the maps of where that comes from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from striate.batching.targets import Batch
from striate.images.overlays import image_grid, overlay, scale_to
from striate.interpret.activations import feature_map_layers, preserve_state
from striate.interpret.grad_cam import grad_cam
from striate.reports.page import ImageFigure, Section, image_figure
from striate.runs.evaluation import SplitEvaluation
from striate.runs.run_images import RunImages, denormalise, draw_ground_truth, draw_prediction
from striate.tasks.task import Task

_SHOWN = 6
_SIDE_PX = 240


def mistakes_section(
    run_images: RunImages, task: Task, network: nn.Module, evaluation: SplitEvaluation
) -> Section | None:
    """Show the worst mistakes; None where there are none."""
    results = evaluation.sample_results
    order = np.argsort([-result.error for result in results], kind="stable").tolist()
    worst = [index for index in order if results[index].wrong][:_SHOWN]
    if not worst:
        return None
    section = Section("Its worst mistakes")
    section.text("What was predicted, and where that comes from: yellow counts most.")
    section.figures([_sample_figure(run_images, task, network, evaluation, index) for index in worst])
    return section


def least_confident_section(
    run_images: RunImages, task: Task, network: nn.Module, evaluation: SplitEvaluation
) -> Section | None:
    """Show the images that the network is least confident of; None where it gives no probability."""
    confidence = {
        index: result.confidence
        for index, result in enumerate(evaluation.sample_results)
        if result.confidence is not None
    }
    if not confidence:
        return None
    section = Section("Where it is least confident")
    section.text("Images such as these are worth a look, and a label, most.")
    least = sorted(confidence, key=confidence.__getitem__)[:_SHOWN]
    section.figures([_sample_figure(run_images, task, network, evaluation, index) for index in least])
    return section


def _sample_figure(
    run_images: RunImages, task: Task, network: nn.Module, evaluation: SplitEvaluation, index: int
) -> ImageFigure:
    """Show what is predicted for an image, what is true, and the Grad-CAM map of what its result is about."""
    batch: Batch = run_images.batch(evaluation.split, [evaluation.indices[index]])
    rgb, result = denormalise(batch.images, run_images.record.preprocessing)[0], evaluation.sample_results[index]
    drawn, caption = draw_prediction(task, network, batch.images, rgb), result.words
    ((_, truth),) = draw_ground_truth(task, batch.targets, [rgb])
    across = max(1, round(drawn.shape[1] / drawn.shape[0]))  # skeletons stand beside the image
    images = [scale_to(drawn, across * _SIDE_PX)]
    if truth.shape != drawn.shape or (truth != drawn).any():
        images.append(scale_to(truth, across * _SIDE_PX))
        caption = f"{'Above' if across > 1 else 'Left'} what was predicted, then what is true. {caption}"
    with preserve_state(network), torch.no_grad():  # targets go into gradients
        targets = {target.name: target for target in task.explaining.explain_targets(network(batch.images).float())}
    if (layers := feature_map_layers(network)) and (target := targets.get(result.about)):
        values = grad_cam(network, layers[-1], batch.images, target).cpu().numpy()
        images.append(scale_to(overlay(rgb, values), _SIDE_PX))
        caption += f". Last: {target.words}"
    name = Path(run_images.name(evaluation.split, evaluation.indices[index])).name
    grid = image_grid(images, columns=1 if across > 1 else 3)
    return image_figure(grid, f"{name}: {caption}.", description=name)
