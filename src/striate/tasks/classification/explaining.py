"""What can be asked about the outputs of classification, and how right they are."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from striate.batching.targets import Targets, one_tensor
from striate.tasks.classification.spec import ClassificationSpec, ClassMixture, ClassPrediction
from striate.tasks.explaining import ExplainTarget, SampleResult
from striate.tasks.spec import Prediction

_LEAST_SHARE = 0.005  # of a mixed image, that its truth names


class ClassificationExplaining:
    """Logits of classes, followed back; each image's class beside the true one."""

    def __init__(self, spec: ClassificationSpec) -> None:
        self.classes = spec.classes

    def explain_targets(self, outputs: Float[Tensor, "1 classes"]) -> list[ExplainTarget]:
        """Return the logit of each class, the likeliest first."""
        probabilities = outputs[0].double().softmax(0).tolist()

        def target(index: int) -> ExplainTarget:
            name = self.classes[index]
            return ExplainTarget(
                name=name,
                words=f"what speaks for {name}",
                value=lambda logits: logits[0, index],
                probability=probabilities[index],
            )

        return [target(int(index)) for index in outputs[0].argsort(descending=True)]

    def sample_results(self, outputs: Float[Tensor, "batch classes"], targets: Targets) -> list[SampleResult]:
        """Return what each image was called, how surely, and what it is; the error is its cross-entropy."""
        classes = one_tensor(targets)
        losses = F.cross_entropy(outputs.double(), classes, reduction="none")
        confidence, called = outputs.double().softmax(1).max(1)
        return [
            SampleResult(
                error=loss,
                wrong=predicted != true,
                confidence=probability,
                words=f"called {self.classes[predicted]} ({probability:.0%} sure), is {self.classes[true]}",
                about=self.classes[predicted],
            )
            for loss, probability, predicted, true in zip(
                losses.tolist(), confidence.tolist(), called.tolist(), classes.tolist(), strict=True
            )
        ]

    def ground_truth(self, targets: Targets, times: int | float = 1) -> list[Prediction]:
        """Return the classes; of mixed images the two with the largest shares."""
        known = one_tensor(targets)
        if known.ndim == 1:
            return [ClassPrediction([(self.classes[index], 1.0)]) for index in known.tolist()]
        shares, indices = known.topk(min(2, len(self.classes)))
        return [
            ClassMixture(
                [(self.classes[at], share) for share, at in zip(*sample, strict=True) if share >= _LEAST_SHARE]
            )
            for sample in zip(shares.tolist(), indices.tolist(), strict=True)
        ]

    def calibration_inputs(self, outputs: Float[Tensor, "batch classes"], targets: Targets) -> tuple[Tensor, Tensor]:
        """Return logits and classes as they are."""
        return outputs, one_tensor(targets)

    def probe_features(self, outputs: Float[Tensor, "batch channels ..."], targets: Targets) -> tuple[Tensor, Targets]:
        """Return the mean over all positions of each image."""
        return outputs.flatten(2).mean(2) if outputs.ndim > 2 else outputs, targets
