"""Where a training's first weights come from, where they are not drawn."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from striate.errors import ConfigError, RunError
from striate.runs.record import WEIGHTS, RunRecord


@dataclass(frozen=True)
class Start:
    """Weights to begin with.

    Attributes:
        where: the run's folder, or the file.
        weights: by name.
        record: of the run that they are of; None where a file is all that there is.
    """

    where: str
    weights: dict[str, Tensor] = field(repr=False)
    record: RunRecord | None


def find_start(pretrained: str) -> Start | None:
    """Read the weights that `--pretrained` names: a run's folder, or a .safetensors file; None where it says none.

    Raises:
        ConfigError: there is no such thing, or a file is of another kind.
        RunError: a run, or a file, is damaged.
    """
    if pretrained == "none":
        return None
    path = Path(pretrained)
    if path.is_dir():
        record = RunRecord.read(path)
        if not record.best_epoch:
            raise RunError(f"{path}: its training has not come to the end of an epoch, so it has no weights yet.")
        return Start(pretrained, _read(path / WEIGHTS), record)
    if not path.exists():
        raise ConfigError(f"pretrained (={pretrained}): there is no such run or file; wanted: none, RUN, or a file.")
    if path.suffix.lower() != ".safetensors":
        raise ConfigError(f"pretrained (={pretrained}) must be a .safetensors file; other formats can run code.")
    return Start(pretrained, _read(path), None)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except FileNotFoundError:
        raise RunError(f"{path}: the weights are missing.") from None
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path}: damaged ({' '.join(str(error).split())[:200]}).") from None
