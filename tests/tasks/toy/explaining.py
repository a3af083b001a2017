"""What can be asked about a number."""

from __future__ import annotations

from tests.tasks.toy.spec import CountPrediction, DotsSpec
from torch import Tensor

from striate.batching.targets import Targets, one_tensor
from striate.tasks.explaining import ExplainTarget, SampleResult
from striate.tasks.spec import Prediction


class DotsExplaining:
    def __init__(self, spec: DotsSpec) -> None:
        self.spec = spec

    def explain_targets(self, outputs: Tensor) -> list[ExplainTarget]:
        return [ExplainTarget(name="dots", words="what makes the number larger", value=lambda numbers: numbers[0, 0])]

    def sample_results(self, outputs: Tensor, targets: Targets) -> list[SampleResult]:
        pairs = zip(self.spec.number(outputs).tolist(), one_tensor(targets).tolist(), strict=True)
        return [
            SampleResult(
                error=abs(number - dots),
                wrong=abs(number - dots) >= 0.5,
                confidence=None,
                words=f"counted {number:.1f}, there are {dots:.0f}",
                about="dots",
            )
            for number, dots in pairs
        ]

    def ground_truth(self, targets: Targets, times: int | float = 1) -> list[Prediction]:
        return [CountPrediction(dots) for dots in one_tensor(targets).tolist()]

    def calibration_inputs(self, outputs: Tensor, targets: Targets) -> None:
        """Return None: a number comes without a probability."""

    def probe_features(self, outputs: Tensor, targets: Targets) -> tuple[Tensor, Targets]:
        return outputs.flatten(2).mean(2) if outputs.ndim > 2 else outputs, targets
