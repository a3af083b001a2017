"""People with keypoints in the image, as COCO's JSON files have them; there is no third dimension.

A sample is a person with one labelled keypoint or more, no crowd. Where a person is alone in the image, annotated or
not, the picture is the image; where the image holds several, the picture of each is cut out by the box of the
annotation, made a quarter larger, and larger still where labelled keypoints lie outside of it. Keypoints that are
labelled but hidden (v = 1) count as those that are seen (v = 2).

COCO's keypoints are places of pixels, counted from 0; ours are continuous, so half a pixel is added. COCO has edges
and no root: the root is the first keypoint, and the others hang on it, or on each other, as a breadth-first search
over the edges finds them; what no edge leads to hangs on the root itself.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64

from striate.datasets.dataset import SPLIT_NAMES, Dataset, Samples, SplitName
from striate.datasets.files import find_listed, first_repeat
from striate.datasets.labels import JointLabels
from striate.datasets.layouts._people import CroppedFiles, count_keys, number_rows, prefixed, read_json
from striate.errors import DataError, listing, nearest
from striate.images.sources import ImageFiles
from striate.tasks.left_right import mirror_pairs
from striate.tasks.skeleton import Skeleton

logger = logging.getLogger(__name__)

DESCRIPTION = "COCO keypoints (.json)"

TASKS = ("pose",)
_KEYS = ("annotations", "images", "categories")
_ENLARGED = 1.25  # a box is drawn tightly; what is around tells left from right
_TRIED = 10  # images that are looked for in a folder to know it by

_Entry = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class _People:
    """The people of a file: a picture, a part of it and joints each."""

    skeleton: Skeleton
    paths: list[Path]
    names: list[str]
    boxes_px: Int64[np.ndarray, "people 4"]
    cropped: Bool[np.ndarray, " people"]
    uv_px: Float64[np.ndarray, "people joints 2"]

    def picture_names(self, root: Path) -> list[str]:
        """Name each one's picture, from the root where it is there; with the person's place where there are several."""
        listed = zip(self.paths, self.names, strict=True)
        plain = [path.relative_to(root).as_posix() if path.is_relative_to(root) else name for path, name in listed]
        people: Counter[str] = Counter()
        for place, name in enumerate(plain):
            people[name] += 1
            if self.cropped[place]:
                plain[place] = f"{name}#{people[name]}"
        return plain


def matches(location: str) -> bool:
    """Tell whether this is a COCO file, or a folder with `annotations/person_keypoints_*.json` in it."""
    path = Path(location)
    if path.is_dir():
        return any(path.glob("annotations/person_keypoints_*.json"))
    return path.suffix.lower() == ".json" and path.is_file() and count_keys(path, _KEYS) == len(_KEYS)


def read(location: str, task: str = "pose") -> Dataset:
    """List the people of COCO files; their `xyz_mm` is not known.

    Raises:
        DataError: damaged JSON, entries that make no sense, images that are missing or no images, or files that
            do not go together.
    """
    path = Path(location)
    root = path if path.is_dir() else path.parent
    parts: dict[SplitName, _People] = {}
    for split, file in _documents(path).items():
        with prefixed(file):
            parts[split] = _read(file)
    skeleton = parts["train"].skeleton
    for split, part in parts.items():
        if part.skeleton != skeleton:
            raise DataError(f"{path}: the keypoints of train and {split} differ; wanted: the same ones.")
    everyone = list(parts.values())
    paths = [path for part in everyone for path in part.paths]
    uv = np.concatenate([part.uv_px for part in everyone]).astype(np.float32)
    cropped = any(part.cropped.any() for part in everyone)
    boxes = np.concatenate([part.boxes_px for part in everyone])
    ends = np.cumsum([len(part.paths) for part in everyone])
    samples = Samples(
        names=tuple(name for part in everyone for name in part.picture_names(root)),
        pictures=CroppedFiles(paths, boxes) if cropped else ImageFiles(paths),
        labels=JointLabels(
            skeleton=skeleton,
            xyz_mm=np.full((*uv.shape[:2], 3), np.nan, dtype=np.float32),
            uv_px=uv,
            visible=np.isfinite(uv[:, :, 0]),
        ),
        groups=tuple(map(str, paths)),  # people of one picture stay in one split
    )
    return Dataset(
        name=path.resolve().name if path.is_dir() else path.stem,
        location=location,
        task=task,
        samples=samples,
        splits={
            split: np.arange(end - len(part.paths), end) for (split, part), end in zip(parts.items(), ends, strict=True)
        },
        skeleton=skeleton,
        mirror_safe=bool(skeleton.mirror),
    )


def spanning_tree(joints: int, edges: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """Return each joint's parent on the way of fewest edges to joint 0, or joint 0 where none leads there; -1 for it.

    >>> spanning_tree(5, [(1, 2), (0, 1), (0, 2), (3, 2)])
    (-1, 0, 0, 2, 0)
    """
    parents = {0: -1}
    queue = [0]
    for joint in queue:  # which grows
        for edge in edges:
            for near, far in (edge, edge[::-1]):
                if near == joint and far not in parents:
                    parents[far] = joint
                    queue.append(far)
    return tuple(parents.get(joint, 0) for joint in range(joints))


def _documents(path: Path) -> dict[SplitName, Path]:
    """Find the file of each split; a file alone is all for training, to be parted."""
    if not path.is_dir():
        return {"train": path}
    found: dict[SplitName, Path] = {}
    for split in SPLIT_NAMES:
        files = sorted(path.glob(f"annotations/person_keypoints_{split}*.json"))
        if len(files) > 1:
            raise DataError(f"{path}: {listing(file.name for file in files)} are all there; keep one of them.")
        if files:
            found[split] = files[0]
    if "train" not in found:
        raise DataError(f"{path}: there is no annotations/person_keypoints_train*.json; wanted: {DESCRIPTION}.")
    return found


def _read(file: Path) -> _People:
    """Read a file and find its images."""
    document = read_json(file)
    for key in _KEYS:
        entries = document.get(key)
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries) or not entries:
            hint = "" if key in document else nearest(key, document)
            if isinstance(entries, list) and entries:
                wrong = next(index for index, entry in enumerate(entries) if not isinstance(entry, dict))
                hint = f", and entry {wrong} (from 0) is none"
            raise DataError(f"{key!r} must be a list of one object or more{hint}.")
    category = _category(document["categories"])
    skeleton = _skeleton(category)
    images = _images(document["images"])
    people = [entry for entry in document["annotations"] if entry.get("category_id") == category.get("id")]
    for entry in people:
        if _id(entry, "image_id") not in images:
            raise DataError(f"{_where(entry)}: there is no image of the id {entry.get('image_id')!r}.")
    several = Counter(entry["image_id"] for entry in people)
    chosen, points = _labelled(people, skeleton)
    if len(chosen) < len(people):
        logger.info(f"{file}: passed over {len(people) - len(chosen):,} people: crowds, or without keypoints")
    if not chosen:
        raise DataError("nobody in it has keypoints; wanted: annotations with keypoints.")
    cropped = np.array([several[entry["image_id"]] > 1 for entry in chosen])
    boxes = _boxes(chosen, [images[entry["image_id"]] for entry in chosen], cropped, points)
    shown = list(dict.fromkeys(entry["image_id"] for entry in chosen))
    paths, names = _find([images[key]["file_name"] for key in shown], file)
    if repeat := first_repeat(paths):
        raise DataError(f"two images are the same file, {names[repeat[0]]}; wanted: each once.")
    place = {key: index for index, key in enumerate(shown)}
    uv = points[:, :, :2] + 0.5 - boxes[:, None, :2]
    uv[points[:, :, 2] == 0] = np.nan
    return _People(
        skeleton=skeleton,
        paths=[paths[place[entry["image_id"]]] for entry in chosen],
        names=[names[place[entry["image_id"]]] for entry in chosen],
        boxes_px=boxes,
        cropped=cropped,
        uv_px=uv,
    )


def _category(categories: Sequence[_Entry]) -> _Entry:
    """Return the category that has keypoints; people, where several have."""
    found = [category for category in categories if category.get("keypoints")]
    people = [category for category in found if category.get("name") == "person"]
    if not found:
        raise DataError("no category has keypoints; wanted: COCO's annotations of keypoints, not those of boxes.")
    if len(people or found) > 1:
        names = listing(category.get("name") for category in found)
        raise DataError(f"several categories have keypoints ({names}); keep one, or call one person.")
    return (people or found)[0]


def _skeleton(category: _Entry) -> Skeleton:
    """Return a category's keypoints as a tree."""
    joints, edges = category["keypoints"], category.get("skeleton") or []
    if not isinstance(joints, list) or not all(isinstance(joint, str) for joint in joints):
        raise DataError("the category's keypoints must be a list of names.")
    for edge in edges if isinstance(edges, list) else [edges]:
        ends = edge if isinstance(edge, list) else []
        if len(ends) != 2 or not all(type(end) is int and 1 <= end <= len(joints) for end in ends):
            raise DataError(f"skeleton has the edge {edge!r}; wanted: two numbers of keypoints, 1 to {len(joints)}.")
    parents = spanning_tree(len(joints), [(first - 1, second - 1) for first, second in edges])
    return Skeleton(joints=tuple(joints), parents=parents, mirror=mirror_pairs(joints), unit="px")


def _images(entries: Sequence[_Entry]) -> dict[int | str, _Entry]:
    """Return the images by their ids."""
    found: dict[int | str, _Entry] = {}
    for entry in entries:
        key = _id(entry, "id")
        if key in found:
            raise DataError(f"two images have the id {key!r}; wanted: one each.")
        if not isinstance(entry.get("file_name"), str) or not entry["file_name"]:
            raise DataError(f"the image of the id {key!r} has no file_name; give it one.")
        found[key] = entry
    return found


def _id(entry: _Entry, name: str) -> int | str:
    """Return an entry's id."""
    found = entry.get(name)
    if isinstance(found, int | str):
        return found
    raise DataError(f"an entry has the {name} {found!r}; wanted: a number.")


def _labelled(
    people: Sequence[_Entry], skeleton: Skeleton
) -> tuple[list[_Entry], Float64[np.ndarray, "people joints 3"]]:
    """Return the people with labelled keypoints, no crowds; and their keypoints: x, y, and 0, 1 or 2."""
    some = [entry for entry in people if not entry.get("iscrowd") and entry.get("keypoints")]
    count = len(skeleton.joints)

    def fault(row: int) -> str:
        return f"{_where(some[row])}: keypoints must be {3 * count} finite numbers, three for each of {count}."

    points = number_rows([entry["keypoints"] for entry in some], 3 * count, fault).reshape(-1, count, 3)
    wrong = ~np.isin(points[:, :, 2], (0, 1, 2))
    if wrong.any():
        row, joint = (int(place[0]) for place in np.nonzero(wrong))
        found = points[row, joint, 2]
        raise DataError(f"{_where(some[row])}: {skeleton.joints[joint]} has v = {found:g}; wanted: 0, 1 or 2.")
    rows = np.flatnonzero((points[:, :, 2] > 0).any(axis=1)).tolist()
    return [some[row] for row in rows], points[rows]


def _boxes(
    people: Sequence[_Entry],
    images: Sequence[_Entry],
    cropped: Bool[np.ndarray, " people"],
    points: Float64[np.ndarray, "people joints 3"],
) -> Int64[np.ndarray, "people 4"]:
    """Return the part of the image that is each one's picture: left, top, right, bottom.

    Boxes are of what is seen of a person; keypoints that are hidden can lie far from them, and belong to the picture.
    """

    def no_size(row: int) -> str:
        return f"image {images[row]['file_name']}: width and height must be numbers of pixels; add them."

    sizes = number_rows([[image.get("width"), image.get("height")] for image in images], 2, no_size)
    if (sizes < 1).any():
        raise DataError(no_size(int(np.argmax((sizes < 1).any(axis=1)))))
    boxes = np.concatenate([np.zeros_like(sizes), sizes], axis=1)
    rows = np.flatnonzero(cropped).tolist()

    def no_box(row: int) -> str:
        found = repr(people[rows[row]]["bbox"]) if "bbox" in people[rows[row]] else "missing"
        return f"{_where(people[rows[row]])}: bbox is {found}; wanted: [x, y, width, height], in the image."

    given = number_rows([people[row].get("bbox") for row in rows], 4, no_box)
    half = given[:, 2:] / 2 * _ENLARGED
    middle = given[:, :2] + given[:, 2:] / 2
    labelled, places = points[rows, :, 2:] > 0, points[rows, :, :2]
    first = np.where(labelled, np.floor(places), np.inf).min(axis=1)
    last = np.where(labelled, np.floor(places) + 1, -np.inf).max(axis=1)
    begin, end = np.minimum(np.floor(middle - half), first), np.maximum(np.ceil(middle + half), last)
    parts = np.concatenate([begin, end], axis=1)
    parts = np.clip(parts, 0, np.tile(sizes[rows], 2))
    apart = (np.floor(middle - half) >= sizes[rows]) | (np.ceil(middle + half) <= 0)
    empty = (given[:, 2:] <= 0).any(axis=1) | apart.any(axis=1)
    if empty.any():
        raise DataError(no_box(int(np.argmax(empty))))
    boxes[rows] = parts
    return boxes.astype(np.int64)


def _find(names: Sequence[str], file: Path) -> tuple[list[Path], list[str]]:
    """Find the images of a file: in a folder named as the end of its name, in `images/`, or where the file is."""
    homes = [file.parent.parent, file.parent] if file.parent.name == "annotations" else [file.parent]
    part = file.stem.rpartition("_")[2]
    folders = [home / place for home in homes for place in (part, f"images/{part}", "images", ".")]
    folders = [folder for folder in folders if folder.is_dir()]
    for folder in folders:
        if any((folder / name).is_file() for name in names[:_TRIED]):
            return find_listed(folder, names)
    return find_listed(folders[0], names)  # which says what is missing, and from where


def _where(entry: _Entry) -> str:
    """Name an annotation."""
    return f"the annotation of the id {entry.get('id')!r}"
