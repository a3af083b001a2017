"""What can be asked about the outputs of segmentation, and how right they are."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from striate.batching.targets import NO_LABEL, Targets, one_tensor
from striate.tasks.explaining import ExplainTarget, SampleResult
from striate.tasks.segmentation.class_map import ClassMap
from striate.tasks.segmentation.spec import SegmentationSpec
from striate.tasks.spec import Prediction

_POSITIONS = 16  # of an image, down and across, that a linear model reads, or that calibration counts


class SegmentationExplaining:
    """Mean scores of classes, followed back; each image's pixels beside the true ones."""

    def __init__(self, spec: SegmentationSpec) -> None:
        self.spec = spec
        self.classes = spec.classes

    def explain_targets(self, outputs: Float[Tensor, "1 classes height width"]) -> list[ExplainTarget]:
        """Return the mean score of each class where it is predicted, or else everywhere, the largest area first."""
        probabilities, called = outputs[0].softmax(0), outputs[0].argmax(0)
        areas = torch.bincount(called.flatten(), minlength=len(self.classes))

        def target(index: int) -> ExplainTarget:
            name = self.classes[index]
            where = called == index if areas[index] else torch.ones_like(called, dtype=torch.bool)
            return ExplainTarget(
                name=name,
                words=f"what speaks for {name}{' where it is seen' if areas[index] else ', though it is not seen'}",
                value=lambda scores: scores[0, index][where].mean(),
                probability=float(probabilities[index][where].mean()),
            )

        return [target(int(index)) for index in areas.argsort(descending=True, stable=True)]

    def sample_results(
        self, outputs: Float[Tensor, "batch classes height width"], targets: Targets
    ) -> list[SampleResult]:
        """Return the share of each image's pixels that is right, and which class was missed most."""
        probabilities, called = outputs.softmax(1).max(1)
        return [self._result(*sample) for sample in zip(probabilities, called, one_tensor(targets), strict=True)]

    def _result(
        self,
        probability: Float[Tensor, "height width"],
        called: Int[Tensor, "height width"],
        true: Int[Tensor, "height width"],
    ) -> SampleResult:
        labelled = true != NO_LABEL
        wrong = labelled & (called != true)
        share = float(wrong.sum()) / max(1, int(labelled.sum()))
        words, about = f"{1 - share:.0%} of the pixels are right", int(torch.mode(called.flatten()).values)
        if wrong.any():
            pair = torch.mode(true[wrong] * len(self.classes) + called[wrong]).values
            missed, about = divmod(int(pair), len(self.classes))
            words += f"; most often {self.classes[missed]} was called {self.classes[about]}"
        if not labelled.any():
            words = "no pixel has a label"
        confidence = float(probability[labelled].mean()) if labelled.any() else None
        return SampleResult(
            error=share, wrong=bool(wrong.any()), confidence=confidence, words=words, about=self.classes[about]
        )

    def ground_truth(self, targets: Targets, times: int | float = 1) -> list[Prediction]:
        """Return the masks; pixels without a label are left out."""
        masks = one_tensor(targets).to(torch.uint8).cpu().numpy()
        height, width = (round(times * side) for side in masks.shape[1:])
        return [
            ClassMap(
                np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST)),
                self.classes,
                self.spec.colours,
            )
            for mask in masks
        ]

    def calibration_inputs(
        self, outputs: Float[Tensor, "batch classes height width"], targets: Targets
    ) -> tuple[Tensor, Tensor]:
        """Return scores and classes of some pixels, evenly spread over each image."""
        scores, classes = self.probe_features(outputs, targets)
        return scores, one_tensor(classes).flatten()

    def probe_features(self, outputs: Float[Tensor, "batch channels ..."], targets: Targets) -> tuple[Tensor, Targets]:
        """Return what maps hold at some labelled positions, evenly spread over each image, and these labels."""
        masks = one_tensor(targets)
        maps = outputs if outputs.ndim == 4 else outputs[:, :, None, None]
        _, height, width = masks.shape
        down, across = (_middles(min(side, _POSITIONS), side, maps.device) for side in maps.shape[2:])
        rows = _middles(len(down), height, masks.device)
        columns = _middles(len(across), width, masks.device)
        labels = masks[:, rows][:, :, columns].flatten()
        values = maps[:, :, down][:, :, :, across].flatten(2).transpose(1, 2).flatten(0, 1)
        kept = labels != NO_LABEL
        return values[kept], labels[kept][:, None, None]


def _middles(count: int, side: int, device: torch.device) -> Int[Tensor, " count"]:
    """Return which pixels lie in the middle of the equal parts of a side."""
    return ((torch.arange(count, device=device) + 0.5) * side / count).long()
