"""The elements of the notation, one row each.

A new element is a row here: how it is written, its effect on a shape (a function in this package, or one of those that
are there), and what builds its module. The notation, plans, networks, costs and drawings read this table.
"""

from __future__ import annotations

from striate.models.elements import blocks, convolution, pooling, simple, upsampling
from striate.models.elements.spec import (
    CHANNELS_AND_KERNEL,
    COUNT,
    COUNT_OPTION,
    MODE_OPTION,
    NUMBERS,
    PADDING_OPTION,
    PAIR,
    PAIR_OPTION,
    SIDES_OPTION,
    SWITCH_OPTION,
    Element,
    ElementForm,
    ElementSpec,
    OptionForm,
)

__all__ = ["BLOCK_PARTS", "ELEMENTS", "spec_of"]

_CONVOLUTION = {"mode": MODE_OPTION, "dilation": PAIR_OPTION, "groups": COUNT_OPTION, "bias": SWITCH_OPTION}
_POOLING = {"stride": PAIR_OPTION, "pad": PADDING_OPTION, "mode": MODE_OPTION, "ceil": SWITCH_OPTION}
_RESIDUAL = {"stride": PAIR_OPTION, "shortcut": OptionForm("conv|pad", "conv or pad")}


def _activation(module: str, *, like: str = "relu") -> ElementSpec:
    """Return the row of an activation; weights before it are initialised as before the one that it is like."""
    return ElementSpec(effect=simple.keep_shape, builder=f"torch.nn:{module}", activation=like)  # type: ignore[arg-type]


ELEMENTS: dict[str, ElementSpec] = {
    "conv": ElementSpec(
        form=ElementForm(
            CHANNELS_AND_KERNEL, "conv 16@5x5", {"stride": PAIR_OPTION, "pad": PADDING_OPTION, **_CONVOLUTION}
        ),
        effect=convolution.convolve,
        builder="striate.models.builders:build_convolution",
        arguments=convolution.convolution_arguments,
        axes=(3,),
        role="convolution",
    ),
    "deconv": ElementSpec(
        form=ElementForm(
            CHANNELS_AND_KERNEL,
            "deconv 16@4x4",
            {
                "stride": PAIR_OPTION,
                "pad": SIDES_OPTION,
                "outpad": OptionForm(NUMBERS, "a number such as 1, or 1x0"),
                **_CONVOLUTION,
            },
        ),
        effect=convolution.convolve_transposed,
        builder="striate.layers:ConvTranspose2d",
        arguments=convolution.transposed_arguments,
        axes=(3,),
        role="upsampling",
    ),
    "up": ElementSpec(
        form=ElementForm(PAIR, "up 2", {"mode": OptionForm("nearest|bilinear", "nearest or bilinear")}),
        effect=upsampling.upsample,
        builder="torch.nn:Upsample",
        arguments=upsampling.upsampling_arguments,
        axes=(3,),
        role="upsampling",
    ),
    "maxpool": ElementSpec(
        form=ElementForm(PAIR, "maxpool 2", _POOLING),
        effect=pooling.max_pool,
        builder="striate.models.builders:build_max_pooling",
        arguments=pooling.pooling_arguments,
        axes=(3,),
        role="pooling",
    ),
    "avgpool": ElementSpec(
        form=ElementForm(PAIR, "avgpool 2", _POOLING),
        effect=pooling.pool,
        builder="striate.models.builders:build_average_pooling",
        arguments=pooling.pooling_arguments,
        axes=(3,),
        role="pooling",
    ),
    "fitpool": ElementSpec(
        form=ElementForm(PAIR, "fitpool 7"),
        effect=pooling.pool_to_size,
        builder="torch.nn:AdaptiveAvgPool2d",
        arguments=pooling.size_arguments,
        axes=(3,),
        role="pooling",
        opens_head=True,
    ),
    "gap": ElementSpec(
        effect=pooling.pool_globally,
        builder="striate.models.builders:build_global_pooling",
        axes=(3,),
        role="pooling",
    ),
    "res": ElementSpec(form=ElementForm(COUNT, "res 64", _RESIDUAL), block=blocks.basic_block, axes=(3,), role="block"),
    "bottleneck": ElementSpec(
        form=ElementForm(COUNT, "bottleneck 64", _RESIDUAL), block=blocks.bottleneck, axes=(3,), role="block"
    ),
    "mbconv": ElementSpec(
        form=ElementForm(CHANNELS_AND_KERNEL, "mbconv 24@3x3", {"stride": PAIR_OPTION, "expand": COUNT_OPTION}),
        block=blocks.inverted_residual,
        axes=(3,),
        role="block",
    ),
    "bn": ElementSpec(
        form=ElementForm(options={"eps": OptionForm(r"0?\.0*[1-9]\d*", "a number such as 0.001")}),
        effect=simple.normalise_batch,
        builder="striate.models.builders:build_batch_norm",
        arguments=simple.norm_arguments,
    ),
    "flatten": ElementSpec(effect=simple.flatten, builder="torch.nn:Flatten"),
    "fc": ElementSpec(
        form=ElementForm(rf"{COUNT}|classes", "fc classes"),
        effect=simple.connect_fully,
        builder="torch.nn:Linear",
        arguments=simple.linear_arguments,
        axes=(1,),
        role="linear",
    ),
    "dropout": ElementSpec(
        form=ElementForm(r"0?\.\d+|0", "dropout 0.5"),
        effect=simple.keep_shape,
        builder="torch.nn:Dropout",
        arguments=simple.dropout_arguments,
        opens_head=True,
    ),
    "relu": _activation("ReLU"),
    "relu6": _activation("ReLU6"),
    "leakyrelu": _activation("LeakyReLU"),
    "tanh": _activation("Tanh", like="tanh"),
    "sigmoid": _activation("Sigmoid", like="sigmoid"),
    "gelu": _activation("GELU"),
    "silu": _activation("SiLU"),
}

BLOCK_PARTS: dict[str, ElementSpec] = {
    "padshortcut": ElementSpec(
        form=ElementForm(COUNT, "padshortcut 64", {"stride": PAIR_OPTION}),
        effect=blocks.pad_channels,
        builder="striate.layers:PadShortcut",
        arguments=blocks.shortcut_arguments,
        axes=(3,),
    )
}
"""Elements that only blocks consist of; no line has them."""


def spec_of(element: Element) -> ElementSpec:
    """Return the row of an element."""
    return ELEMENTS.get(element.kind) or BLOCK_PARTS[element.kind]
