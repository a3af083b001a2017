"""People with keypoints in the image, as COCO's JSON files have them; there is no third dimension.

A sample is a person with one labelled keypoint or more, no crowd. A person who is alone in the source image, annotated
or not, keeps all of it; where the source image holds several people, each one's image is cut out by the box of the
annotation, made a quarter larger, and larger still where labelled keypoints lie outside of it. Keypoints that are
labelled but hidden (v = 1) count as those that are seen (v = 2).

COCO's keypoints are pixel indices, counted from 0; ours are continuous, so half a pixel is added. COCO has edges
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

from striate.datasets.dataset import Dataset, Samples
from striate.datasets.files import find_listed, first_repeat
from striate.datasets.labels import JointLabels
from striate.datasets.layouts.json_files import count_keys, errors_in, number_rows, read_json
from striate.datasets.splits import SPLIT_NAMES, SplitName
from striate.errors import DataError, listing, nearest
from striate.images.crops import CroppedFiles
from striate.images.sources import ImageFiles
from striate.tasks.left_right import mirror_pairs
from striate.tasks.skeleton import Skeleton

logger = logging.getLogger(__name__)

DESCRIPTION = "COCO keypoints (.json)"

TASKS = ("pose",)
_KEYS = ("annotations", "images", "categories")
_ENLARGED = 1.25  # a box is drawn tightly; what is around tells left from right
_TRIED = 10  # images by which the folder of all is found

_Entry = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class _People:
    """The people of a file: an image file, a part of it and joints each."""

    skeleton: Skeleton
    paths: list[Path]
    names: list[str]
    boxes_px: Int64[np.ndarray, "people 4"]
    cropped: Bool[np.ndarray, " people"]
    uv_px: Float64[np.ndarray, "people joints 2"]

    def image_names(self, root: Path) -> list[str]:
        """Name each person's image by its path from the root; with a number where there are several."""
        listed = zip(self.paths, self.names, strict=True)
        plain = [path.relative_to(root).as_posix() if path.is_relative_to(root) else name for path, name in listed]
        people: Counter[str] = Counter()
        for index, name in enumerate(plain):
            people[name] += 1
            if self.cropped[index]:
                plain[index] = f"{name}#{people[name]}"
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
        with errors_in(file):
            parts[split] = _read(file)
    skeleton = parts["train"].skeleton
    for split, part in parts.items():
        if part.skeleton != skeleton:
            raise DataError(str(path), f"the keypoints of train and {split} differ", "give both the same keypoints")
    everyone = list(parts.values())
    paths = [path for part in everyone for path in part.paths]
    uv = np.concatenate([part.uv_px for part in everyone]).astype(np.float32)
    cropped = any(part.cropped.any() for part in everyone)
    boxes = np.concatenate([part.boxes_px for part in everyone])
    ends = np.cumsum([len(part.paths) for part in everyone])
    samples = Samples(
        names=tuple(name for part in everyone for name in part.image_names(root)),
        images=CroppedFiles(paths, boxes) if cropped else ImageFiles(paths),
        labels=JointLabels(
            skeleton=skeleton,
            xyz_mm=np.full((*uv.shape[:2], 3), np.nan, dtype=np.float32),
            uv_px=uv,
            visible=np.isfinite(uv[:, :, 0]),
        ),
        groups=tuple(map(str, paths)),  # people of one image stay in one split
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
    """Find the file of each split; a file alone is all for training, until `val` is held out."""
    if not path.is_dir():
        return {"train": path}
    documents: dict[SplitName, Path] = {}
    for split in SPLIT_NAMES:
        files = sorted(path.glob(f"annotations/person_keypoints_{split}*.json"))
        if len(files) > 1:
            raise DataError(str(path), f"{listing(file.name for file in files)} are all there", "keep one of them")
        if files:
            documents[split] = files[0]
    if "train" not in documents:
        what = "there is no annotations/person_keypoints_train*.json"
        raise DataError(str(path), what, f"wanted: {DESCRIPTION}")
    return documents


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
            raise DataError(key, f"must be a list of one object or more{hint}")
    category = _category(document["categories"])
    skeleton = _skeleton(category)
    images = _images(document["images"])
    people = [entry for entry in document["annotations"] if entry.get("category_id") == category.get("id")]
    for entry in people:
        if _id(entry, "image_id") not in images:
            raise DataError(_where(entry), f"there is no image of the id {entry.get('image_id')!r}")
    several = Counter(entry["image_id"] for entry in people)
    chosen, points = _labelled(people, skeleton)
    if len(chosen) < len(people):
        logger.info(f"{file}: passed over {len(people) - len(chosen):,} people: crowds, or without keypoints")
    if not chosen:
        raise DataError("annotations", "nobody has keypoints", "give annotations with keypoints")
    cropped = np.array([several[entry["image_id"]] > 1 for entry in chosen])
    boxes = _boxes(chosen, [images[entry["image_id"]] for entry in chosen], cropped, points)
    shown = list(dict.fromkeys(entry["image_id"] for entry in chosen))
    paths, names = _find([images[key]["file_name"] for key in shown], file)
    if repeat := first_repeat(paths):
        raise DataError("images", f"two are the same file, {names[repeat[0]]}", "list each once")
    index_of = {key: index for index, key in enumerate(shown)}
    uv = points[:, :, :2] + 0.5 - boxes[:, None, :2]
    uv[points[:, :, 2] == 0] = np.nan
    return _People(
        skeleton=skeleton,
        paths=[paths[index_of[entry["image_id"]]] for entry in chosen],
        names=[names[index_of[entry["image_id"]]] for entry in chosen],
        boxes_px=boxes,
        cropped=cropped,
        uv_px=uv,
    )


def _category(categories: Sequence[_Entry]) -> _Entry:
    """Return the category that has keypoints; people, where several have."""
    candidates = [category for category in categories if category.get("keypoints")]
    people = [category for category in candidates if category.get("name") == "person"]
    if not candidates:
        fix = "give COCO's annotations of keypoints, not those of boxes"
        raise DataError("categories", "none has keypoints", fix)
    if len(people or candidates) > 1:
        names = listing(category.get("name") for category in candidates)
        raise DataError("categories", f"several have keypoints ({names})", "keep one, or call one person")
    return (people or candidates)[0]


def _skeleton(category: _Entry) -> Skeleton:
    """Return a category's keypoints as a tree."""
    joints, edges = category["keypoints"], category.get("skeleton") or []
    if not isinstance(joints, list) or not all(isinstance(joint, str) for joint in joints):
        raise DataError("categories", "keypoints must be a list of names")
    for edge in edges if isinstance(edges, list) else [edges]:
        ends = edge if isinstance(edge, list) else []
        if len(ends) != 2 or not all(type(end) is int and 1 <= end <= len(joints) for end in ends):
            fix = f"wanted: two numbers of keypoints, 1 to {len(joints)}"
            raise DataError("categories", f"skeleton has the edge {edge!r}", fix)
    parents = spanning_tree(len(joints), [(first - 1, second - 1) for first, second in edges])
    return Skeleton(joints=tuple(joints), parents=parents, mirror=mirror_pairs(joints), unit="px")


def _images(entries: Sequence[_Entry]) -> dict[int | str, _Entry]:
    """Return the images by their ids."""
    by_id: dict[int | str, _Entry] = {}
    for entry in entries:
        key = _id(entry, "id")
        if key in by_id:
            raise DataError("images", f"two have the id {key!r}", "give each its own")
        if not isinstance(entry.get("file_name"), str) or not entry["file_name"]:
            raise DataError("images", f"that of the id {key!r} has no file_name", "give it one")
        by_id[key] = entry
    return by_id


def _id(entry: _Entry, name: str) -> int | str:
    """Return an entry's id."""
    value = entry.get(name)
    if isinstance(value, int | str):
        return value
    raise DataError("", f"an entry has the {name} {value!r}", "wanted: a number")


def _labelled(
    people: Sequence[_Entry], skeleton: Skeleton
) -> tuple[list[_Entry], Float64[np.ndarray, "people joints 3"]]:
    """Return the people with labelled keypoints, no crowds; and their keypoints: x, y, and 0, 1 or 2."""
    annotated = [entry for entry in people if not entry.get("iscrowd") and entry.get("keypoints")]
    count = len(skeleton.joints)

    def fault(row: int) -> DataError:
        what = f"keypoints must be {3 * count} finite numbers, three for each of {count}"
        return DataError(_where(annotated[row]), what)

    points = number_rows([entry["keypoints"] for entry in annotated], 3 * count, fault).reshape(-1, count, 3)
    wrong = ~np.isin(points[:, :, 2], (0, 1, 2))
    if wrong.any():
        row, joint = (int(indices[0]) for indices in np.nonzero(wrong))
        what = f"{skeleton.joints[joint]} has v = {points[row, joint, 2]:g}"
        raise DataError(_where(annotated[row]), what, "wanted: 0, 1 or 2")
    rows = np.flatnonzero((points[:, :, 2] > 0).any(axis=1)).tolist()
    return [annotated[row] for row in rows], points[rows]


def _boxes(
    people: Sequence[_Entry],
    images: Sequence[_Entry],
    cropped: Bool[np.ndarray, " people"],
    points: Float64[np.ndarray, "people joints 3"],
) -> Int64[np.ndarray, "people 4"]:
    """Return the part of the source image that is each person's image: left, top, right, bottom.

    Boxes are of what is seen of a person; keypoints that are hidden can lie far from them, and belong to the image.
    """

    def no_size(row: int) -> DataError:
        what = "width and height must be numbers of pixels"
        return DataError(f"image {images[row]['file_name']}", what, "add them")

    sizes = number_rows([[image.get("width"), image.get("height")] for image in images], 2, no_size)
    if (sizes < 1).any():
        raise no_size(int(np.argmax((sizes < 1).any(axis=1))))
    boxes = np.concatenate([np.zeros_like(sizes), sizes], axis=1)
    rows = np.flatnonzero(cropped).tolist()

    def no_box(row: int) -> DataError:
        person = people[rows[row]]
        what = f"bbox is {person['bbox']!r}" if "bbox" in person else "bbox is missing"
        return DataError(_where(person), what, "wanted: [x, y, width, height], in the image")

    tight = number_rows([people[row].get("bbox") for row in rows], 4, no_box)
    half = tight[:, 2:] / 2 * _ENLARGED
    middle = tight[:, :2] + tight[:, 2:] / 2
    labelled, positions = points[rows, :, 2:] > 0, points[rows, :, :2]
    first = np.where(labelled, np.floor(positions), np.inf).min(axis=1)
    last = np.where(labelled, np.floor(positions) + 1, -np.inf).max(axis=1)
    begin, end = np.minimum(np.floor(middle - half), first), np.maximum(np.ceil(middle + half), last)
    parts = np.concatenate([begin, end], axis=1)
    parts = np.clip(parts, 0, np.tile(sizes[rows], 2))
    apart = (np.floor(middle - half) >= sizes[rows]) | (np.ceil(middle + half) <= 0)
    empty = (tight[:, 2:] <= 0).any(axis=1) | apart.any(axis=1)
    if empty.any():
        raise no_box(int(np.argmax(empty)))
    boxes[rows] = parts
    return boxes.astype(np.int64)


def _find(names: Sequence[str], file: Path) -> tuple[list[Path], list[str]]:
    """Find the images of a file: in a folder named as the end of its name, in `images/`, or where the file is."""
    homes = [file.parent.parent, file.parent] if file.parent.name == "annotations" else [file.parent]
    part = file.stem.rpartition("_")[2]
    folders = [home / name for home in homes for name in (part, f"images/{part}", "images", ".")]
    folders = [folder for folder in folders if folder.is_dir()]
    for folder in folders:
        if any((folder / name).is_file() for name in names[:_TRIED]):
            return find_listed(folder, names)
    return find_listed(folders[0], names)  # which says what is missing, and from where


def _where(entry: _Entry) -> str:
    """Name an annotation."""
    return f"the annotation of the id {entry.get('id')!r}"
