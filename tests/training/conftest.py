"""A network of a few weights, and batches that it can learn."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from striate.batching.targets import Batch
from striate.tasks import create_task
from striate.tasks.vocabulary import Vocabulary
from striate.training.config import TrainConfig
from striate.training.precision import Precision
from striate.training.schedules import constant
from striate.training.step import StepContext


@pytest.fixture
def toy() -> Callable[..., nn.Module]:
    """Make a network from 3x2x2 images to two logits; the same one every time."""

    def make(*first: nn.Module) -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(*first, nn.Flatten(), nn.Linear(12, 2))

    return make


@pytest.fixture
def toy_batch() -> Callable[..., Batch]:
    """Make a batch whose classes tell whether the sum of an image is positive."""

    def make(seed: int = 0, *, images: int = 6, scale: float = 1.0) -> Batch:
        generator = torch.Generator().manual_seed(seed)
        pixels = torch.randn(images, 3, 2, 2, generator=generator) * scale
        return Batch(images=pixels, targets=(pixels.sum((1, 2, 3)) > 0).long())

    return make


@pytest.fixture
def context() -> Callable[..., StepContext]:
    """Make an context with some options, at a constant rate."""

    def make(lr: float = 0.1, *, task=None, distributed=None, schedule=None, **options) -> StepContext:
        chosen = {} if distributed is None else {"distributed": distributed}
        return StepContext(
            task=task or create_task("classify", Vocabulary(classes=("a", "b"))),
            config=TrainConfig(**options),
            lr=lr,
            schedule=schedule or constant(),
            precision=Precision(),
            **chosen,
        )

    return make
