"""LeNet-5: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", 1998.

As the field has drawn it since: tanh, average pooling, every feature map of the second convolution
connected to all of the first (the paper left some connections out). On the paper's 32x32 images it
has 61,706 parameters.
"""

from __future__ import annotations

from striate.models.architecture import Architecture

LENET5 = Architecture(
    line=(
        "conv 6@5x5 | tanh | avgpool 2 | conv 16@5x5 | tanh | avgpool 2 | "
        "flatten | fc 120 | tanh | fc 84 | tanh | fc classes"
    ),
    names=("conv1", "conv2", "fc1", "fc2", "fc3"),
    input=(1, 32, 32),
    classes=10,
    source="LeCun et al. 1998",
)
