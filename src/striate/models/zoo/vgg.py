"""VGG: Simonyan, Zisserman, "Very deep convolutional networks for large-scale image recognition", 2014, table 1.

Configurations A, B, D and E, without and with batch norm, under torchvision's parameter names.
"""

from __future__ import annotations

from striate.models.architecture import Architecture
from striate.models.pretrained.published import Hub, PublishedWeights

# timm has the head as convolutions, under names of its own
_TIMM = {"pre_logits.fc1": "classifier.0", "pre_logits.fc2": "classifier.3", "head.fc": "classifier.6"}


def _vgg(repeats: tuple[int, int, int, int, int], top1: float, *, norm: str = "") -> Architecture:
    """Write five stages of so many 3x3 convolutions each, with pooling behind each stage."""
    stages = [
        f"(conv {channels}@3x3 pad=1{norm} | relu) x{times} | maxpool 2"
        for channels, times in zip((64, 128, 256, 512, 512), repeats, strict=True)
    ]
    head = "fitpool 7 | flatten | (fc 4096 | relu | dropout 0.5) x2 | fc classes"
    name = f"vgg{sum(repeats) + 3}{'_bn' if norm else ''}"
    return Architecture(
        line=" | ".join([*stages, head]),
        source="Simonyan and Zisserman 2014",
        published=PublishedWeights(origin=Hub(f"timm/{name}.tv_in1k"), top1=top1, names=_TIMM),
    )


VGG11 = _vgg((1, 1, 2, 2, 2), 0.6902)
VGG13 = _vgg((2, 2, 2, 2, 2), 0.6993)
VGG16 = _vgg((2, 2, 3, 3, 3), 0.7159)
VGG19 = _vgg((2, 2, 4, 4, 4), 0.7238)
VGG11_BN = _vgg((1, 1, 2, 2, 2), 0.7037, norm=" | bn")
VGG13_BN = _vgg((2, 2, 2, 2, 2), 0.7159, norm=" | bn")
VGG16_BN = _vgg((2, 2, 3, 3, 3), 0.7336, norm=" | bn")
VGG19_BN = _vgg((2, 2, 4, 4, 4), 0.7422, norm=" | bn")
