"""What a run is given: picture files, and labelled data whose joints come in another order."""

from __future__ import annotations

import json
import logging
import stat
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from striate.datasets import Dataset
from striate.datasets.files import find_images
from striate.datasets.labels import JointLabels
from striate.errors import DataError, RunError, listing
from striate.images.preprocessing import Preprocessing
from striate.runs.record import SPLIT
from striate.tasks.base import PredictOptions, Task
from striate.tasks.skeleton import Skeleton
from striate.training.config import TrainConfig

logger = logging.getLogger(__name__)


def image_paths(images: str | Path | Iterable[str | Path]) -> list[Path]:
    """Return files themselves, and the images of folders; says which files of a folder are none.

    Raises:
        DataError: a file is missing, or a folder holds no image.
    """
    given = [images] if isinstance(images, str | Path) else list(images)
    if not given:
        raise DataError("no image is given; wanted: files, or folders of them.")
    return [path for place in given for path in _images_at(Path(place))]


def _images_at(place: Path) -> list[Path]:
    try:
        found = place.stat()
    except OSError as error:
        raise DataError(f"{place}: cannot be read ({error.strerror}).") from None
    if stat.S_ISDIR(found.st_mode):
        images, others = find_images(place)
        if not images:
            raise DataError(f"{place}: no image in this folder.")
        if others:
            logger.info(f"passed over, no images: {listing(others)}")
        return images
    return [place]


def seen_as(task: Task, form: Preprocessing, picture_px: tuple[int, int], options: PredictOptions) -> Preprocessing:
    """Return what becomes of a picture that is to be predicted.

    Args:
        task: may look at pictures in their own shape.
        form: what became of the training images.
        picture_px: height and width of the picture.
        options: of the prediction.
    """
    height, width = task.input_px((form.height_px, form.width_px), form.scale, picture_px, options)
    # of a task that keeps them, the size has the picture's own shape, but for rounding
    return replace(form, height_px=height, width_px=width, fit="stretch" if task.keeps_aspect else form.fit)


def tile_px(task: Task, config: TrainConfig) -> tuple[int, int] | None:
    """Return the height and width of the windows by which a large picture is looked at; None: the task has none.

    Twice what training cuts out: a network that has learned from windows of 256 pixels sees more than their border
    away, so larger ones differ less from the whole picture (docs/segmentation.md has the figures).
    """
    if task.crop_px is None:
        return None
    side = 2 * (config.crop if isinstance(config.crop, int) else task.crop_px)
    return side, side


def with_joints_of(dataset: Dataset, known: Skeleton | None) -> Dataset:
    """Return data with a network's joints in its order; raises DataError where these are others.

    What hangs on what, and what a mirror image swaps, changes neither places nor figures.
    """
    labels = dataset.samples.labels
    if known is None or not isinstance(labels, JointLabels):
        return dataset
    given, where = labels.skeleton, dataset.location
    if given.unit != known.unit:
        raise DataError(
            f"{where}: its joints are in {given.unit}, and the network finds them in {known.unit}; "
            "measure it on data like those of its training."
        )
    if set(given.joints) != set(known.joints):
        strange = [joint for joint in given.joints if joint not in known.joints]
        missing = [joint for joint in known.joints if joint not in given.joints]
        parts = [f"the network does not know {listing(strange)}"] if strange else []
        parts += [f"{listing(missing)} of the network's joints are not there"] if missing else []
        raise DataError(f"{where}: {'; '.join(parts)}; give data with the joints of its training.")
    theirs, ours = given.joints[given.root], known.joints[known.root]
    if given.unit == "mm" and theirs != ours:
        raise DataError(
            f"{where}: its joints are relative to {theirs}, and the network's to {ours}; give that parent -1."
        )
    return replace(dataset, samples=replace(dataset.samples, labels=labels.in_order_of(known)), skeleton=known)


def read_split(folder: Path) -> dict[str, dict[str, str]]:
    """Read which images a run was trained on and chosen by: split -> name -> content hash."""
    path = folder / SPLIT
    try:
        split = {part: dict(names) for part, names in json.loads(path.read_bytes()).items()}
        return {"train": split["train"], "val": split["val"]} | split  # of all runs the first two are there
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{path}: missing or damaged ({error}); what the network was trained on is unknown, train again."
        ) from None
