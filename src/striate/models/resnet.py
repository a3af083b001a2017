"""Residual networks: He, Zhang, Ren, Sun, "Deep residual learning for image recognition", 2015.

Two families, each under the parameter names of its published weights: those for photographs
(section 4.1, table 1: torchvision's names) and the small ones for CIFAR's 32x32 images (section 4.2:
the names of akamaster/pytorch_resnet_cifar10).
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Shortcut = Callable[[int, int, int], nn.Module]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, each with batch norm, added to the block's input: the left of figure 5."""

    def __init__(self, channels_in: int, channels: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        same_shape = stride == 1 and channels_in == channels
        self.downsample = nn.Identity() if same_shape else shortcut(channels_in, channels, stride)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Tensor:
        """Return relu(F(x) + shortcut(x))."""
        residual = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(residual + self.downsample(x))


class PadShortcut(nn.Module):
    """Option A of the paper: every `stride`-th pixel, and zeros for the channels that are new. No parameters."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        new = channels - channels_in
        self.new_channels = (new // 2, new - new // 2)  # before and after, as the published weights expect

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Tensor:
        """Subsample the image and pad its channels."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, *self.new_channels))


def projection(channels_in: int, channels: int, stride: int) -> nn.Module:
    """Build option B of the paper: a 1x1 convolution with batch norm."""
    return nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))


def stage(channels_in: int, channels: int, blocks: int, stride: int, shortcut: Shortcut) -> nn.Sequential:
    """Build blocks of one width, of which the first one has the stride."""
    return nn.Sequential(
        *(
            BasicBlock(channels if block else channels_in, channels, 1 if block else stride, shortcut)
            for block in range(blocks)
        )
    )


class ResNet(nn.Module):
    """The family for photographs: a 7x7 stem with stride 2, max pooling, four stages."""

    def __init__(self, *, blocks: tuple[int, int, int, int], classes: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = stage(64, 64, blocks[0], 1, projection)
        self.layer2 = stage(64, 128, blocks[1], 2, projection)
        self.layer3 = stage(128, 256, blocks[2], 2, projection)
        self.layer4 = stage(256, 512, blocks[3], 2, projection)
        self.fc = nn.Linear(512, classes)
        draw_weights(self)

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch classes"]:
        """Map images to logits."""
        x = F.relu(self.bn1(self.conv1(images)))  # 1/2 of the input's resolution
        x = F.max_pool2d(x, kernel_size=3, stride=2, padding=1)  # 1/4
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))  # 1/32
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


class CifarResNet(nn.Module):
    """The family for 32x32 images: a 3x3 stem, three stages of 16, 32 and 64 channels; 6n+2 layers."""

    def __init__(self, *, blocks: int, classes: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = stage(16, 16, blocks, 1, PadShortcut)
        self.layer2 = stage(16, 32, blocks, 2, PadShortcut)
        self.layer3 = stage(32, 64, blocks, 2, PadShortcut)
        self.linear = nn.Linear(64, classes)
        draw_weights(self)

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch classes"]:
        """Map images to logits."""
        x = F.relu(self.bn1(self.conv1(images)))
        x = self.layer3(self.layer2(self.layer1(x)))  # 1/4 of the input's resolution
        logits: Tensor = self.linear(x.mean((2, 3)))
        return logits


def draw_weights(model: nn.Module) -> None:
    """Draw the convolutions' weights: normal, variance 2 / (output channels · kernel area).

    He, Zhang, Ren, Sun, "Delving deep into rectifiers", 2015, equation 14.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def resnet18(*, classes: int, channels: int, size_px: int) -> nn.Module:
    """Build ResNet-18 (table 1); its weights are the same for every image size."""
    return ResNet(blocks=(2, 2, 2, 2), classes=classes, channels=channels)


def resnet20(*, classes: int, channels: int, size_px: int) -> nn.Module:
    """Build ResNet-20 for CIFAR (section 4.2, n = 3), with parameter-free shortcuts, for any image size."""
    return CifarResNet(blocks=3, classes=classes, channels=channels)
