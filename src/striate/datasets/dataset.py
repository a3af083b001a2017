"""A data set before anything is decoded: names, source images and labels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Int64

from striate.datasets.labels import Labels
from striate.datasets.splits import SplitName, hold_out
from striate.errors import DataError
from striate.images.planes import Sources
from striate.images.sources import SourceImages
from striate.tasks.skeleton import Skeleton
from striate.tasks.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Labelled images: a name, a source image and a label each.

    Attributes:
        names: such as paths in the data set's folder.
        images: where the images come from.
        labels: what they show.
        groups: names what samples are parts of; samples of one group stay in one split. Empty: there are no groups.
    """

    names: tuple[str, ...]
    images: SourceImages
    labels: Labels
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert len(self.names) == len(self.images) == len(self.labels)
        assert len(self.groups) in (0, len(self.names))

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.names)

    @property
    def sources(self) -> Sources:
        """What is decoded: the images and, for labels that have them, the label planes."""
        return Sources(self.images, self.labels.planes)

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> Samples:
        """Return a selection of the samples."""
        return Samples(
            names=tuple(self.names[index] for index in indices),
            images=self.images.take(indices),
            labels=self.labels.take(indices),
            groups=tuple(self.groups[index] for index in indices) if self.groups else (),
        )


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Labelled images in splits.

    Attributes:
        name: what a run on it is called.
        location: the folder, file or sample's name, as the user wrote it.
        task: the task that its labels are for.
        samples: all samples.
        splits: indices into `samples`: `train`, and `val` (for choosing the best weights) and `test` where the layout
            has them; `open_data` completes them by `with_validation`.
        official_split: the split that the layout itself sets aside for evaluation, or None where it has none.
        val_is_held_out: whether `val` was held out from the training samples by `with_validation`.
        classes: class names, which labels and masks are indices of; none where joints are the labels.
        colours: of the classes in masks, RGB from 0 to 255; none where the data have none.
        skeleton: the joints, where they are the labels.
        mirror_safe: whether a mirror image can have the same label, or one that follows from it; it cannot for
            digits, nor where classes come as `left …` and `right …`.
    """

    name: str
    location: str
    task: str
    samples: Samples = field(repr=False)
    splits: Mapping[SplitName, Int64[np.ndarray, " chosen"]] = field(repr=False)
    official_split: SplitName | None = None
    val_is_held_out: bool = False
    classes: tuple[str, ...] = ()
    colours: tuple[tuple[int, int, int], ...] = field(default=(), repr=False)
    skeleton: Skeleton | None = field(default=None, repr=False)
    mirror_safe: bool = True

    @property
    def vocabulary(self) -> Vocabulary:
        """What the labels are about."""
        return Vocabulary(classes=self.classes, colours=self.colours, skeleton=self.skeleton)

    def aligned_to(self, known: Vocabulary) -> Dataset:
        """Return the data with labels in the terms of a network; raises DataError where it does not know these.

        Args:
            known: what the network's labels were about.
        """
        try:
            labels = self.samples.labels.aligned_to(self.vocabulary, known)
        except DataError as error:
            raise error.at(self.location) from None
        return replace(
            self,
            samples=replace(self.samples, labels=labels),
            classes=known.classes,
            colours=known.colours,
            skeleton=known.skeleton,
        )

    def split(self, name: SplitName) -> Samples:
        """Return the samples of a split; raises DataError where the data have no such split, or an empty one."""
        if name not in self.splits or len(self.splits[name]) == 0:
            filled = ", ".join(split for split, indices in self.splits.items() if len(indices))
            raise DataError(self.location, f"there is no {name} split; there are: {filled}")
        return self.samples.take(self.splits[name])

    def with_validation(self, seed: int = 0) -> Dataset:
        """Return the data with a `val` split, held out by `hold_out` where the layout has none.

        A tenth of the training samples where there is a `test` split, which has the last word, else a fifth. Also
        settles `official_split` and `mirror_safe`.
        """
        splits = dict(self.splits)
        held_out = "val" not in splits
        if held_out:
            train = splits.pop("train")
            kept = self.samples.take(train)
            held = hold_out(kept.groups or kept.names, kept.labels.strata(), 0.1 if "test" in splits else 0.2, seed)
            splits = {"train": train[~held], "val": train[held], **splits}
        return replace(
            self,
            splits=splits,
            official_split="test" if "test" in self.splits else "val" if "val" in self.splits else None,
            val_is_held_out=held_out,
            mirror_safe=self.mirror_safe and not _have_sides(self.classes),
        )

    def check_trainable(self) -> None:
        """Check that a network can learn something from the data.

        Raises:
            DataError: there is one class only, or a split holds no sample.
        """
        if len(self.classes) == 1:
            raise DataError(
                self.location,
                f"there is one class only ({self.classes[0]!r})",
                "add images of another class; a network needs two or more to tell apart",
            )
        for name, indices in self.splits.items():
            if len(indices) == 0:
                raise DataError(
                    self.location,
                    f"{len(self.samples)} images are too few to set some aside for {name}",
                    f"add images, two or more{' per class' if self.classes else ''}",
                )


def _have_sides(classes: Sequence[str]) -> bool:
    """Tell whether two classes have one name but for the words left and right."""
    names = {name.lower() for name in classes}
    return any(re.sub(r"(?<![a-z])left(?![a-z])", "right", name) in names - {name} for name in names)
