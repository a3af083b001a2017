"""Where a training's first weights come from, where they are not drawn; published networks, ready to be used."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from striate import models
from striate.errors import ConfigError, ModelError, RunError, WeightsError
from striate.models.network import Network
from striate.models.pretrained import weights
from striate.models.pretrained.published import Package, PublishedWeights
from striate.models.pretrained.transfer import body_of
from striate.runs.published import published_record
from striate.runs.record import WEIGHTS, RunRecord
from striate.training.config import TrainConfig

logger = logging.getLogger(__name__)

_FOR_PHOTOS = "efficientnet_lite0"  # what published weights are taken of where no model is asked for


@dataclass(frozen=True)
class Start:
    """Weights to begin with.

    Attributes:
        where: the run's folder, the file, or whose published weights they are.
        weights: by name.
        record: of the run that they are of, or what would be that of published ones; None where a file is all there is.
    """

    where: str
    weights: Mapping[str, Tensor] = field(repr=False)
    record: RunRecord | None

    @property
    def is_published(self) -> bool:
        """Whether these are ImageNet's."""
        return self.record is not None and self.record.is_published


def find_start(config: TrainConfig, natural_px: int) -> Start | None:
    """Read the weights that `--pretrained` names; None where they are to be drawn.

    Args:
        config: with the model, where one is asked for.
        natural_px: the shorter side of the data's pictures.

    Raises:
        ConfigError: there is no such thing, or a file is of another kind.
        RunError: a run is damaged.
        WeightsError: a file is damaged, or published weights cannot be had.
    """
    wanted = config.pretrained
    if wanted == "none":
        return None
    if wanted in ("auto", "imagenet"):
        return _find_published(config, natural_px)
    path = Path(wanted)
    try:
        exists, is_folder = path.exists(), path.is_dir()
    except OSError as error:  # the name is too long, say
        raise ConfigError("pretrained", f"{wanted[:80]} cannot be read ({error.strerror})") from None
    if is_folder:
        record = RunRecord.read(path)
        if record.best_epoch is None:
            raise RunError(str(path), "its training has not come to the end of an epoch, so it has no weights yet")
        return Start(wanted, weights.read_safetensors(path / WEIGHTS), record)
    if not exists:
        raise ConfigError(
            "pretrained", f"there is no run or file {wanted}", "give auto, none, imagenet, a run, or a file"
        )
    if path.suffix.lower() != ".safetensors":
        raise ConfigError(
            "pretrained", f"must be a .safetensors file, not {wanted}", "convert it: other formats can run code"
        )
    given = weights.read_safetensors(path)
    architecture = models.MODELS.get(config.model)
    if architecture and architecture.published:
        try:  # under the names of those who published it
            return Start(
                wanted, weights.rename_entries(config.model, architecture, given), published_record(config.model)
            )
        except ModelError:
            pass
    return Start(wanted, given, None)


def _find_published(config: TrainConfig, natural_px: int) -> Start | None:
    """Find published weights: for `auto` those that are here and fit, for `imagenet` those that were asked for."""
    asked = config.pretrained == "imagenet"
    size_px = natural_px if config.size == "auto" else config.size
    model = config.model
    if model == "auto":
        if not asked and (size_px <= models.SMALL_PX or config.stem == "small"):
            return None
        model = _FOR_PHOTOS
    architecture = models.find_architecture(model)
    published = architecture.published
    if published is None:
        if asked:
            having = [name for name, one in models.MODELS.items() if one.published]
            raise ConfigError(
                "pretrained", f"{model} has no published ImageNet weights", f"choose one of {', '.join(having)}"
            )
        return None
    if models.resolve_stem(model, size_px, config.stem) == "small":
        if asked:
            raise ConfigError("pretrained", "published weights are of the large stem", "choose --stem large")
        return None
    path = weights.fetch_weights(model, published) if asked else weights.find_weights(published)
    if path is None:
        logger.info(f"no ImageNet weights of {model} are here, so all weights are drawn; {_hint(published)}")
        return None
    try:
        return Start(f"{model} on ImageNet", weights.read_weights(model, architecture, path), published_record(model))
    except (WeightsError, ModelError) as error:
        if asked:
            raise
        logger.info(f"ImageNet weights of {model} are here, but cannot be used, so all weights are drawn: {error}")
        return None


def _hint(published: PublishedWeights) -> str:
    """Say how published weights come here."""
    return weights.INSTALL if isinstance(published.origin, Package) else "--pretrained imagenet fetches them"


def freeze(network: nn.Module, what: int | str, *, drawn: bool = False) -> None:
    """Take from training what `--freeze` says.

    Args:
        network: is changed.
        what: the option.
        drawn: the weights are random, and of no use where they stay as they are.

    Raises:
        ConfigError: that leaves nothing to learn, or a part as it was drawn.
    """
    if drawn and what not in ("none", "batchnorm"):
        raise ConfigError(
            "freeze", f"all weights are random, and {what} would keep them so", "choose --pretrained as well"
        )
    body, _ = body_of(network)
    frozen: list[nn.Module] = []
    if what == "batchnorm":
        frozen = [part for step in _body_parts(body) for part in step.modules() if _is_norm(part)]
    elif what == "backbone":
        frozen = _body_parts(body)
    elif isinstance(what, int):
        frozen = [body.get_submodule(step.name) for step in body.plan.layers[:what]]
    for part in frozen:
        part.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise ConfigError(
            "freeze", f"{what} leaves nothing to learn: the network has {len(body.plan.layers)} elements", "freeze less"
        )


def _body_parts(body: Network) -> list[nn.Module]:
    return [body.get_submodule(step.name) for step in body.plan.body]


def _is_norm(part: nn.Module) -> bool:
    return isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d)
