"""AlexNet: Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014.

The one-column version of Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional
neural networks", 2012, without local response normalisation: torchvision's, under its parameter names.
"""

from __future__ import annotations

from striate.models.architecture import Architecture
from striate.models.pretrained.published import PublishedWeights, Web

ALEXNET = Architecture(
    line=(
        "conv 64@11x11 stride=4 pad=2 | relu | maxpool 3 stride=2 | conv 192@5x5 pad=2 | relu | maxpool 3 stride=2 | "
        "conv 384@3x3 pad=1 | relu | (conv 256@3x3 pad=1 | relu) x2 | maxpool 3 stride=2 | "
        "fitpool 6 | flatten | dropout 0.5 | fc 4096 | relu | dropout 0.5 | fc 4096 | relu | fc classes"
    ),
    source="Krizhevsky 2014",
    published=PublishedWeights(  # torchvision's AlexNet_Weights.IMAGENET1K_V1; timm has none
        origin=Web(
            url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
            sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
            size_bytes=244_408_911,
        ),
        top1=0.5652,
    ),
)
