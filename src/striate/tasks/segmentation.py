"""Semantic segmentation: a class for every pixel."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from striate import models
from striate.batching.targets import NO_LABEL, Targets
from striate.errors import ConfigError, DataError, ModelError
from striate.images.resize import Fit
from striate.models.decoders import EncoderDecoder, Skips, Way, coarsest
from striate.models.effects import Shape
from striate.models.network import feature_strides
from striate.models.plan import Plan
from striate.models.sliding import likeliest_classes, strips_by_windows
from striate.tasks.base import (
    Chosen,
    ExplainTarget,
    Features,
    FineTuning,
    Metrics,
    Origin,
    Prediction,
    PredictOptions,
    SampleResult,
)
from striate.tasks.baselines import log_shares
from striate.tasks.linear import as_layer, logistic_regression
from striate.tasks.map_metrics import SegmentationMetrics
from striate.tasks.maps import ClassMap
from striate.tasks.vocabulary import Vocabulary

_PLACES = 16  # of a picture, down and across, that a linear model reads, or that calibration counts


class Segmentation:
    """Scores of classes for every pixel; cross-entropy with a Dice loss; intersection over union.

    Args:
        vocabulary: the classes, and the colours that they are drawn in.
        learned: `pixels` of every class in the training masks, and `pixels_around`, all with a label in the pictures
            that it is in; from `study`.
        decoder: how feature maps come back to the images' resolution (`models.decoders`).
        skips: whether that uses the encoder's finer maps.
        merge: how.
        reduce: by how much images are made smaller within the network.
        dice: weight of the Dice loss beside the cross-entropy.
        class_weights: `auto` weighs rare classes more: median frequency balancing (Eigen and Fergus 2015); `sqrt`
            takes the square roots of these weights, which trades less of the common classes for the rare ones.
        label_smoothing: share of every target that the cross-entropy spreads over all classes.
    """

    batch_size = 8
    optimiser: Literal["sgd", "adamw"] = "sgd"
    fine_tuning = FineTuning("sgd", 1.0, "none")
    keeps_aspect = True
    fits: tuple[Fit, ...] = ("crop", "pad", "stretch")
    crop_px = 256
    draws = True
    table = "areas.csv"
    headline = "mean_iou"
    per = "per_class"

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        target_statistics: dict[str, Any] | None = None,
        decoder: Way = "upsample",
        skips: bool = True,
        merge: Literal["concat", "sum"] = "concat",
        reduce: int = 1,
        dice: float = 0.0,
        class_weights: Literal["none", "auto", "sqrt"] = "sqrt",
        label_smoothing: float = 0.0,
    ) -> None:
        self.classes = vocabulary.classes
        self.colours = vocabulary.drawn_in
        self.outputs = len(self.classes)
        self.target_statistics = target_statistics or {}
        self.tensors: dict[str, Tensor] = {}
        self.decoder: Way = decoder
        self.skips: Skips = merge if skips else "none"
        self.reduce = reduce
        self.dice = dice
        self.class_weights = class_weights
        self.label_smoothing = label_smoothing

    def backbone_input(self, shape: Shape) -> Shape:
        """Return the shape of images that have been reduced."""
        return shape[0], -(-shape[1] // self.reduce), -(-shape[2] // self.reduce)

    def trim_plan(self, plan: Plan, model: str) -> Plan:
        """Take the body, for an encoder; raises ModelError where a unit of it stands for more than an image."""
        body = plan.trunk()
        for step in body.steps:
            if step.element.kind == "fitpool":
                raise ModelError(
                    f"{model}: element {step.place} `{step.element}` makes one size of all, and a class for every "
                    "pixel wants maps that grow with the image; leave it out."
                )
        down, across = coarsest(feature_strides(body))
        _, height, width = plan.input
        if height < down or width < across:
            raise ModelError(
                f"{model} makes one unit of {across}x{down} pixels, and what training cuts out of images reaches it "
                f"with {width}x{height}; choose a larger --size or --crop, a smaller --reduce, or a model that keeps "
                "more of the resolution, such as resnet20."
            )
        return body

    def build(self, plan: Plan, model: str, seed: int) -> nn.Module:
        """Build the encoder of the line, and a decoder upon it."""
        encoder = models.build(plan, model, seed=seed)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed + 1)
            return EncoderDecoder(
                encoder,
                self.outputs,
                way=self.decoder,
                skips=self.skips,
                reduce=self.reduce,
                least_px=plan.smallest(coarsest(feature_strides(plan))),
            )

    def fit_target_statistics(self, targets: Iterable[Targets], images: Chosen) -> None:
        """Count the pixels of each class, and all pixels with a label in the pictures that it is in.

        Raises:
            DataError: there is one class alone.
        """
        pixels = torch.zeros(self.outputs, dtype=torch.int64)
        around = torch.zeros(self.outputs, dtype=torch.int64)
        for batch in targets:
            assert isinstance(batch, Tensor)
            for mask in batch.cpu():
                found = torch.bincount(mask[mask != NO_LABEL], minlength=self.outputs)
                pixels += found
                around += found.sum() * (found > 0)
        shown = [name for name, count in zip(self.classes, pixels.tolist(), strict=True) if count]
        if len(shown) < 2:
            what = f"{shown[0]} alone" if shown else "no class"
            raise DataError(f"the training masks show {what}; label pixels of two classes or more.")
        self.target_statistics = {"pixels": pixels.tolist(), "pixels_around": around.tolist()}
        self.__dict__.pop("weights", None)

    @functools.cached_property
    def weights(self) -> Float[Tensor, " classes"] | None:
        """What a pixel of each class counts in the cross-entropy: 1 on average; None where all count alike.

        They are as 1 to a class's frequency, which is its share of the pixels of those pictures that show it: median
        frequency balancing (Eigen and Fergus 2015; Badrinarayanan et al. 2017, SegNet), whose median is a factor
        common to all classes, and goes where the average is made 1. A class that no mask shows counts 1.
        """
        if self.class_weights == "none" or not self.target_statistics:
            return None
        pixels = torch.tensor(self.target_statistics["pixels"], dtype=torch.float64)
        frequency = pixels / torch.tensor(self.target_statistics["pixels_around"]).clamp(min=1)
        weights = frequency.clamp(min=1e-12) ** (-1 if self.class_weights == "auto" else -0.5)
        weights = weights * pixels.sum() / (weights * pixels).sum()
        return torch.where(pixels > 0, weights, 1.0).float()

    def loss(
        self, outputs: Float[Tensor, "batch classes height width"], targets: Targets
    ) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
        """Return the summed loss of all pixels with a label, and how many these are.

        Each picture's Dice loss, 1 minus the mean over the classes that it shows of 2 |A and B| / (|A| + |B|), with
        |A| the sum of probabilities (Milletari et al. 2016), counts for all its pixels: so the sum is the same
        however pictures are put into batches.
        """
        assert isinstance(targets, Tensor)
        loss = F.cross_entropy(
            outputs,
            targets,
            weight=None if self.weights is None else self.weights.to(outputs.device),
            ignore_index=NO_LABEL,
            reduction="sum",
            label_smoothing=self.label_smoothing,
        )
        labelled = targets != NO_LABEL
        if self.dice:
            loss = loss + self.dice * (labelled.sum((1, 2)) * (1 - dice(outputs, targets))).sum()
        return loss, labelled.sum()

    def read(self, found: Float[Tensor, "batch channels ..."], targets: Targets) -> tuple[Tensor, Tensor]:
        """Return what maps hold at some places with a label, evenly spread over each picture, and these labels."""
        assert isinstance(targets, Tensor)
        maps = found if found.ndim == 4 else found[:, :, None, None]
        _, height, width = targets.shape
        down, across = (_middles(min(side, _PLACES), side, maps.device) for side in maps.shape[2:])
        rows = _middles(len(down), height, targets.device)
        columns = _middles(len(across), width, targets.device)
        labels = targets[:, rows][:, :, columns].flatten()
        values = maps[:, :, down][:, :, :, across].flatten(2).transpose(1, 2).flatten(0, 1)
        kept = labels != NO_LABEL
        return values[kept], labels[kept][:, None, None]

    def fit_linear(self, features: Features) -> nn.Linear:
        """Fit logistic regression of single places."""
        classes = torch.cat([targets.flatten() for targets in features.targets if isinstance(targets, Tensor)])
        return as_layer(logistic_regression(features.matrix(), classes.cpu().numpy(), self.outputs, features.groups))

    def explain_targets(self, outputs: Float[Tensor, "1 classes height width"]) -> list[ExplainTarget]:
        """Ask for each class, that with the largest area first: its mean score where it is seen, or else everywhere."""
        probabilities, called = outputs[0].softmax(0), outputs[0].argmax(0)
        areas = torch.bincount(called.flatten(), minlength=self.outputs)

        def ask(index: int) -> ExplainTarget:
            name = self.classes[index]
            where = called == index if areas[index] else torch.ones_like(called, dtype=torch.bool)
            return ExplainTarget(
                name=name,
                words=f"what speaks for {name}{' where it is seen' if areas[index] else ', though it is not seen'}",
                value=lambda scores: scores[0, index][where].mean(),
                probability=float(probabilities[index][where].mean()),
            )

        return [ask(int(index)) for index in areas.argsort(descending=True, stable=True)]

    def sample_results(
        self, outputs: Float[Tensor, "batch classes height width"], targets: Targets
    ) -> list[SampleResult]:
        """Say how many of each picture's pixels are right, and which class was missed most."""
        assert isinstance(targets, Tensor)
        probabilities, called = outputs.softmax(1).max(1)
        found = []
        for one_probability, one_called, one in zip(probabilities, called, targets, strict=True):
            labelled = one != NO_LABEL
            wrong = labelled & (one_called != one)
            share = float(wrong.sum()) / max(1, int(labelled.sum()))
            words, about = f"{1 - share:.0%} of the pixels are right", int(torch.mode(one_called.flatten()).values)
            if wrong.any():
                pair = torch.mode(one[wrong] * self.outputs + one_called[wrong]).values
                true, about = divmod(int(pair), self.outputs)
                words += f"; most often {self.classes[true]} was called {self.classes[about]}"
            if not labelled.any():
                words = "no pixel has a label"
            confidence = float(one_probability[labelled].mean()) if labelled.any() else None
            name = self.classes[about]
            found.append(
                SampleResult(error=share, wrong=bool(wrong.any()), confidence=confidence, words=words, about=name)
            )
        return found

    def ground_truth(self, targets: Targets, times: int = 1) -> list[Prediction]:
        """Return the masks; pixels without a label are left out."""
        assert isinstance(targets, Tensor)
        masks = targets.repeat_interleave(times, 1).repeat_interleave(times, 2).to(torch.uint8).cpu().numpy()
        return [ClassMap(mask, self.classes, self.colours) for mask in masks]

    def answers(self, outputs: Float[Tensor, "batch classes height width"], targets: Targets) -> tuple[Tensor, Tensor]:
        """Return scores and classes of some pixels, evenly spread over each picture."""
        scores, classes = self.read(outputs, targets)
        return scores, classes.flatten()

    def baselines(self, images: Float[Tensor, "batch channels height width"]) -> dict[str, Float[Tensor, "batch ..."]]:
        """Return the logarithms of the classes' shares of the training pixels: their commonest class everywhere."""
        if not self.target_statistics:
            return {}
        scores = log_shares(self.target_statistics["pixels"]).to(images.device)[:, None, None]
        return {"most frequent class": scores.expand(len(images), -1, *images.shape[2:])}

    def metrics(self) -> Metrics:
        """Return fresh sums."""
        return SegmentationMetrics(self.classes)

    def score(self, figures: dict[str, Any]) -> tuple[float, ...]:
        """Rank by mean intersection over union; of two that are equal, by loss."""
        return figures["mean_iou"], -figures["loss"]

    def brief(self, figures: dict[str, Any]) -> str:
        """Say the mean intersection over union."""
        return f"mean IoU {figures['mean_iou']:.1%}"

    def describe(self, figures: dict[str, Any]) -> str:
        """Say all figures."""
        return (
            f"mean IoU {figures['mean_iou']:.1%}, pixel accuracy {figures['pixel_accuracy']:.1%}, class accuracy "
            f"{figures['class_accuracy']:.1%}, boundary F1 {figures['boundary_f1']:.1%}, loss {figures['loss']:.3f}"
        )

    def check(self, options: PredictOptions) -> None:
        """Raise ConfigError where alternatives are asked for."""
        if options.top is not None:
            raise ConfigError(f"top (={options.top}) is for networks that classify; leave it out.")

    def input_px(
        self, trained_px: tuple[int, int], scale: float, picture_px: tuple[int, int], options: PredictOptions
    ) -> tuple[int, int]:
        """Return a size of the picture's own shape: as many pixels as in training, or for windows the same scale."""
        share = scale if options.tile else math.sqrt(math.prod(trained_px) / math.prod(picture_px))
        return max(1, round(picture_px[0] * share)), max(1, round(picture_px[1] * share))

    def predict(
        self,
        model: nn.Module,
        images: Tensor,
        origins: Iterable[Origin],
        options: PredictOptions,
        advance: Callable[[float], None],
    ) -> list[Prediction]:
        """Return for each image the likeliest class of every pixel of its picture."""
        assert isinstance(model, EncoderDecoder)
        found: list[Prediction] = []
        window = options.window_px or (images.shape[2], images.shape[3])
        for place, origin in enumerate(origins):
            strips = strips_by_windows(model, images[place : place + 1], window, model.unit, advance)
            called = likeliest_classes(strips, images.shape[2], origin.size_px)
            found.append(ClassMap(called.numpy(), self.classes, self.colours))
        return found


def _middles(count: int, side: int, device: torch.device) -> Int[Tensor, " count"]:
    """Return which pixels lie in the middle of the equal parts of a side."""
    return ((torch.arange(count, device=device) + 0.5) * side / count).long()


def dice(
    outputs: Float[Tensor, "batch classes height width"], targets: Int[Tensor, "batch height width"]
) -> Float[Tensor, " batch"]:
    """Return each picture's Dice coefficient, the mean over the classes that it shows; pixels without a label are out.

    1 where a picture has no label at all.
    """
    labelled = (targets != NO_LABEL)[:, None]
    probabilities = outputs.softmax(1) * labelled
    index = torch.where(labelled, targets[:, None], 0)
    true = torch.zeros_like(probabilities).scatter_(1, index, labelled.to(probabilities.dtype))
    both = (probabilities * true).sum((2, 3))
    sizes = true.sum((2, 3))
    shown = sizes > 0
    coefficient = 2 * both / (probabilities.sum((2, 3)) + sizes).clamp(min=1e-6)
    found: Tensor = torch.where(shown, coefficient, 0).sum(1) / shown.sum(1).clamp(min=1)
    return torch.where(shown.any(1), found, 1.0)
