"""LeNet-5: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", 1998.

As the field has drawn it since: tanh, average pooling, every feature map of the second convolution
connected to all of the first (the paper left some connections out). On the paper's 32x32 images it
has 61,706 parameters.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class LeNet5(nn.Module):
    """conv 6@5x5, pool, conv 16@5x5, pool, then three fully connected layers of 120, 84 and `classes`.

    Weights are drawn after Glorot and Bengio (2010), with the gain of tanh.
    """

    def __init__(self, *, classes: int, channels: int, size_px: int) -> None:
        super().__init__()
        last_px = ((size_px - 4) // 2 - 4) // 2
        self.conv1 = nn.Conv2d(channels, 6, kernel_size=5)
        self.conv2 = nn.Conv2d(6, 16, kernel_size=5)
        self.fc1 = nn.Linear(16 * last_px * last_px, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)
        self.pool = nn.AvgPool2d(2)
        for layer in (self.conv1, self.conv2, self.fc1, self.fc2, self.fc3):
            nn.init.xavier_uniform_(layer.weight, gain=nn.init.calculate_gain("tanh"))
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch classes"]:
        """Map images to logits."""
        x = self.pool(self.conv1(images).tanh())  # [batch, 6, 14, 14] for 32x32 images
        x = self.pool(self.conv2(x).tanh())  # [batch, 16, 5, 5]
        x = self.fc1(x.flatten(1)).tanh()
        x = self.fc2(x).tanh()
        logits: Tensor = self.fc3(x)
        return logits


def lenet5(*, classes: int, channels: int, size_px: int) -> nn.Module:
    """Build LeNet-5 for images of `size_px` by `size_px`."""
    return LeNet5(classes=classes, channels=channels, size_px=size_px)
