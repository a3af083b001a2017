"""What layouts of images with masks share: pairs of files, and what the masks' values are called."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from striate.data.dataset import SPLIT_NAMES, Dataset, Samples, SplitName, split_called
from striate.data.files import find_images, names_below, subfolders
from striate.data.labels import MaskLabels
from striate.data.masks import MOST_CLASSES, UNKNOWN, Colour, MaskedFiles, MaskReading, MaskSeen, look_at_mask
from striate.data.pictures import NO_LABEL
from striate.errors import DataError, ImageError, listing, nearest
from striate.progress import progress_bar, say

_MAPS = ("classes.json", "colors.json", "colours.json")
_MEANS_NO_LABEL = {"void", "ignore", "ignored", "unlabeled", "unlabelled", "no label"}
_SPLIT_LIKE = {"training", "dev", "testing", *(alias for aliases in SPLIT_NAMES.values() for alias in aliases)}
_OTHER_FORMATS = (".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".pgm", ".ppm")
_EXAMPLE = '{"background": "#000000", "object": "#ffffff"}'


@dataclass(frozen=True, kw_only=True)
class MaskClasses:
    """The classes of masks: their names, their colours (or none), and how mask files are read."""

    classes: tuple[str, ...]
    colours: tuple[Colour, ...]
    reading: MaskReading


@dataclass(kw_only=True)
class _Ignored:
    """What shall be no label: classes by name, values and colours that are no class's."""

    names: set[str] = field(default_factory=set)
    values: set[int] = field(default_factory=lambda: {NO_LABEL})
    colours: set[Colour] = field(default_factory=set)


def read_pairs(
    location: str, task: str, folders: Mapping[SplitName, tuple[Path, Path]], ignore: tuple[str, ...]
) -> Dataset:
    """List the images and masks of splits, given a folder of images and one of masks for each.

    Raises:
        DataError: see `pair` and `read_classes`.
    """
    root = Path(location)
    images: list[Path] = []
    masks: list[Path] = []
    splits: dict[SplitName, Int64[np.ndarray, " chosen"]] = {}
    for split, (image_folder, mask_folder) in folders.items():
        begin = len(images)
        for image, mask in pair(image_folder, mask_folder):
            images.append(image)
            masks.append(mask)
        splits[split] = np.arange(begin, len(images))
    found = read_classes(root, masks, ignore)
    samples = Samples(
        names=names_below(root, images),
        pictures=MaskedFiles(images, masks, found.reading),
        labels=MaskLabels(len(images)),
    )
    return Dataset(
        name=root.resolve().name,
        location=location,
        task=task,
        samples=samples,
        splits=splits,
        classes=found.classes,
        colours=found.colours,
    )


def split_folders(folder: Path, beside: Collection[str] = ()) -> dict[SplitName, Path]:
    """Find the folders in a folder that are splits; none where it has no `train`, nor what looks like a split.

    Folders called as in `beside` belong there; others beside `train` are passed over, which is said.

    Raises:
        DataError: there are two of one split, some but not `train`, or one whose name is not quite that of a split.
    """
    names = [path.name for path in subfolders(folder) if path.name not in beside]
    found: dict[SplitName, Path] = {}
    for name in names:
        split = split_called(name)
        if split in found:
            raise DataError(f"{folder}: {found[split].name} and {name} are both there; keep one of them.")
        if split:
            found[split] = folder / name
    strange = [name for name in names if split_called(name) is None and name.lower() in _SPLIT_LIKE]
    if strange or (found and "train" not in found):
        named = listing(strange or [path.name for path in found.values()])
        lacking = "" if "train" in found else ", and no train"
        raise DataError(f"{folder}: {named}{lacking}? Call splits train, val and test (in lower case).")
    others = [name for name in names if split_called(name) is None]
    if found and others:
        say(f"{folder}: passed over, beside {listing(found)}: {listing(others)}")
    return {split: found[split] for split in SPLIT_NAMES if split in found}


def pair(image_folder: Path, mask_folder: Path) -> list[tuple[Path, Path]]:
    """Find the mask of every image: the file of the same path without suffix, or of that and `_mask` or `-mask`.

    Raises:
        DataError: a file is no image, an image has no mask or two, or a mask no image; or there are no images.
    """
    images = _by_name(image_folder)
    if not images:
        raise DataError(f"{image_folder}: there are no images; add some, and their masks to {mask_folder}.")
    masks = _by_name(mask_folder, known=images)
    unread = [path for path in masks.values() if path.suffix.lower() in _OTHER_FORMATS]
    if unread:
        why = (
            "JPEG changes values"
            if unread[0].suffix.lower() in _OTHER_FORMATS[:2]
            else "masks of this kind are not read"
        )
        raise DataError(f"{listing(unread)}: {why}; save masks as PNG.")
    bare = [path for name, path in images.items() if name not in masks]
    if bare:
        raise DataError(
            f"{listing(bare)}: no mask in {mask_folder} has that name (its suffix may differ); "
            "add one, or move the image away."
        )
    lonely = [path for name, path in masks.items() if name not in images]
    if lonely:
        raise DataError(f"{listing(lonely)}: no image in {image_folder} has that name; add it, or move the mask away.")
    return [(path, masks[name]) for name, path in images.items()]


def _by_name(folder: Path, known: Collection[str] = ()) -> dict[str, Path]:
    """List a folder's images by their path without suffix, and without `_mask` where only that makes it known."""
    paths, others = find_images(folder)
    if others:
        raise DataError(f"{listing(others)}: no image; move what is no image away from images and masks.")
    found: dict[str, Path] = {}
    for path in paths:
        name = path.relative_to(folder).with_suffix("").as_posix()
        bare = re.sub("[_-]mask$", "", name)
        if known and name not in known and bare in known:
            name = bare
        if name in found:
            raise DataError(
                f"{found[name]} and {path}: one name for both, and images and masks are paired by name; "
                "rename or remove one."
            )
        found[name] = path
    return found


def read_classes(root: Path, masks: Sequence[Path], ignore: tuple[str, ...] = ()) -> MaskClasses:
    """Find out what the values or colours of masks are called.

    `classes.txt` has a name a line; the first line is that of value 0. `classes.json` (or `colors.json`,
    `colours.json`) maps names to colours, `"#804080"` or `[128, 64, 128]`, in the order of their values. Where both
    are there they must have the same names, and `classes.txt` says their order. Where none is, values are looked up
    in all masks, and are names themselves. Classes called void, ignore, ignored, unlabeled or no label are none.

    Args:
        root: the folder with these files.
        masks: the mask files.
        ignore: what else is no label: names of classes, else values (0 to 255) or colours (`#804080`).

    Raises:
        DataError: these files make no sense, or the masks do not fit them.
    """
    names, colours = _named_classes(root)
    ignored = _ignored(root, names, colours, ignore)
    greys_are_colours = bool(colours) and all(len(set(colour)) == 1 for colour in colours.values())
    if names:
        first = _check_values(root, masks, greys_are_colours=greys_are_colours, mapped=bool(colours))
    else:
        names, first = _find_classes(root, masks, ignored.values)
        ignored.names |= {names[value] for value in ignored.values if value < len(names)}
    kept = tuple(name for name in names if name not in ignored.names)
    if not kept or len(kept) > MOST_CLASSES:
        raise DataError(f"{root}: {len(kept)} classes; wanted: 1 to {MOST_CLASSES} that are not ignored.")
    index = {name: kept.index(name) if name in kept else NO_LABEL for name in names}
    by_value = [index[name] for name in names][:NO_LABEL] + [UNKNOWN] * (256 - len(names[:NO_LABEL]))
    for value in ignored.values:
        by_value[value] = NO_LABEL
    by_colour = [(colour, index[name]) for name, colour in colours.items()]
    by_colour += [(colour, NO_LABEL) for colour in sorted(ignored.colours)] if colours else []
    shown = [colours[name] for name in kept] if colours else _of_palette(first, [names.index(name) for name in kept])
    return MaskClasses(
        classes=kept,
        colours=tuple(shown),
        reading=MaskReading(values=tuple(by_value), colours=tuple(by_colour), greys_are_colours=greys_are_colours),
    )


def _named_classes(root: Path) -> tuple[list[str], dict[str, Colour]]:
    """Read the names of classes in order, and their colours; nothing where there are no such files."""
    maps = [root / name for name in _MAPS if (root / name).is_file()]
    if len(maps) > 1:
        raise DataError(f"{root}: {listing(path.name for path in maps)} are all there; keep one of them.")
    colours = _read_map(maps[0]) if maps else {}
    listed = root / "classes.txt"
    if not listed.is_file():
        return list(colours), colours
    names = _read_names(listed)
    if colours and set(colours) != set(names):
        differing = sorted(set(colours) ^ set(names))
        raise DataError(f"{listed} and {maps[0].name}: only one of them has {listing(differing)}; make them agree.")
    return names, colours


def _read_names(path: Path) -> list[str]:
    """Read one name a line."""
    names = [line.strip() for line in _text(path).rstrip().splitlines()]
    if not names:
        raise DataError(f"{path}: there is nothing in it; wanted: the name of a class a line.")
    for line, name in enumerate(names, start=1):
        if not name:
            raise DataError(f"{path}: line {line} is empty; wanted: the name of the class with the value {line - 1}.")
        if name in names[: line - 1]:
            raise DataError(f"{path}: line {line} has {name!r} again; wanted: a name of its own for each class.")
    return names


def _read_map(path: Path) -> dict[str, Colour]:
    """Read names and colours."""
    wanted = f"wanted: names and colours, such as {_EXAMPLE}"
    try:
        entries = json.loads(_text(path), object_pairs_hook=lambda pairs: pairs)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: no JSON ({error}); {wanted}.") from None
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, tuple) for entry in entries):
        raise DataError(f"{path}: no object of names and colours; {wanted}.")
    found: dict[str, Colour] = {}
    for name, value in entries:
        colour = _colour(value)
        if colour is None:
            raise DataError(f"{path}: {name!r} has the colour {json.dumps(value)}; {wanted}, or [128, 64, 128].")
        if not name.strip() or name.strip() in found:
            raise DataError(f"{path}: {name!r} is there twice, or empty; wanted: a name of its own for each class.")
        if colour in found.values():
            same = next(known for known in found if found[known] == colour)
            raise DataError(f"{path}: {same!r} and {name!r} have one colour; wanted: one of its own for each class.")
        found[name.strip()] = colour
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path}: no text in UTF-8; save it as such.") from None


def _colour(value: object) -> Colour | None:
    """Read `"#804080"` or `[128, 64, 128]`; None where it is neither."""
    if isinstance(value, str) and re.fullmatch("#[0-9a-fA-F]{6}", value):
        red, green, blue = bytes.fromhex(value[1:])
        return red, green, blue
    if isinstance(value, list) and len(value) == 3 and all(type(part) is int and 0 <= part < 256 for part in value):
        return value[0], value[1], value[2]
    return None


def _ignored(root: Path, names: list[str], colours: dict[str, Colour], ignore: tuple[str, ...]) -> _Ignored:
    """Settle what is no label: what is called so, and what the user names."""
    found = _Ignored()
    found.names = {name for name in names if re.sub("[ _-]+", " ", name).casefold() in _MEANS_NO_LABEL}
    if found.names:
        say(f"{root}: counts as no label: {listing(sorted(found.names))} (give it another name to make it a class)")
    owners = {colour: name for name, colour in colours.items()}
    for text in ignore:
        colour = _colour(text)
        if text in names:
            found.names.add(text)
        elif colour is not None:
            if colour in owners:
                found.names.add(owners[colour])
            found.colours |= {colour} - set(owners)
        elif re.fullmatch("[0-9]{1,3}", text) and int(text) <= NO_LABEL:
            found.names |= set(names[int(text) : int(text) + 1])
            found.values.add(int(text))
        else:
            raise DataError(
                f"--ignore {text}: no class of {root}{nearest(text, names)}; "
                "wanted: a class, a value from 0 to 255, or a colour such as #804080."
            )
    return found


def _check_values(root: Path, masks: Sequence[Path], *, greys_are_colours: bool, mapped: bool) -> MaskSeen:
    """Refuse masks that need colours, or hold nothing but 0 and 255; return what the first mask holds.

    Looking stops at the first mask that tells, which most often is the first.
    """
    first, found = None, set()
    for path in masks:
        try:
            seen = look_at_mask(path)
        except ImageError:
            continue  # decoding says what is wrong with it
        first = first or seen
        _refuse_colours(root, path, seen, mapped=mapped)
        found |= set(seen.values)
        if (mapped and (seen.colours or seen.palette or greys_are_colours)) or not found <= {0, NO_LABEL}:
            return first
    _refuse_only_255(root, found)
    return first or MaskSeen()


def _find_classes(root: Path, masks: Sequence[Path], ignored: set[int]) -> tuple[list[str], MaskSeen]:
    """Name classes by the values in all masks; also return what the first mask holds."""
    found: set[int] = set()
    first: MaskSeen | None = None
    failure: ImageError | None = None
    with progress_bar("looking for classes", len(masks)) as advance:
        for path in masks:
            advance(1)
            try:
                seen = look_at_mask(path)
            except ImageError as error:
                failure = failure or error  # decoding says what is wrong with it
                continue
            _refuse_colours(root, path, seen, mapped=False)
            if seen.values[-1] > NO_LABEL or seen.values[0] < 0:
                stray = next(value for value in reversed(seen.values) if not 0 <= value <= NO_LABEL)
                raise DataError(f"{path}: the value {stray}; wanted: 0 to 254 for classes, 255 for no label.")
            first = first or seen
            found |= set(seen.values)
    if first is None and failure is not None:
        raise failure
    classes = sorted(found - ignored)
    _refuse_only_255(root, found)
    highest = classes[-1] if classes else 0
    if len(classes) < (highest + 1) / 2:
        raise DataError(
            f"{root}: masks hold only the values {listing(classes, 5)}, which are no indices of classes; "
            f"say what they mean in classes.json, such as {_EXAMPLE}."
        )
    unseen = listing(sorted(set(range(highest)) - set(classes)))
    say(
        f"{root}: classes are the values found in masks, 0 to {highest}{f' (but no {unseen})' if unseen else ''}; "
        "classes.txt can name them, one a line"
    )
    return [str(value) for value in range(highest + 1)], first or MaskSeen()


def _refuse_colours(root: Path, path: Path, seen: MaskSeen, *, mapped: bool) -> None:
    if seen.colours and not mapped:
        raise DataError(
            f"{path}: a mask in colours ({listing(seen.colours, 5)}), and nothing says which class each is; "
            f"write them to {root / 'classes.json'}, such as {_EXAMPLE}."
        )


def _refuse_only_255(root: Path, values: set[int]) -> None:
    if NO_LABEL in values and values <= {0, NO_LABEL}:
        raise DataError(
            f"{root}: masks hold only 0 and 255, and 255 means no label; if it is a class, "
            f"say so by colours in classes.json: {_EXAMPLE}."
        )


def _of_palette(seen: MaskSeen, values: Sequence[int]) -> list[Colour]:
    """Return the colours of some of a palette's indices, if they can be told apart; else none."""
    colours = [seen.palette[value] for value in values if value < len(seen.palette)]
    return colours if len(colours) == len(values) == len(set(colours)) else []
