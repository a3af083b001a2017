"""Residual networks: He, Zhang, Ren, Sun, "Deep residual learning for image recognition", 2015.

Two families, each under the parameter names of its published weights: those for photographs
(section 4.1, table 1: torchvision's names) and the small ones for CIFAR's 32x32 images (section 4.2:
the names of akamaster/pytorch_resnet_cifar10), whose shortcuts have no parameters.
"""

from __future__ import annotations

from striate.models.architecture import Architecture
from striate.models.pretrained.published import Hub, PublishedWeights

_LARGE_STEM = "conv 64@7x7 stride=2 pad=3 bias=no | bn | relu | maxpool 3 stride=2 pad=1"
_SMALL_STEM = "conv 64@3x3 pad=1 bias=no | bn | relu"  # keeps the resolution, as the CIFAR family's does


def _resnet(block: str, depths: tuple[int, int, int, int], top1: float) -> Architecture:
    """Write the family for photographs: so many blocks in each of four stages."""
    body = " | ".join(_stage(f"{block} {64 * 2**stage}", depth, stage) for stage, depth in enumerate(depths))
    return Architecture(
        line=f"{_LARGE_STEM} | {body} | gap | fc classes",
        small=f"{_SMALL_STEM} | {body} | gap | fc classes",
        names=("conv1", "bn1", *_block_names(depths), "fc"),
        source="He et al. 2015",
        # torchvision's first weights: later recipes have more accurate classifiers, whose features serve other tasks
        # less well (Kornblith et al. 2021, "Why do better loss functions lead to less transferable features?")
        published=PublishedWeights(origin=Hub(f"timm/resnet{_layers(block, depths)}.tv_in1k"), top1=top1),
    )


def _layers(block: str, depths: tuple[int, ...]) -> int:
    """Count the layers with weights, as the names do: those of the blocks, the first and the last."""
    return (3 if block == "bottleneck" else 2) * sum(depths) + 2


def _cifar(depth: int) -> Architecture:
    """Write the family for 32x32 images: three stages of n blocks; 6n + 2 layers."""
    blocks = [f"res {channels}" for channels in (16, 32, 64)]
    body = " | ".join(_stage(block, depth, stage, " shortcut=pad") for stage, block in enumerate(blocks))
    return Architecture(
        line=f"conv 16@3x3 pad=1 bias=no | bn | relu | {body} | gap | fc classes",
        names=("conv1", "bn1", *_block_names((depth,) * 3), "linear"),
        input=(3, 32, 32),
        classes=10,
        source="He et al. 2015, section 4.2",
    )


def _stage(block: str, depth: int, stage: int, shortcut: str = "") -> str:
    """Write blocks of one width; but for the first stage, the first of them halves the resolution."""
    if not stage:
        return f"({block}) x{depth}"
    return f"{block} stride=2{shortcut} | ({block}) x{depth - 1}"


def _block_names(depths: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(f"layer{stage}.{block}" for stage, depth in enumerate(depths, start=1) for block in range(depth))


RESNET18 = _resnet("res", (2, 2, 2, 2), 0.6976)
RESNET34 = _resnet("res", (3, 4, 6, 3), 0.7331)
RESNET50 = _resnet("bottleneck", (3, 4, 6, 3), 0.7613)
RESNET101 = _resnet("bottleneck", (3, 4, 23, 3), 0.7737)
RESNET152 = _resnet("bottleneck", (3, 8, 36, 3), 0.7831)
RESNET20 = _cifar(3)
RESNET32 = _cifar(5)
RESNET44 = _cifar(7)
RESNET56 = _cifar(9)
