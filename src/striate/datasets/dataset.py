"""A data set before anything is decoded: names, where each picture comes from, and its label."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int64

from striate.datasets.labels import Labels
from striate.errors import DataError, nearest
from striate.images.sources import SourceImages
from striate.tasks.skeleton import Skeleton
from striate.tasks.vocabulary import Vocabulary

SplitName = Literal["train", "val", "test"]
SPLIT_NAMES: dict[SplitName, tuple[str, ...]] = {
    "train": ("train",),
    "val": ("val", "valid", "validation"),
    "test": ("test",),
}


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Labelled pictures: a name, a picture and a label each.

    `groups` names what samples are parts of, where several of one thing may not come into different splits.
    """

    names: tuple[str, ...]
    pictures: SourceImages
    labels: Labels
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert len(self.names) == len(self.pictures) == len(self.labels)
        assert len(self.groups) in (0, len(self.names))

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.names)

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> Samples:
        """Return some of the samples."""
        return Samples(
            names=tuple(self.names[index] for index in indices),
            pictures=self.pictures.take(indices),
            labels=self.labels.take(indices),
            groups=tuple(self.groups[index] for index in indices) if self.groups else (),
        )


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Labelled pictures in splits.

    Attributes:
        name: what a run of it is called.
        location: the folder, file or sample's name, as it was given.
        task: the task that its labels are for.
        samples: all of them.
        splits: indices into `samples`: `train`, and `val` (what the best weights are chosen by) and `test` where
            the layout has them; `open_data` completes them by `parted`.
        published: the split that the layout itself sets aside, or None where the parting is ours.
        val_is_ours: whether `val` was parted from the training samples by us.
        classes: class names, which labels and masks are indices of; none where joints are the labels.
        colours: of the classes in masks, RGB from 0 to 255; none where the data give none.
        skeleton: the joints, where they are the labels.
        mirror_safe: whether a mirror image can have the same label, or one that follows from it; it cannot for
            digits, nor where classes come as `left …` and `right …`.
    """

    name: str
    location: str
    task: str
    samples: Samples = field(repr=False)
    splits: Mapping[SplitName, Int64[np.ndarray, " chosen"]] = field(repr=False)
    published: SplitName | None = None
    val_is_ours: bool = False
    classes: tuple[str, ...] = ()
    colours: tuple[tuple[int, int, int], ...] = field(default=(), repr=False)
    skeleton: Skeleton | None = field(default=None, repr=False)
    mirror_safe: bool = True

    @property
    def vocabulary(self) -> Vocabulary:
        """What the labels are about."""
        return Vocabulary(classes=self.classes, colours=self.colours, skeleton=self.skeleton)

    def split(self, name: SplitName) -> Samples:
        """Return a split by its name; raises DataError where the data have none of that name, or an empty one."""
        if name not in self.splits or len(self.splits[name]) == 0:
            filled = ", ".join(split for split, indices in self.splits.items() if len(indices))
            raise DataError(f"{self.location}: there is no {name} split; there are: {filled}.")
        return self.samples.take(self.splits[name])

    def with_validation(self, seed: int = 0) -> Dataset:
        """Return the data with `val` set aside where the layout sets aside none, `published` and `mirror_safe` settled.

        A tenth of the training samples where there is a `test` split, which has the last word, else a fifth;
        which ones, `hold_out` tells.
        """
        published: SplitName | None = "test" if "test" in self.splits else "val" if "val" in self.splits else None
        splits = dict(self.splits)
        if "val" not in splits:
            train = splits.pop("train")
            kept = self.samples.take(train)
            held = hold_out(kept.groups or kept.names, kept.labels.strata(), 0.1 if "test" in splits else 0.2, seed)
            splits = {"train": train[~held], "val": train[held], **splits}
        mirror_safe = self.mirror_safe and not _have_sides(self.classes)
        ours = "val" not in self.splits
        return replace(self, splits=splits, published=published, val_is_ours=ours, mirror_safe=mirror_safe)

    def check_trainable(self) -> None:
        """Refuse what would silently teach nonsense.

        Raises:
            DataError: there is one class only, or a split holds no sample.
        """
        if len(self.classes) == 1:
            raise DataError(
                f"{self.location}: there is one class only ({self.classes[0]!r}); "
                "a network needs two or more to tell apart."
            )
        for name, indices in self.splits.items():
            if len(indices) == 0:
                raise DataError(
                    f"{self.location}: {len(self.samples)} images are too few to set some aside for {name}; "
                    f"add images, two or more{' a class' if self.classes else ''}."
                )


def split_called(name: str) -> SplitName | None:
    """Return the split that is meant by a folder's, or a table's, word for it; None where it is none."""
    return next((split for split, aliases in SPLIT_NAMES.items() if name in aliases), None)


def gather_splits(words: Sequence[str], where: Callable[[int], str]) -> dict[SplitName, Int64[np.ndarray, " chosen"]]:
    """Gather the samples of each split, from each sample's word for it.

    Raises:
        DataError: a word is none for a split (`where` names the sample), or no sample is for training.
    """
    meant = {word: split_called(word.strip().lower()) for word in dict.fromkeys(words)}
    for word, split in meant.items():
        if split is None:
            known = [alias for aliases in SPLIT_NAMES.values() for alias in aliases]
            hint = nearest(word, known)
            raise DataError(f"{where(words.index(word))}: {word!r} is no split{hint}; wanted: train, val or test.")
    if "train" not in meant.values():
        raise DataError("no sample is in the split train; name one that is to learn from.")
    of_sample = np.array([meant[word] for word in words])
    return {split: np.flatnonzero(of_sample == split) for split in SPLIT_NAMES if split in meant.values()}


def hold_out(
    names: Sequence[str], targets: Int64[np.ndarray, " samples"], fraction: float, seed: int = 0
) -> Bool[np.ndarray, " samples"]:
    """Choose which samples to set aside, by the hash of each one's name and a seed.

    A name is held out where that hash, read as a number in [0, 1), is below `fraction`: files that are
    added later move none of the others. What chance does to small classes is bounded: of every class at
    least half of its due share is held out, and at most one and a half times that, the lowest hashes first;
    of two names or more at least one, and never all. Samples of one name stay together.

    Args:
        names: of the samples, or of what they are parts of.
        targets: the class of each.
        fraction: 0 to 1: the share to hold out.
        seed: another one gives another choice.

    Returns: True for the samples that are held out, one per name.
    """
    held = np.zeros(len(names), dtype=bool)
    for target in np.unique(targets):
        members: dict[str, list[int]] = {}
        for place in np.flatnonzero(targets == target).tolist():
            members.setdefault(names[place], []).append(place)
        position = {name: _unit_hash(f"{name}\0{seed}" if seed else name) for name in members}
        due, size = fraction * len(members), len(members)
        least, most = max(round(due / 2), min(1, size - 1)), min(round(due * 1.5), size - 1)
        count = sum(hashed < fraction for hashed in position.values())
        for name in sorted(members, key=lambda name: position[name])[: max(least, min(count, most))]:
            held[members[name]] = True
    return held


def _have_sides(classes: Sequence[str]) -> bool:
    """Tell whether two classes have one name but for the words left and right."""
    names = {name.lower() for name in classes}
    return any(re.sub(r"(?<![a-z])left(?![a-z])", "right", name) in names - {name} for name in names)


def _unit_hash(text: str) -> float:
    """Hash a text to a number in [0, 1)."""
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=8).digest()) / 2**64
