"""Published networks as if they were runs."""

from __future__ import annotations

from striate import models
from striate.images.preprocessing import Preprocessing
from striate.models.pretrained import weights
from striate.models.pretrained.published import imagenet_classes
from striate.runs.record import RunRecord
from striate.training.config import TrainConfig


def published_record(model: str) -> RunRecord:
    """Return the record that a run of published weights would have; raises ModelError where there are none."""
    architecture = models.find_architecture(model)
    published = weights.require_published(model, architecture)
    channels, height_px, width_px = architecture.input
    return RunRecord(
        task="classify",
        model=model,
        line=architecture.line,
        classes=imagenet_classes(),
        preprocessing=Preprocessing(
            height_px=height_px,
            width_px=width_px,
            channels=channels,
            fit="crop",
            mean=published.mean,
            std=published.std,
            interpolation=published.interpolation,
        ),
        augment="none",
        config=TrainConfig(model=model),
        data={"location": "ImageNet"},
        environment={},
        status="complete",
        best_epoch=1,
    )
