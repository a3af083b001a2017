"""What is known of published weights: where they come from, what their images were like, how their parts are named.

No torch: `weights.py` brings them here and reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files

from striate.images.resize import Interpolation

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Package:
    """A file in a Python package, in torch's own format.

    Attributes:
        module: the package's name, as it is imported.
        path: of the file in it.
        sha256: of the file.
    """

    module: str
    path: str
    sha256: str

    @property
    def name(self) -> str:
        """What the file is called."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Hub:
    """A safetensors file on the Hugging Face hub.

    Attributes:
        repo: `owner/name`.
        path: of the file in it.
    """

    repo: str
    path: str = "model.safetensors"

    @property
    def name(self) -> str:
        """What the file is called where it lies beside others."""
        return self.repo.rpartition("/")[2] + ".safetensors"


@dataclass(frozen=True)
class Web:
    """A file on the web, in torch's own format.

    Attributes:
        url: where it is.
        sha256: of the file.
        size_bytes: likewise.
    """

    url: str
    sha256: str
    size_bytes: int

    @property
    def name(self) -> str:
        """What the file is called."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class PublishedWeights:
    """Weights of an architecture that were trained on ImageNet's 1,000 classes (ILSVRC 2012).

    Attributes:
        origin: where they come from.
        top1: accuracy on ImageNet's validation images, as it was published; nothing that was measured here.
        mean: of each channel, as the images were normalised, on a scale of 0 to 1.
        std: likewise.
        interpolation: by which pictures were brought to their size.
        names: of modules there -> here, where they differ.
    """

    origin: Package | Hub | Web
    top1: float
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    interpolation: Interpolation = "bilinear"
    names: Mapping[str, str] = field(default_factory=dict)


def imagenet_classes() -> tuple[str, ...]:
    """Return the names of ImageNet's 1,000 classes, in the order of published weights: torchvision's, from WordNet."""
    return tuple((files("striate.models") / "imagenet_classes.txt").read_text("utf-8").splitlines())
