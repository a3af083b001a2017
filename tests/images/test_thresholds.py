"""A threshold makes two classes of grey masks, JPEG or not; without one, formats that change values are refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.support import raises

from striate.datasets import open_data
from striate.datasets.checks.report import check_data
from striate.datasets.dataset import Dataset
from striate.datasets.store import open_store
from striate.errors import ConfigError, DataError, ImageError
from striate.images.resize import ImageSpec
from striate.training.config import DataOptions

WIDTH, HEIGHT = 48, 40
FORM = ImageSpec(height_px=HEIGHT, width_px=WIDTH, channels=3)
OBJECT = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
OBJECT[10:25, 17:41] = 1  # not at the borders of JPEG blocks, which would keep their values
RED = np.array([[0, 0, 0], [200, 0, 0]], dtype=np.uint8)


def greys(dark: int, light: int) -> Image.Image:
    return Image.fromarray(np.array([dark, light], dtype=np.uint8)[OBJECT])


def in_a_palette(*colours: tuple[int, int, int]) -> Image.Image:
    image = Image.fromarray(OBJECT).convert("P")
    image.putdata(OBJECT.ravel().tolist())
    image.putpalette(sum(colours, ()))
    return image


@pytest.fixture
def folder(tmp_path: Path, picture) -> Callable[..., Path]:
    """Make a folder of images and masks, the masks in files of any format, whatever their names say."""

    def make(
        *masks: Image.Image, file_format: str = "PNG", suffix: str = "", txt: str = "", map_: object = None
    ) -> Path:
        root = tmp_path / "data"
        for index, mask in enumerate(masks):
            for kind in ("images", "masks"):
                (root / kind).mkdir(parents=True, exist_ok=True)
            picture(size=(WIDTH, HEIGHT), seed=index).save(root / "images" / f"{index}.png")
            mask.save(root / "masks" / f"{index}.{suffix or file_format.lower()}", format=file_format)
        if txt:
            (root / "classes.txt").write_text(txt)
        if map_:
            (root / "classes.json").write_text(json.dumps(map_))
        return root

    return make


def mask(data: Dataset, index: int = 0) -> np.ndarray:
    _, plane = data.samples.sources.decode(index, FORM)
    assert plane is not None
    return plane.indices


# --- With a threshold


WAYS = {
    "0 and 255": (greys(0, 255), "PNG"),
    "the threshold itself, and one less": (greys(127, 128), "PNG"),
    "saved as RGB": (greys(0, 255).convert("RGB"), "PNG"),
    "with alpha": (greys(0, 255).convert("LA"), "PNG"),
    "one bit": (Image.fromarray(OBJECT.astype(bool)), "PNG"),
    "16 bits": (Image.fromarray(OBJECT.astype(np.uint16) * 200), "PNG"),
    "greys in a palette": (in_a_palette((9, 9, 9), (250, 250, 250)), "PNG"),
    "GIF": (greys(0, 255), "GIF"),
    "JPEG": (greys(0, 255), "JPEG"),
    "JPEG, saved as RGB": (greys(20, 230).convert("RGB"), "JPEG"),
    "WebP": (greys(30, 220), "WEBP"),
}


@pytest.mark.parametrize("way", WAYS)
def test_greys_from_the_threshold_on_are_the_second_class(folder, way):
    image, file_format = WAYS[way]
    data = open_data(folder(image, image, file_format=file_format), threshold=128)
    assert (data.task, data.classes, data.colours) == ("segment", ("background", "object"), ())
    np.testing.assert_array_equal(mask(data), OBJECT)


def test_folders_like_camvids_take_a_threshold_too(tmp_path, picture):
    for split in ("train", "val"):
        for name in (split, f"{split}annot"):
            (tmp_path / name).mkdir()
        picture(size=(WIDTH, HEIGHT)).save(tmp_path / split / "0.png")
        greys(0, 255).save(tmp_path / f"{split}annot" / "0.jpg")
    np.testing.assert_array_equal(mask(open_data(tmp_path, threshold=100)), OBJECT)


NAMED = [
    ("ground\nroof", None, ("ground", "roof"), 0),
    ("void\nroof", None, ("void", "roof"), 0),
    ("sky\nroad\ntree", None, ("background", "object"), 0),
    ("", {"roof": "#ffffff", "ground": "#000000"}, ("ground", "roof"), 2),
    ("", {"ground": "#804080", "roof": "#000080"}, ("ground", "roof"), 2),
]


@pytest.mark.parametrize(("txt", "map_", "classes", "colours"), NAMED)
def test_the_two_classes_have_the_names_that_the_data_give_two(folder, capsys, txt, map_, classes, colours):
    data = open_data(folder(greys(0, 255), greys(0, 255), txt=txt, map_=map_), threshold=128)
    assert data.classes == classes
    assert len(data.colours) == colours
    np.testing.assert_array_equal(mask(data), OBJECT)
    said = "names 3 classes, but --threshold makes two: they are background and object" in capsys.readouterr().err
    assert said == ("tree" in txt)


def test_each_threshold_has_decoded_masks_of_its_own(folder):
    root = folder(greys(1, 200), greys(1, 200), txt="\n".join(map(str, range(201))))
    ways = [open_data(root), open_data(root, threshold=100), open_data(root, threshold=101)]
    assert len({data.samples.sources.reading for data in ways}) == 3


def test_jpeg_masks_have_no_problems_with_a_threshold(folder):
    report = check_data(folder(*[greys(0, 255)] * 5, file_format="JPEG", suffix="jpg"), threshold=128)
    assert report.ok
    assert report.summary["classes"][1]["train"] == OBJECT.sum() * report.summary["splits"]["train"]


UNFIT = [
    (
        [Image.fromarray(RED[OBJECT])],
        {
            "where": "0.png",
            "what": r"a mask in colours \(#000000, #c80000\), and --threshold is for grey ones",
            "fix": "l",
        },
    ),
    (
        [in_a_palette((0, 0, 0), (200, 0, 0))],
        {"where": "0.png", "what": r"a mask in colours \(#000000, #c80000\), and --threshold is for"},
    ),
    (
        [greys(0, 1)],
        {
            "what": r"--threshold 128 leaves one class, as all values in masks \(0, 1\) are below it",
            "fix": "give a threshold between",
        },
    ),
    (
        [greys(200, 255)],
        {
            "what": r"all values in masks \(200, 255\) are not below it",
            "fix": "give a threshold between the values of two classes",
        },
    ),
]


@pytest.mark.parametrize(("images", "error"), UNFIT)
def test_masks_that_a_threshold_does_not_split_are_refused(folder, images, error):
    with raises(DataError, **error):
        open_data(folder(*images), threshold=128)


@pytest.mark.parametrize(
    ("image", "error"),
    [
        (
            Image.fromarray(RED[OBJECT]),
            {
                "where": "1.png",
                "what": "a mask in colours",
                "fix": "leave it out, and name the colours in classes.json",
            },
        ),
        (
            Image.fromarray(OBJECT.astype(np.uint16) * 900),
            {"where": "1.png", "what": "the value 900, and --threshold splits values from 0 to"},
        ),
    ],
)
def test_later_masks_are_checked_when_they_are_decoded(folder, image, error):
    data = open_data(folder(greys(0, 255), image), threshold=128)
    with raises(ImageError, **error):
        mask(data, 1)


@pytest.mark.parametrize("threshold", [0, 256, -1])
def test_a_threshold_is_from_1_to_255(folder, threshold):
    root = folder(greys(0, 255))
    for refuse in (lambda: DataOptions(threshold=threshold), lambda: open_data(root, threshold=threshold)):
        with raises(ConfigError, where="^threshold$", what=f"must be a whole number from 1 to 255, not {threshold}"):
            refuse()


def test_a_threshold_needs_mask_files_and_no_ignore(folder):
    with raises(ConfigError, where="ignore", what="a threshold gives every pixel a class"):
        open_data(folder(greys(0, 255)), threshold=128, ignore=["0"])
    for location in ("mnist", "figures:4"):
        with raises(ConfigError, where="threshold", what=f"is for classes in mask files, and {location} has none"):
            check_data(location, task="auto" if location == "mnist" else "segment", threshold=128)


# --- Without one


def held(what: str) -> int:
    return sum(int(pixels.replace(",", "")) for pixels in re.findall(r"\(([\d,]+) px\)", what))


@pytest.mark.parametrize("file_format", ["JPEG", "WEBP"])
def test_lossy_masks_are_refused_with_their_values(folder, file_format):
    root = folder(greys(0, 255), greys(0, 255), file_format=file_format)
    suffix = file_format.lower()
    values = rf"{file_format} does not keep values: there are 0 \(1,\d+ px\)"
    more = r", 255 \(\d+ px\) and \d+ others \(\d+ px\)$"
    fix = "give --threshold 128 for two classes, or save masks as PNG$"
    with raises(DataError, where=rf"masks/0\.{suffix} and 1 more$", what=values + more, fix=fix) as refused:
        open_data(root)
    assert held(refused.value.what) == WIDTH * HEIGHT
    (root / "masks" / f"0.{suffix}").rename(root / "masks" / "0.png")
    (root / "masks" / f"1.{suffix}").rename(root / "masks" / "1.png")
    (root / "classes.txt").write_text("ground\nroof")
    with raises(ImageError, where=r"masks/0\.png$", what=values):
        mask(open_data(root))
    with raises(DataError, where=r"masks/0\.png$", fix="save masks as PNG$") as refused:
        open_store(open_data(root).samples, FORM, name="roofs", location=str(root), keep="disk")
    assert "1.png: " in refused.value.notes[0]


def test_a_coloured_jpeg_is_refused_with_its_colours(folder):
    what, fix = (
        r"#000000 \(\d+ px\).* others \([\d,]+ px\)$",
        "^save masks as PNG, and name their colours in classes.json$",
    )
    with raises(DataError, what=what, fix=fix) as refused:
        open_data(folder(Image.fromarray(RED[OBJECT]), file_format="JPEG"))
    assert held(refused.value.what) == WIDTH * HEIGHT


def test_several_greys_in_a_jpeg_are_named_without_smears(folder):
    three = greys(0, 120)
    three.paste(255, (0, 27, 13, 40))
    what = r"there are 0 \(\S+ px\), 120 \(\d+ px\), 255 \(\d+ px\) and \d+ others"
    with raises(DataError, what=what, fix="--threshold N for"):
        open_data(folder(three, file_format="JPEG"))


def test_a_png_is_a_mask_whatever_its_suffix(folder):
    data = open_data(folder(greys(0, 1), suffix="jpg", txt="ground\nroof"))
    np.testing.assert_array_equal(mask(data), OBJECT)


def test_a_png_that_was_resized_or_a_jpeg_once_is_told_so(folder):
    smeared = greys(0, 255).resize((9, 7), Image.Resampling.BILINEAR).resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
    for txt, map_ in (("ground\nroof", None), ("", {"ground": "#000000", "roof": "#ffffff"})):
        data = open_data(folder(smeared, txt=txt, map_=map_))
        with raises(ImageError, what=r"and \d+ more \([\d,]+ pixels\) have no class", fix="give --threshold N for two"):
            mask(data)
