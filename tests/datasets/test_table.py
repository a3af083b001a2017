"""Tables of images and classes are read as they are meant, and what is wrong with them is said."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from tests.support import raises

from striate.datasets.layouts import table
from striate.errors import DataError

PLAIN = [("a.png", "cat"), ("b.png", "dog"), ("sub/c.png", "cat"), ("d.png", "dog"), ("e.png", "10"), ("f.png", "9")]


@pytest.fixture
def images(tmp_path: Path, picture) -> Path:
    """Make a folder of the images that the tables of these tests name."""
    (tmp_path / "sub").mkdir()
    for seed, (name, _) in enumerate(PLAIN):
        picture(seed=seed).save(tmp_path / name)
    return tmp_path


def write(folder: Path, text: str | bytes, name: str = "pets.csv") -> str:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def lines(*rows: tuple[str, ...], separator: str = ",") -> str:
    return "".join(separator.join(row) + "\n" for row in rows)


def labels(data) -> dict[str, str]:
    targets = data.samples.labels.targets
    return {name: data.classes[target] for name, target in zip(data.samples.names, targets, strict=True)}


def split_names(data) -> dict[str, list[str]]:
    return {split: [data.samples.names[index] for index in chosen] for split, chosen in data.splits.items()}


def test_a_table_gives_images_and_classes_in_natural_order(images):
    data = table.read(write(images, lines(("image", "label"), *PLAIN)))
    assert (data.name, data.task, data.classes) == ("pets", "classify", ("9", "10", "cat", "dog"))
    assert labels(data) == dict(PLAIN)
    assert split_names(data) == {"train": [name for name, _ in PLAIN]}
    assert data.samples.images.paths[2] == images / "sub" / "c.png"
    assert data.mirror_safe


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "image;label\na.png;cat\nb.png;dog\n"),
        ("t.csv", "image;label;price, net\na.png;cat;1,5\nb.png;dog;2,5\n"),
        ("t.tsv", "image\tlabel\na.png\tcat\nb.png\tdog\n"),
        ("T.TSV", "image\tlabel\na.png\tcat\nb.png\tdog\n"),
        ("t.csv", "\ufeffimage,label\na.png,cat\nb.png,dog\n"),
        ("t.csv", "image,label\r\na.png,cat\r\nb.png,dog"),
        ("t.csv", "image,label\ra.png,cat\rb.png,dog\r"),
        ("t.csv", "\n Label , IMAGE\ncat, a.png\n\n,\ndog ,b.png\n , \n"),
        ("t.csv", 'who,label,image\n"Smith, Jo\nAnn",cat,a.png\n"",dog,"b.png"\n'),
    ],
    ids=["semicolons", "decimal commas", "tabs", "TSV", "mark", "Windows", "old Mac", "order and blanks", "quotes"],
)
def test_tables_are_read_as_programs_write_them(images, name, text):
    assert labels(table.read(write(images, text, name))) == {"a.png": "cat", "b.png": "dog"}


def test_other_columns_are_passed_over_and_said_to_be(images, capsys):
    table.read(write(images, "image,photographer,label,\na.png,Jo,cat,\nb.png,Ann,dog,\n"))
    assert "pets.csv: passed over the columns photographer\n" in capsys.readouterr().err


def test_splits_go_by_their_words(images, capsys):
    words = ["train", "train", "Validation", "valid ", "train", "train"]
    text = lines(("image", "label", "split"), *((*row, word) for row, word in zip(PLAIN, words, strict=True)))
    data = table.read(write(images, text))
    assert split_names(data) == {"train": ["a.png", "b.png", "e.png", "f.png"], "val": ["sub/c.png", "d.png"]}
    assert "val has no images of 9, 10" in capsys.readouterr().err


def test_a_folder_with_a_labels_table_is_called_as_the_folder(images):
    write(images, "image,label\na.png,cat\nb.png,dog\n", "labels.csv")
    assert table.matches(str(images))
    assert table.read(str(images)).name == images.name
    write(images, "image\tlabel\n", "labels.tsv")
    with raises(DataError, what=r"labels\.csv, labels\.tsv are both there", fix="keep one"):
        table.read(str(images))


@pytest.mark.parametrize(
    ("name", "expected"), [("t.csv", True), ("t.TSV", True), ("t.txt", False), ("nowhere.csv", False), ("", False)]
)
def test_a_table_is_known_by_its_ending(tmp_path, name, expected):
    if name.startswith("t."):
        (tmp_path / name).touch()
    assert table.matches(str(tmp_path / name)) is expected


def test_paths_may_be_absolute_and_have_backslashes(images, picture):
    picture(seed=50).save(images / "sub\\c.png")  # on POSIX a name of its own
    absolute = str(images / "b.png")
    data = table.read(write(images, f"image,label\n.\\a.png,cat\n{absolute},dog\nsub\\c.png,cat\nsub/c.png,dog\n"))
    assert data.samples.names[:2] == ("a.png", (images / "b.png").as_posix())
    assert [path.name for path in data.samples.images.paths] == ["a.png", "b.png", "sub\\c.png", "c.png"]


HEAD = "image,label\na.png,cat\n"
SPLIT = "image,label,split\na.png,cat,train\n"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", {"where": r"pets\.csv", "what": "is empty", "fix": "give the header image,label,split"}),
        ("\n,\n", {"what": "is empty"}),
        ("\ufeff", {"what": "is empty"}),
        ("image,label\n", {"what": "has a header and no images", "fix": "add"}),
        (
            "a.png,cat\nb.png,dog\n",
            {"where": "line 1", "what": r"there is no column image, but a\.png, cat", "fix": "give a header"},
        ),
        (
            "images,label\na.png,cat\n",
            {"where": "line 1", "what": r"there is no column image \(did you mean images\?\)"},
        ),
        ("image,lable\na.png,cat\n", {"what": r"there is no column label \(did you mean lable\?\)"}),
        (
            "image,label,Image\na.png,cat,b.png\n",
            {"where": "line 1", "what": "there are 2 columns image", "fix": "keep one"},
        ),
        (HEAD + "b.png,\n", {"where": "line 3", "what": "label is blank", "fix": "fill it in or remove"}),
        (HEAD + "\n ,dog\n", {"where": "line 4", "what": "image is blank"}),
        (
            HEAD + "b.png,dog,x\n",
            {"where": "line 3", "what": "has 3 fields, the header 2", "fix": "put .* double quotes"},
        ),
        (HEAD + "b.png\n", {"where": "line 3", "what": "has 1 fields"}),
        (
            HEAD + '"b.png,dog\nd.png,dog\n',
            {"where": "line 3", "what": "the double quotes make no sense .*", "fix": "close or double"},
        ),
        (HEAD + '"b"x.png,dog\n', {"where": "line 3", "what": "the double quotes"}),
        (
            HEAD.encode() + b"b.png,M\xfcller\n",
            {"where": r"pets\.csv, line 3", "what": "is not UTF-8 text", "fix": "save the table as UTF-8"},
        ),
        (HEAD.encode("utf-16"), {"where": "line 1", "what": "is not UTF-8"}),
        (HEAD.encode("utf-16-le"), {"where": "line 1", "what": "is not UTF-8"}),
        (
            HEAD + "x1.png,dog\nx2.png,dog\nb.png,dog\nx3.png,dog\nx4.png,dog\n",
            {"what": "4 of 6 .* x1.png, x2.png, x3.png and 1"},
        ),
        (HEAD + "sub,dog\n", {"what": "1 of 2 images are not there: sub", "fix": "relative to"}),
        (HEAD + "b\0.png,dog\n", {"where": "line 3", "what": "is not UTF-8"}),
        (HEAD + "n" * 300 + ",dog\n", {"what": "1 of 2 images are not there"}),
        (
            HEAD + "pets.csv,dog\n",
            {"where": r"pets\.csv, pets\.csv", "what": "no image", "fix": "take what is no image off"},
        ),
        (
            HEAD + "b.png,dog\n./a.png,dog\n",
            {"where": "line 4", "what": r"is of the same image as line 2, with another label \(\./a\.png\)"},
        ),
        (HEAD + "b.png,dog\nsub/../a.png,cat\n", {"where": "line 4", "what": r"is of the same image as line 2 \(sub"}),
        (
            SPLIT + "a.png,cat,val\n",
            {"where": "line 3", "what": "is of the same image as line 2, with another split .*", "fix": "keep one"},
        ),
        (SPLIT + "a.png,dog,val\n", {"what": "with another label and another split"}),
        (SPLIT + "b.png,dog,\n", {"where": "line 3", "what": "split is blank"}),
        (
            SPLIT + "b.png,dog,vall\n",
            {
                "where": "line 3",
                "what": r"'vall' is no split \(did you mean val\?\)",
                "fix": "call it train, val or test",
            },
        ),
        ("image,label,split\na.png,cat,val\nb.png,dog,test\n", {"what": "no sample is in the split train"}),
        (
            SPLIT + "b.png,cta,test\n",
            {
                "where": "line 3",
                "what": r"train has no class 'cta' \(did you mean cat\?\)",
                "fix": "give it .* or remove",
            },
        ),
    ],
)
def test_mistakes_are_named_with_a_fix(images, text, error):
    with raises(DataError, **error) as caught:
        table.read(write(images, text))
    assert len(str(caught.value).splitlines()) <= 2


def test_a_link_to_an_image_is_the_same_image(images):
    try:
        (images / "link.png").symlink_to(images / "a.png")
    except OSError:
        pytest.skip("no links here")
    with raises(DataError, where="line 3", what="is of the same image as line 2"):
        table.read(write(images, HEAD + "link.png,cat\n"))


# csv.writer leaves a \r without quotes where lines end in \n
words = some.text(some.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1).filter(str.strip)


@settings(max_examples=50)
@given(
    given_labels=some.lists(words, min_size=1, max_size=len(PLAIN)),
    delimiter=some.sampled_from(",;\t"),
    end=some.sampled_from(["\n", "\r\n"]),
)
def test_whatever_a_label_holds_comes_back(tmp_path_factory, given_labels, delimiter, end):
    folder = tmp_path_factory.mktemp("labels")
    for (name, _), _ in zip(PLAIN, given_labels, strict=False):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"BM and more")
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator=end)
    writer.writerow(["image", "label"])
    writer.writerows((name, label) for (name, _), label in zip(PLAIN, given_labels, strict=False))
    data = table.read(write(folder, file.getvalue(), "t.tsv" if delimiter == "\t" else "t.csv"))
    assert list(labels(data).values()) == [label.strip() for label in given_labels]
