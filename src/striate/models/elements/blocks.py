"""`res`, `bottleneck`, `mbconv`: blocks, each said once as a chain of other elements.

What a block does to a shape (`effects.effect_of`) and its module (`builders.build_element`) both follow from the chain.
"""

from __future__ import annotations

from typing import Any

from striate.errors import GeometryError
from striate.geometry import Cost, Shape, Window
from striate.models.elements.spec import Block, Effect, Element, float32_bytes, pair_text


def basic_block(element: Element, shape: Shape) -> Block:
    """Return two 3x3 convolutions: He et al. 2015, "Deep residual learning for image recognition", figure 5, left."""
    channels, stride = element.channels, element.option("stride", "1")
    chain = f"conv {channels}@3x3 stride={stride} pad=1 bias=no | bn | relu | conv {channels}@3x3 pad=1 bias=no | bn"
    names = ("conv1", "bn1", "conv2", "bn2")
    return Block(chain=chain, names=names, shortcut=_shortcut(element, shape[0], channels), activation="relu")


def bottleneck(element: Element, shape: Shape) -> Block:
    """Return 1x1, 3x3 and 1x1 convolutions: He et al. 2015, figure 5, right.

    The stride is that of the 3x3 convolution, as in torchvision ("ResNet V1.5"); the paper has it in the first one.
    """
    width, channels, stride = element.channels, 4 * element.channels, element.option("stride", "1")
    chain = (
        f"conv {width}@1x1 bias=no | bn | relu | conv {width}@3x3 stride={stride} pad=1 bias=no | bn | relu | "
        f"conv {channels}@1x1 bias=no | bn"
    )
    names = ("conv1", "bn1", "conv2", "bn2", "conv3", "bn3")
    return Block(chain=chain, names=names, shortcut=_shortcut(element, shape[0], channels), activation="relu")


def inverted_residual(element: Element, shape: Shape) -> Block:
    """Return a 1x1, a depthwise and a 1x1 convolution: Sandler et al. 2018, "MobileNetV2", figure 3b.

    EfficientNet-Lite's MBConv: without squeeze-and-excitation, which EfficientNet itself has (Tan and Le 2019). Names
    are timm's, and the epsilon of the norms that of the published weights.
    """
    channels, expand, stride = element.channels, int(element.option("expand", "6")), element.option("stride", "1")
    width, kernel, norm = expand * shape[0], pair_text(*element.kernel), "bn eps=0.001"
    narrow = (
        f"conv {width}@{kernel} stride={stride} pad=same groups={width} bias=no | {norm} | relu6 | "
        f"conv {channels}@1x1 bias=no | {norm}"
    )
    adds_input = shape[0] == channels and element.stride == (1, 1)
    if expand == 1:
        names: tuple[str, ...] = ("conv_dw", "bn1", "conv_pw", "bn2")
        chain = narrow
    else:
        names = ("conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3")
        chain = f"conv {width}@1x1 bias=no | {norm} | relu6 | {narrow}"
    return Block(chain=chain, names=names, shortcut="" if adds_input else None)


def _shortcut(element: Element, channels_in: int, channels: int) -> str:
    """Return what the input of a residual block passes through where its shape is not the output's."""
    stride = element.option("stride", "1")
    if channels_in == channels and element.stride == (1, 1):
        return ""
    if element.option("shortcut", "conv") == "pad":
        return f"padshortcut {channels} stride={stride}"
    return f"conv {channels}@1x1 stride={stride} bias=no | bn"


def pad_channels(element: Element, shape: Shape) -> Effect:
    """Return the effect of `layers.PadShortcut`: every stride-th pixel, and zeros for the channels that are new."""
    if element.channels < shape[0]:
        raise GeometryError(
            "", "shortcut=pad adds channels and takes none away", f"at least {shape[0]} channels must come out"
        )
    down, across = (Window(kernel=1, stride=step) for step in element.stride)
    output = (element.channels, down.output_size(shape[1]), across.output_size(shape[2]))
    return Effect(output=output, axes=((down,), (across,)), cost=Cost(activation_bytes=float32_bytes(output)))


def shortcut_arguments(element: Element, shape: Shape) -> dict[str, Any]:
    """Return the arguments of `layers.PadShortcut`."""
    return {"channels_in": shape[0], "channels": element.channels, "stride": element.stride}
