"""VGG: Simonyan, Zisserman, "Very deep convolutional networks for large-scale image recognition", 2014, table 1.

Configurations A, B, D and E, without and with batch norm, under torchvision's parameter names.
"""

from __future__ import annotations

from striate.models.architecture import Architecture


def _vgg(repeats: tuple[int, int, int, int, int], *, norm: str = "") -> Architecture:
    """Write five stages of so many 3x3 convolutions each, with pooling behind each stage."""
    stages = [
        f"(conv {channels}@3x3 pad=1{norm} | relu) x{times} | maxpool 2"
        for channels, times in zip((64, 128, 256, 512, 512), repeats, strict=True)
    ]
    head = "fitpool 7 | flatten | (fc 4096 | relu | dropout 0.5) x2 | fc classes"
    return Architecture(line=" | ".join([*stages, head]), source="Simonyan and Zisserman 2014")


VGG11 = _vgg((1, 1, 2, 2, 2))
VGG13 = _vgg((2, 2, 2, 2, 2))
VGG16 = _vgg((2, 2, 3, 3, 3))
VGG19 = _vgg((2, 2, 4, 4, 4))
VGG11_BN = _vgg((1, 1, 2, 2, 2), norm=" | bn")
VGG13_BN = _vgg((2, 2, 2, 2, 2), norm=" | bn")
VGG16_BN = _vgg((2, 2, 3, 3, 3), norm=" | bn")
VGG19_BN = _vgg((2, 2, 4, 4, 4), norm=" | bn")
