"""Images of one person each, with the positions of the joints in space or in the image: `joints.json`.

    {"joints": ["pelvis", …], "parents": [-1, 0, …], "mirror": [["l_hip", "r_hip"], …], "unit": "mm",
     "samples": [{"image": "a.jpg", "split": "train", "xyz": [[x, y, z], …], "uv": [[u, v], …], "visible": [1, …]}]}

`image`: relative to the file's folder, each once. `xyz`: camera coordinates (x right, y down, z away), `uv`: pixels,
the top left pixel's centre at (0.5, 0.5); null where a joint's are not known. Either can be left out of all samples,
and `uv` of some. `split`: in all samples or in none. `visible`: 1 for joints that count; without it those do whose
`xyz` (or else `uv`) is known. `mirror` can be left out where no names have sides; a mirror image is then never taken
for a possible one. `unit`: of all samples; one that names it itself has to name the same.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64

from striate.datasets.dataset import Dataset, Samples
from striate.datasets.files import find_listed, first_repeat
from striate.datasets.labels import JointLabels
from striate.datasets.layouts.json_files import count_keys, errors_in, number_rows, read_json
from striate.datasets.splits import SplitName, group_by_split
from striate.errors import DataError, listing, nearest
from striate.images.sources import ImageFiles
from striate.tasks.skeleton import Skeleton

logger = logging.getLogger(__name__)

DESCRIPTION = "joints.json"

TASKS = ("pose",)
_IN_FOLDER = "joints.json"
_WANTED = ("joints", "parents", "samples")
_KEYS = (*_WANTED, "mirror", "unit", "note")
_SAMPLE_KEYS = ("image", "split", "xyz", "uv", "visible", "unit")
_MM = {"mm": 1, "cm": 10, "m": 1000}
_SHARES, _BEYOND = 0.9, 1.5  # of uv that are fractions, how many lie in the image, and how far the others reach
_FEWEST = 3  # samples, of which one can differ from the others
_ALIKE = 3  # times as long as in other samples, or as short, no one's limbs are
_LEAST_BONE_MM, _MOST_BONE_MM = 5, 2000  # of the middle one; what is beyond is in another unit than it says

_Document = dict[str, Any]


def matches(location: str) -> bool:
    """Tell whether this is a folder with a `joints.json` in it, a file of that name, or a .json file like one."""
    path = Path(location)
    if path.is_dir():
        return (path / _IN_FOLDER).is_file()
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    return path.name == _IN_FOLDER or count_keys(path, _WANTED) >= 2


def read(location: str, task: str = "pose") -> Dataset:
    """List the images of a `joints.json`, and make its `xyz` relative to the root joint, in mm.

    Raises:
        DataError: damaged JSON, joints or numbers that make no sense, samples without what others have, or an
            image that is missing, no image, or there twice.
    """
    path = Path(location)
    file = path / _IN_FOLDER if path.is_dir() else path
    with errors_in(file):
        document = read_json(file)
        _check_keys(file, document)
        skeleton = _skeleton(document)
        samples: list[_Document] = document["samples"]
        _check_unit(samples, document.get("unit"))
        labels = _labels(samples, skeleton, _factor(document))
        splits = _splits(samples)
        paths, names = find_listed(file.parent, [sample["image"] for sample in samples])
        if repeat := first_repeat(paths):
            first, second = (_where(samples, index) for index in repeat)
            raise DataError(second, f"of the same image as {first}", "crop the image: one person per image")
    if document.get("unit", "mm") != "mm" and not np.isnan(labels.xyz_mm).all():
        logger.info(f"{file}: xyz is in {document['unit']}, and taken in mm")
    return Dataset(
        name=file.resolve().parent.name if file.name == _IN_FOLDER else file.stem,
        location=location,
        task=task,
        samples=Samples(names=tuple(names), images=ImageFiles(paths), labels=labels),
        splits=splits,
        skeleton=labels.skeleton,
        mirror_safe=bool(skeleton.mirror),
    )


def _check_keys(file: Path, document: _Document) -> None:
    """Raise DataError where names are missing from the document or its samples; say which are not known."""
    for key in _WANTED:
        if key not in document:
            what = f"there is no {key!r}{nearest(key, document)}"
            raise DataError("", what, f"wanted: {', '.join(_WANTED)} and unit")
    samples = document["samples"]
    if not isinstance(samples, list) or not samples:
        raise DataError("samples", "must be a list of one sample or more")
    for index, sample in enumerate(samples):
        where = f"samples[{index}]"
        if not isinstance(sample, dict):
            raise DataError(where, f"is {_short(sample)}", "wanted: an object with image, and xyz or uv")
        image = sample.get("image")
        if not isinstance(image, str) or not image:
            hint = "" if "image" in sample else nearest("image", sample)
            raise DataError(where, f"names no image{hint}", "give it the path of one")
    for keys, known in ((document, _KEYS), (dict.fromkeys(chain.from_iterable(samples)), _SAMPLE_KEYS)):
        if strange := [key for key in keys if key not in known]:
            logger.info(f"{file}: passed over {listing(f'{key!r}{nearest(key, known)}' for key in strange)}")


def _skeleton(document: _Document) -> Skeleton:
    """Return the joints and how they hang together."""
    joints, parents, pairs = document["joints"], document["parents"], document.get("mirror") or []
    if not _is_list_of(str, joints) or not joints:
        raise DataError("joints", "must be a list of names")
    for name in joints:
        if not name.strip() or not name.isprintable():
            raise DataError("joints", f"has the name {name!r}", "wanted: names that can be printed")
        if joints.count(name) > 1:
            what = f"must be a list of different names, and {name!r} is there {joints.count(name)} times"
            raise DataError("joints", what)
    if not _is_list_of(int, parents):
        raise DataError("parents", "must be a list of indices into joints, from 0, with -1 for the root")
    if not isinstance(pairs, list) or not all(_is_list_of(str, pair) and len(pair) == 2 for pair in pairs):
        raise DataError("mirror", 'must be a list of pairs of joints\' names, such as ["l_hip", "r_hip"]')
    mirrored = list(chain.from_iterable(pairs))
    for name in mirrored:
        if name not in joints:
            raise DataError("mirror", f"names {name!r}, which is none of joints{nearest(name, joints)}")
        if mirrored.count(name) > 1:
            what = f"names {name!r} {mirrored.count(name)} times"
            raise DataError("mirror", what, "put each joint in one pair")
    mirror = tuple((joints.index(left), joints.index(right)) for left, right in pairs)
    return Skeleton(joints=tuple(joints), parents=tuple(parents), mirror=mirror)


def _factor(document: _Document) -> int | None:
    """Return how many mm the unit is; None where it is none that we know."""
    unit = document.get("unit")
    return _MM.get(unit) if isinstance(unit, str) else None


def _labels(samples: Sequence[_Document], skeleton: Skeleton, factor: int | None) -> JointLabels:
    """Return the joints' coordinates, and which of them count."""
    xyz = _coordinates(samples, "xyz", skeleton, 3)
    uv = _coordinates(samples, "uv", skeleton, 2)
    _check_pixels(uv)
    in_space = bool(np.isfinite(xyz).any())
    if in_space:
        if factor is None:
            raise DataError("unit", "xyz needs one", "give mm, cm or m")
        if len(skeleton.joints) < 2:
            what = "xyz is relative to the root, and there is no other joint"
            raise DataError("joints", what, "give two joints or more")
        xyz = _root_relative(xyz * factor, samples, skeleton)
    visible = np.isfinite(xyz if in_space else uv).all(axis=2) & _visible(samples, skeleton)
    if not visible.any(axis=1).all():
        where = _where(samples, int(np.argmin(visible.any(axis=1))))
        kind = "xyz" if in_space else "xyz or uv"
        raise DataError(where, f"has no joint that is visible and of known {kind}", "remove the sample")
    if in_space:
        assert factor is not None
        _check_alike(np.where(visible[..., None], xyz, np.nan), samples, skeleton, factor)
        _check_bones(xyz, skeleton, factor)
    skeleton = replace(skeleton, unit="mm" if in_space else "px")
    return JointLabels(skeleton=skeleton, xyz_mm=xyz.astype(np.float32), uv_px=uv.astype(np.float32), visible=visible)


def _coordinates(
    samples: Sequence[_Document], key: str, skeleton: Skeleton, width: int
) -> Float64[np.ndarray, "samples joints width"]:
    """Return the coordinates that samples give under a key; not a number where they give none."""
    cells = _cells(samples, key, skeleton, [None] * len(skeleton.joints))
    known = np.flatnonzero([cell is not None for cell in cells])

    def fault(row: int) -> DataError:
        sample, joint = divmod(int(known[row]), len(skeleton.joints))
        what = f"{key} of {skeleton.joints[joint]} is {_short(cells[known[row]])}"
        return DataError(_where(samples, sample), what, f"wanted: {width} finite numbers, or null")

    numbers = np.full((len(cells), width), np.nan)
    numbers[known] = number_rows([cells[index] for index in known], width, fault)
    return numbers.reshape(len(samples), len(skeleton.joints), width)


def _visible(samples: Sequence[_Document], skeleton: Skeleton) -> Bool[np.ndarray, "samples joints"]:
    """Return what samples say of whether joints are visible; all are where they say nothing."""
    cells = _cells(samples, "visible", skeleton, [1] * len(skeleton.joints))
    if not (set(map(type, cells)) <= {int, float, bool} and set(cells) <= {0, 1}):
        wrong = next(index for index, cell in enumerate(cells) if cell not in (0, 1))
        sample, joint = divmod(wrong, len(skeleton.joints))
        what = f"visible of {skeleton.joints[joint]} is {_short(cells[wrong])}"
        raise DataError(_where(samples, sample), what, "wanted: 0 or 1")
    return np.array(cells, dtype=bool).reshape(len(samples), -1)


def _cells(samples: Sequence[_Document], key: str, skeleton: Skeleton, default: list[Any]) -> list[Any]:
    """Return what samples give under a key, joint after joint; raises DataError where that is not one per joint."""
    rows = [sample.get(key) for sample in samples]
    for index, row in enumerate(rows):
        if row is not None and (not isinstance(row, list) or len(row) != len(default)):
            wrong = f"has {len(row)} entries" if isinstance(row, list) else f"is {_short(row)}"
            fix = f"wanted: {len(skeleton.joints)}, one for each of joints"
            raise DataError(_where(samples, index), f"{key} {wrong}", fix)
    return list(chain.from_iterable(default if row is None else row for row in rows))


def _root_relative(
    xyz: Float64[np.ndarray, "samples joints 3"], samples: Sequence[_Document], skeleton: Skeleton
) -> Float64[np.ndarray, "samples joints 3"]:
    """Subtract the root joint's position from every joint's; raises DataError where it is not known."""
    known = np.isfinite(xyz[:, :, 0])
    if not known.any(axis=1).all():
        where = _where(samples, int(np.argmin(known.any(axis=1))))
        raise DataError(where, "has no xyz, and others have", "remove it, or the xyz of all")
    if not known[:, skeleton.root].all():
        where = _where(samples, int(np.argmin(known[:, skeleton.root])))
        root = skeleton.joints[skeleton.root]
        what = f"xyz of the root, {root}, is not known, and others are relative to it"
        raise DataError(where, what, "remove it")
    relative: Float64[np.ndarray, "samples joints 3"] = xyz - xyz[:, [skeleton.root]]
    return relative


def _check_pixels(uv: Float64[np.ndarray, "samples joints 2"]) -> None:
    """Raise DataError where hardly any position is beyond an image's first pixel: they are fractions."""
    known = np.abs(uv[np.isfinite(uv)])
    if len(known) > 2 and (known <= 1).mean() >= _SHARES and known.max() <= _BEYOND:
        what = "uv is not above 1: these seem to be fractions of the image's sides"
        raise DataError("samples", what, "give uv in pixels")


def _check_unit(samples: Sequence[_Document], unit: object) -> None:
    """Raise DataError where a sample names another unit than the document does."""
    for index, sample in enumerate(samples):
        if sample.get("unit", unit) != unit:
            named = "names none" if unit is None else f"says {_short(unit)}"
            what = f"its unit is {_short(sample['unit'])}, and the document {named}"
            raise DataError(_where(samples, index), what, "use one unit for all")


def _check_alike(
    xyz_mm: Float64[np.ndarray, "samples joints 3"], samples: Sequence[_Document], skeleton: Skeleton, factor: int
) -> None:
    """Raise DataError where the limbs of a sample are as long in another unit as those of the others are in this."""
    if len(samples) < _FEWEST:
        return
    lengths = _bones(xyz_mm, skeleton)
    named = next(unit for unit, mm in _MM.items() if mm == factor)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # bones, or samples, of which nothing is known; joints in one position
        # of two halves either may be the one in another unit
        usual = (
            np.nanquantile(lengths, 0.5, axis=0, method="lower"),
            np.nanquantile(lengths, 0.5, axis=0, method="higher"),
        )
        ratios = [np.nanmedian(lengths / middle, axis=1) for middle in usual]
    for ratio in ratios:
        for unit, mm in _MM.items():
            like = (ratio * mm / factor > 1 / _ALIKE) & (ratio * mm / factor < _ALIKE)
            if mm != factor and like.any():
                index = int(np.argmax(like))
                more = f" (and {like.sum() - 1:,} more samples)" if like.sum() > 1 else ""
                raise DataError(
                    _where(samples, index),
                    f"limbs are {ratio[index]:.3g} times as long as in other samples: looks like {unit}, "
                    f"not {named}{more}",
                    "use one unit for all",
                )


def _bones(xyz_mm: Float64[np.ndarray, "samples joints 3"], skeleton: Skeleton) -> Float64[np.ndarray, "samples bones"]:
    """Return the distances of joints from those that they hang on."""
    joints = [joint for joint, parent in enumerate(skeleton.parents) if parent >= 0]
    parents = [skeleton.parents[joint] for joint in joints]
    lengths: Float64[np.ndarray, "samples bones"] = np.linalg.norm(xyz_mm[:, joints] - xyz_mm[:, parents], axis=2)
    return lengths


def _check_bones(xyz_mm: Float64[np.ndarray, "samples joints 3"], skeleton: Skeleton, factor: int) -> None:
    """Raise DataError where the median bone is as long as no person's: the unit is another."""
    lengths = _bones(xyz_mm, skeleton)
    lengths = lengths[np.isfinite(lengths)]
    if lengths.size == 0 or _LEAST_BONE_MM <= (median := float(np.median(lengths))) <= _MOST_BONE_MM:
        return
    likely = " or ".join(unit for unit, mm in _MM.items() if 50 <= median / factor * mm <= 800)
    length = f"{median:.2g}" if median < 100 else f"{median:,.0f}"
    raise DataError(
        "unit",
        f"limbs are {length} mm long on average, not {_LEAST_BONE_MM} to {_MOST_BONE_MM:,} mm",
        f"correct it: {likely}" if likely else "correct it",
    )


def _splits(samples: Sequence[_Document]) -> dict[SplitName, Int64[np.ndarray, " chosen"]]:
    """Return the splits that samples are in; all are in train where none says so."""
    words = [sample.get("split") for sample in samples]
    if all(word is None for word in words):
        return {"train": np.arange(len(samples))}
    for index, word in enumerate(words):
        if not isinstance(word, str):
            what = f"its split is {'none' if word is None else _short(word)}"
            raise DataError(_where(samples, index), what, "wanted: train, val or test in all samples, or in none")
    return group_by_split([str(word) for word in words], lambda index: _where(samples, index))


def _where(samples: Sequence[_Document], index: int) -> str:
    """Name a sample."""
    return f"samples[{index}] ({samples[index]['image']})"


def _is_list_of(kind: type, value: object) -> bool:
    """Tell whether a value is a list of one kind alone; true and false are no integers."""
    return isinstance(value, list) and all(type(item) is kind for item in value)


def _short(value: object) -> str:
    """Write a value as JSON does, in a few characters."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}…"
