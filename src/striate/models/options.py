"""Which network, and with which weights it begins: options of training. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Predicate

from striate.system.options import Options, Wanted

Stem = Literal["auto", "small", "large"]


@dataclass(frozen=True, kw_only=True)
class NetworkOptions(Options):
    """Which network is trained, and with which weights it begins.

    Raises:
        ConfigError: a value makes no sense.
    """

    model: Annotated[str, Wanted("a name or a line")] = "auto"
    """Architecture: a name (see striate models) or a line such as 'conv 8@3x3 | relu | gap | fc classes'. auto: lenet5
    for small grey images, resnet20 up to 64 pixels, else resnet18, or efficientnet_lite0 if its weights are
    installed."""

    stem: Stem = "auto"
    """First layers of the ResNets for photographs: small keeps the resolution. auto: small below 64 pixels."""

    pretrained: Annotated[str, Predicate(bool), Wanted("auto, none, imagenet, a run, or a file")] = "auto"
    """Initial weights: imagenet (published weights, downloaded if necessary), a run's folder, or a .safetensors file.
    none: random initialisation. auto: imagenet, if installed or downloaded before."""
