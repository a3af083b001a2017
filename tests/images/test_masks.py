"""Masks mean the same however they are written, lie exactly on their images, and what is wrong with them is said."""

from __future__ import annotations

import json
import pickle
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.support import raises

import striate as st
from striate.datasets.dataset import Dataset
from striate.datasets.layouts import camvid, image_masks
from striate.errors import DataError, ImageError, InputError
from striate.images.planes import NO_LABEL, SourcePlanes
from striate.images.resize import FITS, ImageSpec, to_indices
from striate.images.sources import SourceImages

WIDTH, HEIGHT = 12, 8
VALUES = (np.arange(HEIGHT)[:, None] // 3 + np.arange(WIDTH) // 6).astype(np.uint8)  # 0, 1, 2 and 3
COLOURS = {"sky": (128, 128, 128), "road": (128, 64, 128), "tree": (128, 128, 0), "car": (64, 0, 128)}
MAP = {name: list(colour) for name, colour in COLOURS.items()}
FORM = ImageSpec(height_px=HEIGHT, width_px=WIDTH, channels=3)


def grey(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values)


def palette(values: np.ndarray, colours: list[tuple[int, int, int]] | None = None) -> Image.Image:
    image = Image.fromarray(values).convert("P")
    image.putdata(values.ravel().tolist())
    image.putpalette(sum(colours or list(COLOURS.values()), ()))
    return image


def coloured(values: np.ndarray, colours: list[tuple[int, int, int]] | None = None) -> Image.Image:
    return Image.fromarray(np.array(colours or list(COLOURS.values()), dtype=np.uint8)[values])


def png(rows: np.ndarray, *, width: int, bits: int) -> bytes:
    """Write a grey PNG of any depth, which Pillow cannot."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, len(rows), bits, 0, 0, 0, 0)
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def of_few_bits(values: np.ndarray, bits: int) -> bytes:
    unpacked = np.unpackbits(values[:, :, None], axis=2)[:, :, -bits:].reshape(len(values), -1)
    return png(np.packbits(unpacked, axis=1), width=values.shape[1], bits=bits)


def save(image: Image.Image | bytes | None, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(image, Image.Image):
        image.save(path)
    elif image is not None:
        path.write_bytes(image)


@pytest.fixture
def folder(tmp_path: Path, picture) -> Callable[..., Path]:
    """Make a folder of images and masks: one pair for each mask, and files with the names of classes."""

    def make(*masks: Image.Image | bytes | None, txt: str | bytes | None = None, map_: object = None) -> Path:
        for index, mask in enumerate(masks):
            save(picture(size=(WIDTH, HEIGHT), seed=index), tmp_path / "data" / "images" / f"{index}.png")
            save(mask, tmp_path / "data" / "masks" / f"{index}.png")
        if txt is not None:
            (tmp_path / "data" / "classes.txt").write_bytes(txt if isinstance(txt, bytes) else txt.encode())
        if map_ is not None:
            (tmp_path / "data" / "classes.json").write_text(map_ if isinstance(map_, str) else json.dumps(map_))
        return tmp_path / "data"

    return make


def read(root: Path, *ignore: str) -> Dataset:
    return image_masks.read(str(root), ignore=ignore)


def mask(data: Dataset, index: int = 0, form: ImageSpec = FORM) -> np.ndarray:
    _, plane = data.samples.sources.decode(index, form)
    assert plane is not None
    return plane.indices


NAMES = "\n".join(COLOURS)
VARIANTS = {
    "grey, names": (grey(VALUES), NAMES, None),
    "grey, names after a byte order mark, blank lines at the end": (grey(VALUES), "\ufeff" + NAMES + "\r\n\n", None),
    "grey, colours that are no greys": (grey(VALUES), None, MAP),
    "grey, 2 bits": (of_few_bits(VALUES, 2), NAMES, None),
    "grey, 4 bits": (of_few_bits(VALUES, 4), NAMES, None),
    "grey, 16 bits": (Image.fromarray(VALUES.astype(np.uint16)), NAMES, None),
    "grey and alpha": (Image.merge("LA", [grey(VALUES), grey(VALUES * 0)]), NAMES, None),
    "grey saved as RGB": (grey(VALUES).convert("RGB"), NAMES, None),
    "palette, names": (palette(VALUES), NAMES, None),
    "palette, colours": (palette(VALUES), None, MAP),
    "another palette, colours": (palette(3 - VALUES, list(COLOURS.values())[::-1]), None, MAP),
    "RGB, colours": (coloured(VALUES), None, MAP),
    "RGBA, colours": (coloured(VALUES).convert("RGBA"), None, MAP),
    "RGB, colours as text": (
        coloured(VALUES),
        None,
        {name: "#" + bytes(rgb).hex().upper() for name, rgb in COLOURS.items()},
    ),
    "RGB, order from names": (coloured(VALUES), NAMES, dict(reversed(MAP.items()))),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_mask_means_the_same_however_it_is_written(folder, variant):
    image, txt, map_ = VARIANTS[variant]
    data = read(folder(image, txt=txt, map_=map_))
    assert data.classes == tuple(COLOURS)
    np.testing.assert_array_equal(mask(data), VALUES)
    assert data.colours == (tuple(COLOURS.values()) if map_ or "palette" in variant else ())


def test_palettes_may_differ_between_files(folder):
    turned = palette(3 - VALUES, list(COLOURS.values())[::-1])
    data = read(folder(palette(VALUES), turned, coloured(VALUES), map_=MAP))
    for index in range(3):
        np.testing.assert_array_equal(mask(data, index), VALUES)


@pytest.mark.parametrize("bits", [1, 8])
def test_black_and_white_are_classes_where_colours_say_so(folder, bits):
    object_ = VALUES > 1
    image = Image.fromarray(object_) if bits == 1 else grey(object_.astype(np.uint8) * 255)
    data = read(folder(image, map_={"background": "#000000", "object": "#ffffff"}))
    np.testing.assert_array_equal(mask(data), object_)


def test_one_bit_is_read_by_value_where_there_are_names(folder):
    data = read(folder(Image.fromarray(VALUES > 1), txt="background\nobject"))
    np.testing.assert_array_equal(mask(data), VALUES > 1)


def test_255_is_no_label_in_grey_and_palette_masks(folder):
    values = VALUES.copy()
    values[0] = 255
    filled = list(COLOURS.values()) + [(9, 9, 9)] * 252
    data = read(folder(palette(values, filled), grey(values), map_=MAP))
    for index in range(2):
        np.testing.assert_array_equal(mask(data, index), values)


@pytest.mark.parametrize("name", ["Void", "ignore", "ignored", "Unlabeled", "unlabelled", "no label", "No_Label"])
def test_what_is_called_so_is_no_label_and_no_class(folder, capsys, name):
    data = read(folder(grey(VALUES), txt=f"sky\n{name}\ntree\ncar"))
    assert data.classes == ("sky", "tree", "car")
    np.testing.assert_array_equal(mask(data), np.array([0, NO_LABEL, 1, 2])[VALUES])
    assert f"counts as no label: {name}" in capsys.readouterr().err


@pytest.mark.parametrize("ignore", ["road", "1", "#804080"])
@pytest.mark.parametrize("image", [coloured(VALUES), palette(VALUES), grey(VALUES)], ids=["RGB", "palette", "grey"])
def test_a_class_can_be_ignored_by_name_value_and_colour(folder, image, ignore):
    data = read(folder(image, map_=MAP), ignore)
    assert data.classes == ("sky", "tree", "car")
    assert data.colours == (COLOURS["sky"], COLOURS["tree"], COLOURS["car"])
    np.testing.assert_array_equal(mask(data), np.array([0, NO_LABEL, 1, 2])[VALUES])


def test_values_and_colours_that_are_no_class_can_be_ignored(folder):
    by_value = read(folder(grey(VALUES), txt="sky\nroad\ntree"), "3")
    np.testing.assert_array_equal(mask(by_value), np.array([0, 1, 2, NO_LABEL])[VALUES])
    root = folder(coloured(VALUES), map_={name: MAP[name] for name in ("sky", "road", "tree")})
    by_colour = read(root, "#400080")
    np.testing.assert_array_equal(mask(by_colour), np.array([0, 1, 2, NO_LABEL])[VALUES])


def test_without_names_values_are_classes(folder, capsys):
    rest = VALUES.copy()
    rest[0], rest[1] = 4, 255
    data = read(folder(grey(VALUES % 2), grey(rest)))
    assert data.classes == ("0", "1", "2", "3", "4")
    np.testing.assert_array_equal(mask(data, 1), rest)
    assert "classes are the values in masks, 0 to 4; classes.txt can name them" in capsys.readouterr().err


def test_values_between_that_no_mask_has_are_said(folder, capsys):
    assert read(folder(grey(VALUES + 1))).classes == ("0", "1", "2", "3", "4")
    assert "0 to 4 (but no 0); classes.txt" in capsys.readouterr().err


def test_ignored_values_are_no_classes(folder):
    data = read(folder(grey(np.where(VALUES == 3, 200, VALUES).astype(np.uint8))), "200", "1")
    assert data.classes == ("0", "2")
    np.testing.assert_array_equal(mask(data), np.array([0, NO_LABEL, 1, NO_LABEL])[VALUES])


def test_masks_keep_the_contract_and_can_be_pickled(folder):
    data = read(folder(grey(VALUES), grey(3 - VALUES), txt=NAMES))
    sources = data.samples.sources
    assert isinstance(sources.images, SourceImages)
    assert isinstance(sources.planes, SourcePlanes)
    assert (sources.images.cacheable, len(sources), len(sources.planes)) == (True, 2, 2)
    taken = pickle.loads(pickle.dumps(sources.take(np.array([1]))))  # noqa: S301
    assert taken.reading == sources.reading
    assert [content.file.parent.name for content in taken.contents(0)] == ["images", "masks"]
    assert taken.planes.where(0).endswith("masks/1.png")
    image, plane = taken.decode(0, FORM)
    np.testing.assert_array_equal(plane.indices, 3 - VALUES)
    assert image.source_size_px == plane.source_size_px == (HEIGHT, WIDTH)


def test_the_way_masks_are_read_is_part_of_the_key(folder):
    root = folder(palette(VALUES), txt=NAMES)
    ways = [read(root), read(root, "sky"), read(root, "car"), read(root, "7")]
    (root / "classes.json").write_text(json.dumps(MAP))
    ways += [read(root), read(root, "#010203")]
    assert len({data.samples.sources.reading for data in ways}) == len(ways)
    assert read(root).samples.sources.reading == read(root).samples.sources.reading


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(("height", "width"), [(16, 16), (5, 21), (40, 24)])
def test_image_and_mask_are_fitted_alike(folder, fit, height, width):
    root = folder(grey(VALUES), txt=NAMES)
    coloured(VALUES).save(root / "images" / "0.png")  # the image shows its mask
    form = ImageSpec(height_px=height, width_px=width, channels=3, fit=fit)
    image, plane = read(root).samples.sources.decode(0, form)
    np.testing.assert_array_equal(plane.indices, to_indices(VALUES, form, NO_LABEL))
    wanted = np.array(list(COLOURS.values()))
    labelled = plane.indices != NO_LABEL
    distance = np.abs(image.pixels[:, :, None].astype(int) - wanted).sum(axis=-1)
    agree = distance.argmin(axis=-1) == plane.indices
    assert agree[labelled].mean() > 0.7  # all but those on an edge, where the image is a mixture
    assert labelled.all() == (fit != "pad")


def test_the_orientation_of_an_image_is_that_of_its_mask(folder):
    root = folder(grey(VALUES), txt=NAMES)
    exif = Image.Exif()
    exif[274] = 6  # is stored lying on its side
    coloured(np.rot90(VALUES)).save(root / "images" / "0.png", exif=exif)
    image, plane = read(root).samples.sources.decode(0, FORM)
    np.testing.assert_array_equal(plane.indices, VALUES)
    np.testing.assert_array_equal(image.pixels, np.array(list(COLOURS.values()))[VALUES])
    grey(np.ascontiguousarray(np.rot90(VALUES))).save(root / "masks" / "0.png", exif=exif)
    np.testing.assert_array_equal(mask(read(root)), VALUES)
    grey(np.ascontiguousarray(np.rot90(VALUES))).save(root / "masks" / "0.png")
    with raises(ImageError, where="masks/0.png", fix="the image is turned, as its EXIF data say: turn the mask too"):
        mask(read(root))


def test_what_a_mask_holds_can_be_counted_without_an_error(folder):
    values = VALUES.copy()
    values[0], values[7, 0] = 255, 77
    data = read(folder(grey(values), txt="sky\nroad\ntree"))
    scan = data.samples.labels.planes.scan(0)
    counts = np.bincount(values.ravel(), minlength=256).tolist()
    assert (scan.classes, scan.no_label) == (dict(enumerate(counts[:3])), WIDTH)
    assert list(scan.unknown.items()) == [("3", counts[3]), ("77", 1)]
    assert scan.source_size_px == (HEIGHT, WIDTH)


# --- Layouts


def test_splits_are_taken_from_the_folders(tmp_path, picture):
    for split, number in (("train", 3), ("valid", 2), ("test", 1)):
        for index in range(number):
            save(picture(size=(WIDTH, HEIGHT)), tmp_path / "images" / split / "deep" / f"{index}.jpg")
            save(grey(VALUES), tmp_path / "masks" / split / "deep" / f"{index}.png")
    (tmp_path / "images" / ".DS_Store").write_bytes(b"1")
    (tmp_path / "masks" / "train" / "Thumbs.db").write_bytes(b"1")
    assert image_masks.matches(str(tmp_path))
    assert not camvid.matches(str(tmp_path))
    data = read(tmp_path)
    assert {split: len(data.split(split)) for split in data.splits} == {"train": 3, "val": 2, "test": 1}
    assert list(data.splits) == ["train", "val", "test"]
    assert data.split("val").names == ("images/valid/deep/0.jpg", "images/valid/deep/1.jpg")
    assert (data.task, data.name, data.mirror_safe) == ("segment", tmp_path.name, True)


def test_without_splits_all_is_training_until_some_is_set_aside(folder):
    data = read(folder(*[grey(VALUES)] * 10, txt=NAMES))
    assert {split: len(found) for split, found in data.splits.items()} == {"train": 10}
    assert {split: len(found) > 0 for split, found in data.with_validation().splits.items()} == {
        "train": True,
        "val": True,
    }


@pytest.mark.parametrize("name", ["0_mask.png", "0-mask.png", "0.gif"])
def test_masks_may_be_named_mask_with_another_suffix(folder, name):
    root = folder(None, txt=NAMES)
    save(palette(VALUES), root / "masks" / name)
    np.testing.assert_array_equal(mask(read(root)), VALUES)


def test_camvid_folders_are_read(tmp_path, picture):
    for split, number in (("train", 3), ("val", 1)):
        for index in range(number):
            save(picture(size=(WIDTH, HEIGHT)), tmp_path / split / f"{index}.jpg")
            save(grey(VALUES), tmp_path / f"{split}annot" / f"{index}.png")
    (tmp_path / "classes.json").write_text(json.dumps(MAP))
    assert camvid.matches(str(tmp_path))
    assert not image_masks.matches(str(tmp_path))
    data = camvid.read(str(tmp_path))
    assert {split: len(found) for split, found in data.splits.items()} == {"train": 3, "val": 1}
    assert (data.classes, data.colours) == (tuple(COLOURS), tuple(COLOURS.values()))
    np.testing.assert_array_equal(mask(data), VALUES)
    (tmp_path / "valannot").rename(tmp_path / "testannot")
    with raises(DataError, what="there is no valannot, test", fix="give every split images, and masks in"):
        camvid.read(str(tmp_path))


# --- Mistakes


def binary() -> Image.Image:
    return grey((VALUES > 1).astype(np.uint8) * 255)


def with_value(value: int) -> Image.Image:
    values = VALUES.astype(np.uint16 if value > 255 else np.uint8)
    values[0, :3] = value
    return Image.fromarray(values)


CLASS_FILES = [
    (
        "",
        None,
        (),
        {"where": "classes.txt", "what": "there is nothing in it", "fix": "write the name of one class per line"},
    ),
    (
        "sky\n\nroad",
        None,
        (),
        {"where": "line 2", "what": "is empty", "fix": "give the name of the class with the value 1"},
    ),
    ("sky\nroad\nsky", None, (), {"where": "line 3", "what": "has 'sky' again"}),
    (b"sk\xffy", None, (), {"where": "classes.txt", "what": "is not UTF-8 text"}),
    ("void", None, (), {"what": "0 classes", "fix": "wanted: 1 to 255"}),
    ("\n".join(map(str, range(256))), None, (), {"what": "256 classes", "fix": "wanted: 1 to 255"}),
    (None, "{", (), {"where": "classes.json", "what": "no JSON"}),
    (None, "[1, 2]", (), {"what": "no object of names and colours", "fix": "wanted: names and colours, such as {"}),
    (None, "{}", (), {"what": "no object of names and colours"}),
    (None, {"sky": "blue"}, (), {"what": "'sky' has the colour \"blue\"", "fix": "wanted: names and colours"}),
    (None, {"sky": [1, 2]}, (), {"what": r"'sky' has the colour \[1, 2\]"}),
    (None, {"sky": [1, 2, 256]}, (), {"what": r"'sky' has the colour \[1, 2, 256\]"}),
    (None, {"sky": {"r": 1}}, (), {"what": "'sky' has the colour"}),
    (None, '{"sky": "#000000", "sky": "#000001"}', (), {"what": "'sky' is there twice"}),
    (None, {"sky": "#000001", "sea": [0, 0, 1]}, (), {"what": "'sky' and 'sea' have one colour"}),
    ("sky\nroad", {"sky": "#000001"}, (), {"what": "only one of them has road", "fix": "make them agree"}),
    (
        NAMES,
        None,
        ("raod",),
        {"where": "ignore", "what": r"raod is no class of .* \(did you mean road\?\)", "fix": "give a class, a value"},
    ),
    (NAMES, None, ("256",), {"where": "ignore", "what": "256 is no class of"}),
    (NAMES, None, tuple(COLOURS), {"what": "0 classes", "fix": "wanted: 1 to 255 that are not ignored"}),
]


@pytest.mark.parametrize(("txt", "map_", "ignore", "error"), CLASS_FILES)
def test_mistakes_in_names_and_colours_are_named(folder, txt, map_, ignore, error):
    with raises(InputError, **error):
        read(folder(grey(VALUES), txt=txt, map_=map_), *ignore)


def test_two_colour_maps_are_refused(folder):
    root = folder(coloured(VALUES), map_=MAP)
    (root / "colors.json").write_text("{}")
    with raises(DataError, what=r"classes\.json, colors\.json are all there", fix="keep one of them"):
        read(root)


MEANINGLESS = [
    (
        [binary()],
        None,
        {
            "what": "masks hold only 0 and 255, and 255 means no label",
            "fix": "if it is a class, give --threshold 128, o",
        },
    ),
    (
        [grey(VALUES * 0 + 255)],
        NAMES,
        {"what": "masks hold nothing but 255, which means no label", "fix": "label some pixels"},
    ),
    ([grey(VALUES * 0), binary()], "background\nobject", {"what": "masks hold only 0 and 255"}),
    (
        [palette(VALUES), coloured(VALUES)],
        None,
        {"where": "1.png", "what": "a mask in colours .* nothing says which class"},
    ),
    (
        [coloured(VALUES)],
        NAMES,
        {"where": "0.png", "what": r"a mask in colours \(#804080, #808080, #808000 and 1 more|a mask in colours"},
    ),
    (
        [grey(VALUES * 100 % 201)],
        None,
        {"what": "masks hold only the values 0, 44, 100, 200, which are no indices of classes"},
    ),
    (
        [grey(VALUES // 2 * 100)],
        None,
        {"what": "only the values 0, 100, which are no", "fix": "give --threshold 50 for two classes, or"},
    ),
    (
        [with_value(300)],
        None,
        {"where": "0.png", "what": "the value 300", "fix": "use 0 to 254 for classes, 255 for no label"},
    ),
    ([b"\x89PNG\r\n\x1a\n damaged"], None, {"where": "0.png", "what": "damaged image"}),
]


@pytest.mark.parametrize(("images", "txt", "error"), MEANINGLESS)
def test_masks_whose_values_say_nothing_are_refused(folder, images, txt, error):
    with raises(DataError, **error):
        read(folder(*images, txt=txt))


UNDECODABLE = [
    (
        with_value(12),
        NAMES,
        None,
        {
            "where": "0.png",
            "what": r"value 12 \(3 pixels\) has no class",
            "fix": "add it to classes.txt, whose first li",
        },
    ),
    (
        with_value(300),
        NAMES,
        None,
        {
            "where": "0.png",
            "what": r"value 300 \(3 pixels\) has no class",
            "fix": "save masks with 8 bits: 0 to 254 for",
        },
    ),
    (
        palette(VALUES),
        "sky\nroad",
        None,
        {
            "where": "0.png",
            "what": r"palette indices 2 = #808000, 3 = #400080 \(\d+ pixels\) have no class",
            "fix": "add them to classes.txt, whose first line is index 0, or give them to --ignore as no label",
        },
    ),
    (grey(VALUES), "sky", None, {"what": r"values [123], [123], [123] \(\d+ pixels\) have no class"}),
    (
        coloured(VALUES),
        None,
        {"sky": "#808080"},
        {"where": "0.png", "what": r"colours (#\w{6}(, )?){3} \(\d+ pixels\) have no class", "fix": "add the"},
    ),
    (
        palette(VALUES),
        None,
        {"sky": "#808080", "road": "#804080", "tree": "#808000"},
        {"where": "0.png", "what": r"colour #400080 \("},
    ),
    (
        palette(VALUES, [(1, 1, 1)] * 4),
        None,
        MAP,
        {"where": "0.png", "what": r"colour #010101 \(96 pixels\) has no class", "fix": "add it to classes.j"},
    ),
    (
        grey(VALUES),
        None,
        {"sky": "#000000", "road": "#010101", "tree": "#030303"},
        {"where": "0.png", "what": r"colour #020202 \("},
    ),
    (
        Image.new("L", (WIDTH, 6), 1),
        NAMES,
        None,
        {"where": "0.png", "what": "the mask is 12x6, but its image .*0.png is 12x8", "fix": "save the m"},
    ),
    (b"\x89PNG\r\n\x1a\n damaged", NAMES, None, {"where": "0.png", "what": "damaged image"}),
    (
        png(np.arange(16, dtype=np.uint8)[:, None].repeat(12, 1), width=12, bits=8)[:-40],
        NAMES,
        None,
        {"where": "0.png", "what": "damaged"},
    ),
]


@pytest.mark.parametrize(("image", "txt", "map_", "error"), UNDECODABLE)
def test_mistakes_in_a_mask_are_named_when_it_is_decoded(folder, image, txt, map_, error):
    data = read(folder(image, txt=txt, map_=map_))
    with raises(ImageError, **error) as raised:
        mask(data)
    assert "masks" in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (
            "JPEG",
            {
                "what": "JPEG does not keep values: .*",
                "fix": "give --threshold N for two classes, or save masks as PNG",
            },
        ),
        ("TIFF", {"what": "a mask in a TIFF file is not read", "fix": "save masks as"}),
    ],
)
def test_lossy_formats_are_refused_by_name_and_content(folder, kind, error):
    root = folder(None, grey(VALUES), txt=NAMES)
    grey(VALUES).save(root / "masks" / "0.png", format=kind)
    with raises(ImageError, **error):
        mask(read(root))
    (root / "masks" / "0.png").rename(root / "masks" / f"0.{kind.lower()}")
    with raises(DataError, where=rf"0\.{kind.lower()}", fix="save masks as PNG"):
        read(root)


def test_a_colour_of_16_bits_is_refused(folder):
    content = bytearray(png(np.zeros((HEIGHT, 6 * WIDTH), dtype=np.uint8), width=WIDTH, bits=16))
    content[25] = 2
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    root = folder(bytes(content), txt=NAMES)
    with raises(ImageError, what="colours of 16 bits per channel are not read", fix="save masks as PNG with 8 bits"):
        mask(read(root))


UNPAIRED = [
    ("images/9.png", {"where": "images/9.png", "what": "no mask in .*masks has that name"}),
    ("masks/9.png", {"where": "masks/9.png", "what": "no image in .*images has that name"}),
    ("images/0.jpg", {"where": "images/0.jpg and .*images/0.png", "what": "one name for both"}),
    ("masks/0_mask.png", {"where": "masks/0.*png and .*masks/0.*png", "what": "one name for both"}),
    ("masks/train/9.png", {"what": "images has no splits, but masks has train"}),
    (
        "images/training/9.png",
        {"where": "images", "what": "training: .* and no train", "fix": "call splits train, val and test"},
    ),
    ("images/val/9.png", {"where": "images", "what": "val: .* and no train", "fix": "call splits"}),
    (
        "images/Train/9.png",
        {"where": "images", "what": "Train: .* and no train", "fix": r"\(in lower case\)"},
    ),
    ("images/notes.txt", {"where": "notes.txt", "what": "no image", "fix": "move what is no image away"}),
]


@pytest.mark.parametrize(("name", "error"), UNPAIRED)
def test_images_and_masks_that_do_not_pair_are_named(folder, picture, name, error):
    root = folder(grey(VALUES), txt=NAMES)
    save(b"text" if name.endswith("txt") else picture(size=(WIDTH, HEIGHT)), root / name)
    with raises(DataError, **error):
        read(root)


def test_splits_that_do_not_agree_are_named(tmp_path, capsys):
    for kind in ("images", "masks"):
        for split in ("train", "val", "extra"):
            save(grey(VALUES), tmp_path / kind / split / "0.png")
    read(tmp_path)
    assert "passed over, beside train, val: extra" in capsys.readouterr().err
    (tmp_path / "images" / "loose.png").write_bytes((tmp_path / "images/train/0.png").read_bytes())
    with raises(DataError, where="loose.png", what="beside the splits", fix="move files into one of them, or out"):
        read(tmp_path)
    (tmp_path / "images" / "valid").mkdir()
    with raises(DataError, where="images", what="val and valid are both there", fix="keep one of them"):
        read(tmp_path)
    (tmp_path / "images" / "valid").rename(tmp_path / "images" / "test")
    with raises(DataError, what="images has train, val, test, but masks has train, val", fix="give every split both"):
        read(tmp_path)
    (tmp_path / "masks" / "test").mkdir()
    (tmp_path / "images" / "loose.png").unlink()
    with raises(DataError, where="test", what="there are no images", fix="add images, and their masks to .*masks/test"):
        read(tmp_path)


# --- Real images


def test_camvid_is_read_as_it_is(unpacked):
    root = unpacked("camvid.tar") / "camvid"
    data = camvid.read(str(root))
    assert {split: len(found) for split, found in data.splits.items()} == {"train": 367, "val": 101}
    assert len(data.classes) == 11
    assert data.classes[0], data.classes[-1] == ("Sky", "Bicyclist")
    assert "Void" not in data.classes
    form = ImageSpec(height_px=90, width_px=120, channels=3)
    shown = np.zeros(256, dtype=int)
    for index in range(0, len(data.samples), 13):
        image, plane = data.samples.sources.decode(index, form)
        assert image.source_size_px == (360, 480)
        shown += np.bincount(plane.indices.ravel(), minlength=256)
    assert (shown[:11] > 0).all()
    assert shown[11:NO_LABEL].sum() == 0
    assert 0 < shown[NO_LABEL] < shown.sum() / 10


def test_images_without_masks_are_refused(tmp_path):
    (tmp_path / "alone/images").mkdir(parents=True)
    with raises(DataError, what="there is no folder masks", fix="put the masks beside the images, file for file"):
        st.open_data(tmp_path / "alone")
    (tmp_path / "alone/joints.json").write_text("{}")
    with raises(DataError, where="joints.json", what="there is no 'joints'"):
        st.open_data(tmp_path / "alone")
