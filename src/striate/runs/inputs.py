"""What a run is given: image files, and the images that it was trained on."""

from __future__ import annotations

import json
import logging
import stat
from collections.abc import Iterable
from pathlib import Path

from striate.datasets.files import find_images
from striate.errors import DataError, RunError, listing
from striate.runs.record import SPLIT
from striate.tasks.task import Task
from striate.training.config import TrainConfig

logger = logging.getLogger(__name__)


def image_paths(images: str | Path | Iterable[str | Path]) -> list[Path]:
    """Return files themselves, and the images of folders; says which files of a folder are none.

    Raises:
        DataError: a file is missing, or a folder holds no image.
    """
    given = [images] if isinstance(images, str | Path) else list(images)
    if not given:
        raise DataError("", "no image is given", "give image files, or folders of them")
    return [path for place in given for path in _images_at(Path(place))]


def _images_at(place: Path) -> list[Path]:
    try:
        found = place.stat()
    except OSError as error:
        raise DataError(str(place), f"cannot be read ({error.strerror})") from None
    if stat.S_ISDIR(found.st_mode):
        images, others = find_images(place)
        if not images:
            raise DataError(str(place), "no image in this folder")
        if others:
            logger.info(f"passed over, no images: {listing(others)}")
        return images
    return [place]


def tile_px(task: Task, config: TrainConfig) -> tuple[int, int] | None:
    """Return the height and width of the windows by which a large picture is looked at; None: the task has none.

    Twice what training cuts out: a network that has learned from windows of 256 pixels sees more than their border
    away, so larger ones differ less from the whole picture (docs/segmentation.md has the figures).
    """
    if task.spec.crop_px is None:
        return None
    side = 2 * (config.crop if isinstance(config.crop, int) else task.spec.crop_px)
    return side, side


def read_split(folder: Path) -> dict[str, dict[str, str]]:
    """Read which images a run was trained on and chosen by: split -> name -> content hash."""
    path = folder / SPLIT
    try:
        split = {part: dict(names) for part, names in json.loads(path.read_bytes()).items()}
        return {"train": split["train"], "val": split["val"]} | split  # of all runs the first two are there
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            str(path), f"missing or damaged ({error}), so what the network was trained on is unknown", "train again"
        ) from None
