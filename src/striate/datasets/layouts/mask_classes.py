"""What the values or colours of masks are called: classes.txt, classes.json, what is no label, thresholds."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from striate.errors import ConfigError, DataError, ImageError, listing, nearest
from striate.images.mask_files import Colour, MaskContent, scan_greys, scan_mask
from striate.images.masks import MOST_CLASSES, UNKNOWN, MaskReading, coloured_for_threshold
from striate.images.planes import NO_LABEL
from striate.system.progress import progress_bar

logger = logging.getLogger(__name__)

_MAPS = ("classes.json", "colors.json", "colours.json")
_MEANS_NO_LABEL = {"void", "ignore", "ignored", "unlabeled", "unlabelled", "no label"}
_EXAMPLE = '{"background": "#000000", "object": "#ffffff"}'
_TWO = ("background", "object")  # the classes of a threshold, where nothing else names them


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


def read_classes(
    root: Path, masks: Sequence[Path], ignore: tuple[str, ...] = (), threshold: int | None = None
) -> MaskClasses:
    """Find out what the values or colours of masks are called.

    `classes.txt` has one name per line; the first line is that of value 0. `classes.json` (or `colors.json`,
    `colours.json`) maps names to colours, `"#804080"` or `[128, 64, 128]`, in the order of their values. Where both
    are there they must have the same names, and `classes.txt` says their order. Where none is, values are looked up
    in all masks, and are names themselves. Classes called void, ignore, ignored, unlabeled or no label are none.
    With a threshold there are two classes, which have those names if there are two of them.

    Args:
        root: the folder with these files.
        masks: the mask files.
        ignore: what else is no label: names of classes, else values (0 to 255) or colours (`#804080`).
        threshold: the lowest grey of the second of two classes.

    Raises:
        DataError: these files make no sense, or the masks do not fit them.
    """
    if threshold is not None:
        return _split_by_threshold(threshold, root, masks)
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
        raise DataError(str(root), f"{len(kept)} classes", f"wanted: 1 to {MOST_CLASSES} that are not ignored")
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


def _split_by_threshold(threshold: int, root: Path, masks: Sequence[Path]) -> MaskClasses:
    """Name the two classes that a threshold makes of greys, the darker one first."""
    names, colours = _named_classes(root)
    if len(names) != 2:
        if names:
            logger.info(f"{root}: names {len(names)} classes, but --threshold makes two: they are {' and '.join(_TWO)}")
        names, colours = list(_TWO), {}
    elif colours and all(len(set(colour)) == 1 for colour in colours.values()):
        names.sort(key=colours.__getitem__)
    _check_threshold(threshold, root, masks)
    shown = tuple(colours[name] for name in names if colours)
    return MaskClasses(classes=tuple(names), colours=shown, reading=MaskReading(threshold=threshold))


def _check_threshold(threshold: int, root: Path, masks: Sequence[Path]) -> None:
    """Refuse coloured masks, and a threshold that all greys are on one side of; stops when both sides are seen."""
    greys: set[int] = set()
    for path in masks:
        try:
            seen = scan_greys(path)
        except ImageError:
            continue  # decoding says what is wrong with it
        if seen.colours:
            raise DataError(str(path), *coloured_for_threshold(seen.colours))
        greys |= set(seen.values)
        if min(greys) < threshold <= max(greys):
            return
    if greys:
        side = "below it" if max(greys) < threshold else "not below it"
        values = listing(sorted(greys), 5)
        raise DataError(
            str(root),
            f"--threshold {threshold} leaves one class, as all values in masks ({values}) are {side}",
            "give a threshold between the values of two classes",
        )


def _named_classes(root: Path) -> tuple[list[str], dict[str, Colour]]:
    """Read the names of classes in order, and their colours; nothing where there are no such files."""
    maps = [root / name for name in _MAPS if (root / name).is_file()]
    if len(maps) > 1:
        raise DataError(str(root), f"{listing(path.name for path in maps)} are all there", "keep one of them")
    colours = _read_map(maps[0]) if maps else {}
    listed = root / "classes.txt"
    if not listed.is_file():
        return list(colours), colours
    names = _read_names(listed)
    if colours and set(colours) != set(names):
        differing = sorted(set(colours) ^ set(names))
        where = f"{listed} and {maps[0].name}"
        raise DataError(where, f"only one of them has {listing(differing)}", "make them agree")
    return names, colours


def _read_names(path: Path) -> list[str]:
    """Read one name per line."""
    names = [line.strip() for line in _text(path).rstrip().splitlines()]
    if not names:
        raise DataError(str(path), "there is nothing in it", "write the name of one class per line")
    for line, name in enumerate(names, start=1):
        where = f"{path}, line {line}"
        if not name:
            raise DataError(where, "is empty", f"give the name of the class with the value {line - 1}")
        if name in names[: line - 1]:
            raise DataError(where, f"has {name!r} again", "give each class its own name")
    return names


def _read_map(path: Path) -> dict[str, Colour]:
    """Read names and colours."""
    wanted = f"wanted: names and colours, such as {_EXAMPLE}"
    try:
        entries = json.loads(_text(path), object_pairs_hook=lambda pairs: pairs)
    except (ValueError, RecursionError) as error:
        raise DataError(str(path), f"no JSON ({error})", wanted) from None
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, tuple) for entry in entries):
        raise DataError(str(path), "no object of names and colours", wanted)
    colours: dict[str, Colour] = {}
    for name, value in entries:
        colour = _colour(value)
        if colour is None:
            what = f"{name!r} has the colour {json.dumps(value)}"
            raise DataError(str(path), what, f"{wanted}, or [128, 64, 128]")
        if not name.strip() or name.strip() in colours:
            raise DataError(str(path), f"{name!r} is there twice, or empty", "give each class its own name")
        if colour in colours.values():
            same = next(known for known in colours if colours[known] == colour)
            raise DataError(str(path), f"{same!r} and {name!r} have one colour", "give each class its own colour")
        colours[name.strip()] = colour
    return colours


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(str(path), "is not UTF-8 text", "save it as UTF-8") from None


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
    ignored = _Ignored()
    ignored.names = {name for name in names if re.sub("[ _-]+", " ", name).casefold() in _MEANS_NO_LABEL}
    if ignored.names:
        logger.info(
            f"{root}: counts as no label: {listing(sorted(ignored.names))} (give it another name to make it a class)"
        )
    owners = {colour: name for name, colour in colours.items()}
    for text in ignore:
        colour = _colour(text)
        if text in names:
            ignored.names.add(text)
        elif colour is not None:
            if colour in owners:
                ignored.names.add(owners[colour])
            ignored.colours |= {colour} - set(owners)
        elif re.fullmatch("[0-9]{1,3}", text) and int(text) <= NO_LABEL:
            ignored.names |= set(names[int(text) : int(text) + 1])
            ignored.values.add(int(text))
        else:
            raise ConfigError(
                "ignore",
                f"{text} is no class of {root}{nearest(text, names)}",
                "give a class, a value from 0 to 255, or a colour such as #804080",
            )
    return ignored


def _check_values(root: Path, masks: Sequence[Path], *, greys_are_colours: bool, mapped: bool) -> MaskContent:
    """Refuse masks that need colours, or hold nothing but 0 and 255; return what the first mask holds.

    Stops at the first mask that tells, which most often is the first.
    """
    first, values = None, set()
    for path in masks:
        try:
            seen = scan_mask(path)
        except ImageError:
            continue  # decoding says what is wrong with it
        first = first or seen
        _refuse_colours(root, path, seen, mapped=mapped)
        values |= set(seen.values)
        if (mapped and (seen.colours or seen.palette or greys_are_colours)) or not values <= {0, NO_LABEL}:
            return first
    _refuse_only_255(root, values)
    return first or MaskContent()


def _find_classes(root: Path, masks: Sequence[Path], ignored: set[int]) -> tuple[list[str], MaskContent]:
    """Name classes by the values in all masks; also return what the first mask holds."""
    values: set[int] = set()
    first: MaskContent | None = None
    failure: ImageError | None = None
    with progress_bar("finding classes", len(masks)) as advance:
        for path in masks:
            advance(1)
            try:
                seen = scan_mask(path)
            except ImageError as error:
                failure = failure or error  # decoding says what is wrong with it
                continue
            _refuse_colours(root, path, seen, mapped=False)
            if seen.values[-1] > NO_LABEL or seen.values[0] < 0:
                stray = next(value for value in reversed(seen.values) if not 0 <= value <= NO_LABEL)
                raise DataError(str(path), f"the value {stray}", "use 0 to 254 for classes, 255 for no label")
            first = first or seen
            values |= set(seen.values)
    if first is None and failure is not None:
        raise failure
    classes = sorted(values - ignored)
    _refuse_only_255(root, values)
    highest = classes[-1] if classes else 0
    if len(classes) < (highest + 1) / 2:
        middle = (sum(values) + 1) // 2 if len(values) == 2 else "N"
        raise DataError(
            str(root),
            f"masks hold only the values {listing(classes, 5)}, which are no indices of classes",
            f"give --threshold {middle} for two classes, or say what they mean in classes.json, such as {_EXAMPLE}",
        )
    span = f"0 to {highest}" if highest else "only 0"
    unseen = listing(sorted(set(range(highest)) - set(classes)))
    logger.info(
        f"{root}: classes are the values in masks, {span}{f' (but no {unseen})' if unseen else ''}; "
        "classes.txt can name them, one per line"
    )
    return [str(value) for value in range(highest + 1)], first or MaskContent()


def _refuse_colours(root: Path, path: Path, seen: MaskContent, *, mapped: bool) -> None:
    if seen.colours and not mapped:
        raise DataError(
            str(path),
            f"a mask in colours ({listing(seen.colours, 5)}), and nothing says which class each is",
            f"write them to {root / 'classes.json'}, such as {_EXAMPLE}",
        )


def _refuse_only_255(root: Path, values: set[int]) -> None:
    if values == {NO_LABEL}:
        raise DataError(
            str(root),
            "masks hold nothing but 255, which means no label",
            "label some pixels, with 0 to 254 for classes",
        )
    if values == {0, NO_LABEL}:
        raise DataError(
            str(root),
            "masks hold only 0 and 255, and 255 means no label",
            f"if it is a class, give --threshold 128, or say so by colours in classes.json: {_EXAMPLE}",
        )


def _of_palette(seen: MaskContent, values: Sequence[int]) -> list[Colour]:
    """Return the colours of a palette's indices, if they can be told apart; else none."""
    colours = [seen.palette[value] for value in values if value < len(seen.palette)]
    return colours if len(colours) == len(values) == len(set(colours)) else []
