"""How segmentation is learned: encoder and decoder, the loss and the weights of its classes, and its figures."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from striate import models
from striate.batching.targets import NO_LABEL, Targets, one_tensor
from striate.errors import DataError, ModelError
from striate.geometry import Shape
from striate.models.decoders import EncoderDecoder, common_stride
from striate.models.plan import Plan
from striate.models.sliding import strips_by_windows
from striate.tasks.baselines import log_shares
from striate.tasks.linear import as_layer, logistic_regression
from striate.tasks.segmentation.map_metrics import SegmentationMetrics
from striate.tasks.segmentation.spec import SegmentationSpec
from striate.tasks.spec import PredictOptions, Rows, TargetStatistics
from striate.tasks.training import ChosenImages, Features, Metrics, plan_with_outputs


class SegmentationTraining:
    """Scores of classes for every pixel; cross-entropy with a Dice loss; intersection over union."""

    def __init__(self, spec: SegmentationSpec) -> None:
        self.spec = spec
        self.options = spec.options

    def plan_network(self, model: str, shape: Shape, *, stem: models.Stem = "auto", line: str = "") -> Plan:
        """Work out the body of the line, for an encoder of images that have been reduced.

        Raises:
            ModelError: its maps do not grow with the image, or one unit of them stands for more than an image.
        """
        reduce = self.options.reduce
        reduced = shape[0], -(-shape[1] // reduce), -(-shape[2] // reduce)
        plan = plan_with_outputs(model, reduced, self.spec.outputs, stem, line)
        body = plan.backbone()
        for step in body.layers:
            if step.element.kind == "fitpool":
                raise ModelError(
                    model,
                    f"element {step.number} `{step.element}` makes one size of all, and a class for every pixel wants "
                    "maps that grow with the image",
                    "leave it out",
                )
        down, across = common_stride(body.feature_strides())
        _, height, width = plan.input
        if height < down or width < across:
            raise ModelError(
                model,
                f"makes one unit of {across}x{down} pixels, and what training cuts out of images reaches it with "
                f"{width}x{height}",
                "choose a larger --size or --crop, a smaller --reduce, or a model that keeps more of the resolution, "
                "such as resnet20",
            )
        return body

    def build(self, plan: Plan, model: str, seed: int) -> nn.Module:
        """Build the encoder of the line, and a decoder upon it."""
        encoder = models.build_network(plan, model, seed=seed)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed + 1)
            return EncoderDecoder(
                encoder,
                self.spec.outputs,
                way=self.options.decoder,
                skips=self.options.merge if self.options.skips else "none",
                reduce=self.options.reduce,
                least_px=plan.smallest_size(common_stride(plan.feature_strides())),
            )

    def fit_target_statistics(self, targets: Iterable[Targets], images: ChosenImages) -> TargetStatistics:
        """Count the pixels of each class, and all labelled pixels in the images that it is in.

        Raises:
            DataError: there is one class alone.
        """
        classes = self.spec.classes
        pixels = torch.zeros(len(classes), dtype=torch.int64)
        around = torch.zeros(len(classes), dtype=torch.int64)
        for batch in targets:
            for mask in one_tensor(batch).cpu():
                counts = torch.bincount(mask[mask != NO_LABEL], minlength=len(classes))
                pixels += counts
                around += counts.sum() * (counts > 0)
        shown = [name for name, count in zip(classes, pixels.tolist(), strict=True) if count]
        if len(shown) < 2:
            what = f"{shown[0]} alone" if shown else "no class"
            raise DataError("", f"the training masks show {what}", "label pixels of two classes or more")
        return TargetStatistics({"pixels": pixels.tolist(), "pixels_around": around.tolist()})

    @functools.cached_property
    def class_weights(self) -> Float[Tensor, " classes"] | None:
        """The weight of each class in the cross-entropy: 1 for the average pixel; None where all weigh the same.

        They are as 1 to a class's frequency, which is its share of the pixels of those images that show it: median
        frequency balancing (Eigen and Fergus 2015; Badrinarayanan et al. 2017, SegNet), whose median is a factor
        common to all classes, and goes where the average is made 1. `sqrt` takes the square roots, which trades less of
        the common classes for the rare ones. A class that no mask shows weighs 1.
        """
        known = self.spec.statistics.values
        if self.options.class_weights == "none" or not known:
            return None
        pixels = torch.tensor(known["pixels"], dtype=torch.float64)
        frequency = pixels / torch.tensor(known["pixels_around"]).clamp(min=1)
        weights = frequency.clamp(min=1e-12) ** (-1 if self.options.class_weights == "auto" else -0.5)
        weights = weights * pixels.sum() / (weights * pixels).sum()
        return torch.where(pixels > 0, weights, 1.0).float()

    def loss(
        self, outputs: Float[Tensor, "batch classes height width"], targets: Targets
    ) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
        """Return the summed loss of all labelled pixels, and their number.

        Each image's Dice loss, 1 minus the mean over the classes that it shows of 2 |A and B| / (|A| + |B|), with
        |A| the sum of probabilities (Milletari et al. 2016), counts for all its pixels: so the sum is the same
        however images are put into batches.
        """
        masks, weights = one_tensor(targets), self.class_weights
        loss = F.cross_entropy(
            outputs,
            masks,
            weight=None if weights is None else weights.to(outputs.device),
            ignore_index=NO_LABEL,
            reduction="sum",
            label_smoothing=self.options.label_smoothing,
        )
        labelled = masks != NO_LABEL
        if self.options.dice:
            loss = loss + self.options.dice * (labelled.sum((1, 2)) * (1 - dice(outputs, masks))).sum()
        return loss, labelled.sum()

    def metrics(self) -> Metrics:
        """Return metrics that have counted nothing yet."""
        return SegmentationMetrics(self.spec.classes)

    def baselines(self, images: Float[Tensor, "batch channels height width"]) -> dict[str, Float[Tensor, "batch ..."]]:
        """Return the logarithms of the classes' shares of the training pixels: the commonest class everywhere."""
        if not self.spec.statistics.values:
            return {}
        scores = log_shares(self.spec.statistics.values["pixels"]).to(images.device)[:, None, None]
        return {"most frequent class": scores.expand(len(images), -1, *images.shape[2:])}

    def fit_linear(self, features: Features) -> nn.Module:
        """Fit logistic regression of single positions, each of which is an image of one pixel."""
        classes = torch.cat([one_tensor(targets).flatten() for targets in features.targets]).cpu().numpy()
        layer = as_layer(logistic_regression(features.matrix(), classes, self.spec.outputs, features.groups))
        return nn.Sequential(layer, nn.Unflatten(1, (self.spec.outputs, 1, 1)))

    def forward(
        self,
        model: nn.Module,
        images: Float[Tensor, "batch channels height width"],
        options: PredictOptions,
        advance: Callable[[float], None],
    ) -> Iterable[np.ndarray | Rows]:
        """Yield for each image its scores; where it is predicted by windows, the rows of its probabilities."""
        for image in images[:, None]:
            if options.window_px is None:
                yield model(image)[0].float().cpu().numpy()
                advance(1)
            else:
                assert isinstance(model, EncoderDecoder)
                strips = strips_by_windows(model, image, options.window_px, model.unit, advance)
                yield (strip.cpu().numpy() for strip in strips)


def dice(
    outputs: Float[Tensor, "batch classes height width"], targets: Int[Tensor, "batch height width"]
) -> Float[Tensor, " batch"]:
    """Return each image's Dice coefficient, the mean over the classes that it shows; pixels without a label are out.

    1 where an image has no label at all.
    """
    labelled = (targets != NO_LABEL)[:, None]
    probabilities = outputs.softmax(1) * labelled
    index = torch.where(labelled, targets[:, None], 0)
    true = torch.zeros_like(probabilities).scatter_(1, index, labelled.to(probabilities.dtype))
    both = (probabilities * true).sum((2, 3))
    sizes = true.sum((2, 3))
    shown = sizes > 0
    coefficient = 2 * both / (probabilities.sum((2, 3)) + sizes).clamp(min=1e-6)
    mean: Tensor = torch.where(shown, coefficient, 0).sum(1) / shown.sum(1).clamp(min=1)
    return torch.where(shown.any(1), mean, 1.0)
