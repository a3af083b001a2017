"""Decoded images are kept by their content: found again, shared, made anew when a file changes, never half there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.support import raises

import striate as st
from striate.cache import digests
from striate.cache import folder as cache
from striate.cache.index import StoreIndex
from striate.cache.pixels import DecodedPixels, HeldPixels
from striate.datasets.dataset import Samples
from striate.datasets.labels import ClassLabels, JointLabels
from striate.datasets.store import Store, open_store, undecoded_store
from striate.errors import ConfigError, DataError, ImageError, OutputError
from striate.images.planes import Sources
from striate.images.resize import FITS, ImageSpec
from striate.images.sources import ImageArray, ImageFiles
from striate.tasks.skeleton import Skeleton

FORM = ImageSpec(height_px=8, width_px=10, channels=3)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """List the images that are decoded in this process, by name."""
    seen: list[str] = []
    original = ImageFiles.decode

    def spy(self, index, form, **options):
        seen.append(Path(self.where(index)).name)
        return original(self, index, form, **options)

    monkeypatch.setattr(ImageFiles, "decode", spy)
    return seen


def make_samples(folder: Path, picture, count: int = 6, seed: int = 0) -> Samples:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{index}.png" for index in range(count)]
    for index, path in enumerate(paths):
        picture(seed=seed + index, size=(24 + index, 20)).save(path)
    return samples_of(paths)


def large_samples(folder: Path, count: int = 9) -> Samples:
    """Make samples that are decoded in workers: with less in their files, that is done before workers have started."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{index}.png" for index in range(count)]
    for index, path in enumerate(paths):
        noise = np.random.default_rng(index).integers(0, 256, (420, 400, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path, compress_level=0)
    return samples_of(paths)


def samples_of(paths: list[Path]) -> Samples:
    names = tuple(path.name for path in paths)
    return Samples(names=names, images=ImageFiles(paths), labels=ClassLabels(np.arange(len(paths))))


def open_(samples: Samples, form: ImageSpec = FORM, **options) -> Store:
    return open_store(samples, form, name="data", location="somewhere", **options)


def pixels_of(store: Store) -> np.ndarray:
    return store.gather(np.arange(len(store))).images


def test_a_store_holds_what_the_files_decode_to(tmp_path, picture):
    samples = make_samples(tmp_path / "a", picture)
    store = open_(samples)
    expected = [samples.images.decode(index, FORM).pixels for index in range(6)]
    np.testing.assert_array_equal(pixels_of(store), expected)
    assert isinstance(store.pixels, HeldPixels)
    assert store.digests == tuple(digests.digest(path.read_bytes()) for path in samples.images.paths)


@pytest.mark.parametrize("fit", FITS)
def test_images_decoded_on_demand_are_the_same(tmp_path, fit):
    samples = large_samples(tmp_path / "a")
    form = replace(FORM, fit=fit)
    kept_none = open_(samples, form, keep="none")
    assert isinstance(kept_none.pixels, DecodedPixels)
    assert not list((cache.folder() / "stores").glob("*"))
    order = np.array([3, 1, 1, 5])
    np.testing.assert_array_equal(
        kept_none.gather(order).images, open_(samples, form, keep="disk").gather(order).images
    )


def test_what_was_decoded_once_is_not_decoded_again(tmp_path, picture, decoded):
    samples = make_samples(tmp_path / "a", picture)
    first = pixels_of(open_(samples))
    assert len(decoded) == 6
    np.testing.assert_array_equal(pixels_of(open_(samples)), first)
    np.testing.assert_array_equal(pixels_of(open_(samples, keep="none")), first)
    assert len(decoded) == 6


def test_the_cache_folder_is_walked_once_per_build(tmp_path, picture, monkeypatch):
    walks: list[int] = []
    list_stores = cache.list_stores
    monkeypatch.setattr(cache, "list_stores", lambda: [walks.append(1), list_stores()][1])
    samples = make_samples(tmp_path / "a", picture)
    open_(samples)
    assert len(walks) == 1
    open_(samples)
    assert len(walks) == 1


def test_renamed_and_reordered_files_are_found_again(tmp_path, picture, decoded):
    whole = pixels_of(open_(make_samples(tmp_path / "a", picture)))
    (tmp_path / "a").rename(tmp_path / "b")
    paths = [tmp_path / "b" / f"{index}.png" for index in (5, 0, 3)]
    np.testing.assert_array_equal(pixels_of(open_(samples_of(paths))), whole[[5, 0, 3]])
    assert len(decoded) == 6


def test_a_changed_file_is_decoded_anew_and_no_other(tmp_path, picture, decoded):
    samples = make_samples(tmp_path / "a", picture)
    before = pixels_of(open_(samples))
    path = samples.images.paths[2]
    stamp = path.stat()
    picture(seed=77, size=(26, 20)).save(path)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # as a copy that keeps times would
    del decoded[:]
    after = pixels_of(open_(samples))
    assert decoded == ["2.png"]
    assert (after[2] != before[2]).any()
    np.testing.assert_array_equal(np.delete(after, 2, 0), np.delete(before, 2, 0))


def test_added_files_are_decoded_and_the_smaller_store_goes(tmp_path, picture, decoded):
    open_(make_samples(tmp_path / "a", picture))
    larger = open_(make_samples(tmp_path / "a", picture, count=8))
    assert decoded[6:] == ["6.png", "7.png"]
    assert [stored.images for stored in cache.list_stores()] == [8]
    expected = [larger_image(tmp_path / "a" / f"{index}.png") for index in range(8)]
    np.testing.assert_array_equal(pixels_of(larger), expected)


def larger_image(path: Path) -> np.ndarray:
    return ImageFiles([path]).decode(0, FORM).pixels


def test_another_image_size_is_another_store(tmp_path, picture):
    samples = make_samples(tmp_path / "a", picture)
    forms = [FORM, replace(FORM, fit="pad"), replace(FORM, channels=1), replace(FORM, width_px=8)]
    shapes = [pixels_of(open_(samples, form)).shape for form in forms]
    assert shapes == [(6, 8, 10, 3), (6, 8, 10, 3), (6, 8, 10, 1), (6, 8, 8, 3)]
    assert len(cache.list_stores()) == 4


def test_copies_of_an_image_are_decoded_once(tmp_path, picture, decoded):
    samples = make_samples(tmp_path / "a", picture)
    shutil.copy(tmp_path / "a" / "1.png", tmp_path / "a" / "4.png")
    pixels = pixels_of(open_(samples))
    assert sorted(decoded) == ["0.png", "1.png", "2.png", "3.png", "5.png"]
    np.testing.assert_array_equal(pixels[4], pixels[1])


def test_workers_decode_to_the_same_pixels(tmp_path, decoded):
    samples = large_samples(tmp_path / "a")
    kept = open_(samples)
    on_demand = open_(samples_of(samples.images.paths), replace(FORM, fit="pad"), keep="none")
    assert pixels_of(on_demand).shape == (9, 8, 10, 3)
    assert decoded == []  # not in this process
    expected = [samples.images.decode(index, FORM).pixels for index in range(9)]
    np.testing.assert_array_equal(pixels_of(kept), expected)


def test_damaged_files_are_named_and_others_are_kept(tmp_path, picture, decoded):
    samples = make_samples(tmp_path / "a", picture)
    for index in (1, 4):
        path = samples.images.paths[index]
        path.write_bytes(path.read_bytes()[:100])
    with raises(DataError, where=r"1\.png", what="damaged image", fix="repair, shrink or remove them") as caught:
        open_(samples)
    assert "4.png: damaged image" in caught.value.notes[0]
    make_samples(tmp_path / "a", picture)  # repaired
    del decoded[:]
    open_(samples)
    assert sorted(decoded) == ["1.png", "4.png"]
    assert [stored.images for stored in cache.list_stores()] == [6]


def test_an_interrupt_keeps_what_was_decoded_so_far(tmp_path, picture, monkeypatch):
    samples = make_samples(tmp_path / "a", picture, count=10)
    original = ImageFiles.decode
    left = iter(range(6))

    def interrupted(self, index, form, **options):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return original(self, index, form, **options)

    monkeypatch.setattr(ImageFiles, "decode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        open_(samples)
    assert [stored.images for stored in cache.list_stores()] == [6]
    monkeypatch.setattr(ImageFiles, "decode", original)
    expected = [original(samples.images, index, FORM).pixels for index in range(10)]
    np.testing.assert_array_equal(pixels_of(open_(samples)), expected)


def test_what_a_killed_process_left_is_cleared_away(tmp_path, picture):
    left = cache.stores_folder() / ".building-0-0"
    left.mkdir()
    (left / "images.npy").write_bytes(b"half")
    open_(make_samples(tmp_path / "a", picture))
    assert not left.exists()


@pytest.mark.parametrize("name", ["items.npy", "images.npy"])
def test_a_damaged_store_is_not_used(tmp_path, picture, name, decoded):
    samples = make_samples(tmp_path / "a", picture)
    expected = pixels_of(open_(samples)).copy()
    (stored,) = cache.list_stores()
    (stored.folder / name).write_bytes(b"no array")
    np.testing.assert_array_equal(pixels_of(open_(samples)), expected)
    assert len(decoded) == 12


BUILD = """
import sys, numpy as np
from pathlib import Path
from striate.cache import workers
from striate.datasets.dataset import Samples
from striate.images.resize import ImageSpec
from striate.datasets.labels import ClassLabels
from striate.images.sources import ImageFiles
from striate.datasets.store import open_store
original = ImageFiles.decode
def slow(self, index, form, **options):
    import time; time.sleep(0.05)
    print("decoded", self.where(index), file=sys.stderr)
    return original(self, index, form, **options)
ImageFiles.decode = slow
paths = sorted(Path(sys.argv[1]).iterdir())
samples = Samples(names=tuple(map(str, paths)), images=ImageFiles(paths), labels=ClassLabels(np.arange(len(paths))))
store = open_store(samples, ImageSpec(height_px=8, width_px=10, channels=3), name="a", location="a")
print(store.gather(np.arange(len(paths))).images.sum())
"""


def test_two_processes_share_one_store(tmp_path, picture):
    make_samples(tmp_path / "a", picture, count=20)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", BUILD, str(tmp_path / "a")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    ended = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert ended[0][0] == ended[1][0]
    assert sum(errors.count("decoded ") for _, errors in ended) == 20
    assert len(cache.list_stores()) == 1


def test_the_least_recently_used_stores_go_first(tmp_path, picture, monkeypatch):
    one, two, three = (make_samples(tmp_path / name, picture, seed=100 * seed) for seed, name in enumerate("abc"))
    open_(one)
    open_(two)
    for age, stored in enumerate(cache.list_stores()):
        os.utime(stored.folder / "about.json", (1000 - age, 1000 - age))
    open_(one)  # in use again
    (size,) = {stored.size_bytes for stored in cache.list_stores()}
    monkeypatch.setenv("STRIATE_CACHE_GB", f"{2.5 * size / 1e9:.9f}")
    open_(three)
    assert len(cache.list_stores()) == 2
    numbers = [set(np.load(stored.folder / "items.npy")["item"].tolist()) for stored in cache.list_stores()]
    wanted = [
        {int(digest, 16) for digest in digests.source_digests(samples.sources).images} for samples in (three, one)
    ]
    assert sorted(map(sorted, numbers)) == sorted(map(sorted, wanted))


def test_what_does_not_fit_is_decoded_on_demand_or_refused(tmp_path, picture, monkeypatch, capsys):
    samples = make_samples(tmp_path / "a", picture)
    monkeypatch.setenv("STRIATE_CACHE_GB", "0.000001")
    store = open_(samples)
    assert len(pixels_of(store)) == 6
    assert cache.list_stores() == []
    said = capsys.readouterr().err
    assert "decoded again in every epoch" in said
    assert "room for 0.0 MB (raise STRIATE_CACHE_GB" in said
    with raises(OutputError, what=r"take .* room for 0\.0 MB", fix="raise STRIATE_CACHE_GB, .* or use --cache none"):
        open_(samples, keep="disk")


def test_a_cache_that_cannot_be_written_is_no_obstacle(tmp_path, picture, monkeypatch, capsys):
    samples = make_samples(tmp_path / "a", picture)
    (tmp_path / "file").touch()
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "file" / "cache"))
    assert len(pixels_of(open_(samples))) == 6
    assert "set STRIATE_CACHE to another folder" in capsys.readouterr().err
    with raises(OutputError, what=r"the cache cannot be written \(Not a directory\)", fix="set STRIATE_CACHE"):
        open_(samples, keep="disk")


@pytest.mark.parametrize("given", ["many", "-1", "1e400", "nan"])
def test_a_bound_that_is_no_number_is_refused(monkeypatch, given):
    monkeypatch.setenv("STRIATE_CACHE_GB", given)
    with raises(ConfigError, where="STRIATE_CACHE_GB"):
        cache.bound_bytes()


def test_warnings_are_logged_each_time_images_are_used(tmp_path, picture, capsys):
    path, other = tmp_path / "odd.jpg", tmp_path / "plain.png"
    picture().save(path, exif=b"Exif\0\0II*\0nonsense")
    picture(seed=1).save(other)
    told = "odd.jpg: Corrupt EXIF data"
    for keep in ("none", "disk", "disk", "none"):
        open_(samples_of([path]), keep=keep)
        assert told in capsys.readouterr().err
    both = samples_of([other, path])
    open_(both)  # takes the odd one over from the other store
    assert told in capsys.readouterr().err
    assert len(cache.list_stores()) == 1
    open_(samples_of([other]))
    assert capsys.readouterr().err == ""
    cache.clear()
    large = large_samples(tmp_path / "large").images.paths
    many = open_(samples_of([*large, path]), keep="none")
    for _ in range(2):
        many.gather(np.arange(10))
    assert capsys.readouterr().err.count(told) == 1


def test_a_store_of_arrays_stays_in_memory():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 10), dtype=np.uint8)
    samples = Samples(names=("",) * 5, images=ImageArray(pixels), labels=ClassLabels(np.arange(5)))
    store = open_(samples, replace(FORM, channels=1))
    np.testing.assert_array_equal(pixels_of(store)[..., 0], pixels)
    assert cache.list_stores() == []
    assert len(set(store.digests)) == 5


@pytest.mark.parametrize("keep", ["disk", "none"])
def test_joints_are_resized_with_their_images(tmp_path, picture, keep):
    samples = make_samples(tmp_path / "a", picture, count=2)  # 24x20 and 25x20
    skeleton = Skeleton(joints=("a",), parents=(-1,))
    labels = JointLabels(
        xyz_mm=np.zeros((2, 1, 3), np.float32),
        uv_px=np.array([[[12, 10]], [[12.5, 0]]], np.float32),  # the centre; the middle of the upper edge
        visible=np.ones((2, 1), bool),
        skeleton=skeleton,
    )
    store = open_(replace(samples, labels=labels), keep=keep)
    np.testing.assert_allclose(store.labels.uv_px[:, 0], [[5, 4], [5, 0]], atol=1e-5)


def test_samples_can_be_taken_and_left_out(tmp_path, picture):
    store = open_(make_samples(tmp_path / "a", picture))
    some = store.take(np.array([4, 2]))
    assert some.names == ("4.png", "2.png")
    assert some.labels.targets.tolist() == [4, 2]
    np.testing.assert_array_equal(pixels_of(some), pixels_of(store)[[4, 2]])
    rest = store.without(set(some.digests))
    assert rest.names == ("0.png", "1.png", "3.png", "5.png")
    assert store.without(set()) is store


def test_an_undecoded_store_names_damaged_files(tmp_path, picture):
    samples = make_samples(tmp_path / "a", picture)
    samples.images.paths[3].write_bytes(b"\x89PNG\r\n\x1a\n")
    with raises(ImageError, where=r"3\.png$"):  # a few are decoded at once
        undecoded_store(samples, FORM)
    samples = large_samples(tmp_path / "large")
    samples.images.paths[3].write_bytes(b"\x89PNG\r\n\x1a\n")
    store = undecoded_store(samples, FORM)
    assert len(store.gather(np.array([0, 1])).images) == 2
    with raises(ImageError, where=r"3\.png$"):
        store.gather(np.array([3]))


def test_clearing_and_counting_leave_alone_what_is_not_ours(tmp_path, picture):
    open_(make_samples(tmp_path / "a", picture))
    mine = [tmp_path / "cache" / name for name in ("stores/precious/file", "stores/file", "photos/a.jpg")]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 10**6)
    (stored,) = cache.list_stores()
    assert cache.size_bytes() < 10**6
    assert cache.clear() < 10**6
    assert not stored.folder.exists()
    assert all(path.exists() for path in mine)


def test_clearing_waits_for_whoever_is_decoding(tmp_path, picture):
    open_(make_samples(tmp_path / "a", picture))
    with cache.lock():
        code = "from striate.cache import folder; folder.clear(); print('cleared')"
        clearing = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            clearing.wait(timeout=2)
        assert len(cache.list_stores()) == 1
    assert clearing.communicate(timeout=60)[0] == "cleared\n"
    assert cache.list_stores() == []


def test_a_store_that_is_described_by_nonsense_is_passed_over(tmp_path, picture):
    open_(make_samples(tmp_path / "a", picture))
    (cache.list_stores()[0].folder / "about.json").write_text("[]")
    assert cache.list_stores() == []


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, picture, monkeypatch):
    samples = make_samples(tmp_path / "a", picture)
    path = samples.images.paths[2]
    original = ImageFiles.decode

    def changed(self, index, form, **options):
        if self.paths[index] == path:
            picture(seed=123, size=(26, 20)).save(path)
        return original(self, index, form, **options)

    monkeypatch.setattr(ImageFiles, "decode", changed)
    with raises(DataError, where=r"2\.png", what="changed while it was read"):
        open_(samples)
    monkeypatch.setattr(ImageFiles, "decode", original)
    np.testing.assert_array_equal(pixels_of(open_(samples))[2], original(samples.images, 2, FORM).pixels)


def test_a_limit_on_pixels_holds_in_the_cache_too(tmp_path, picture):
    samples = make_samples(tmp_path / "a", picture)  # of 24x20 to 29x20
    open_(samples)
    with raises(DataError, where=r"4\.png.*5\.png", what="more than 559 pixels"):
        open_(samples, max_pixels=559)


def test_the_cache_is_shown_and_cleared(tmp_path, picture, capsys):
    from striate.cli import main

    open_(make_samples(tmp_path / "a", picture))
    assert main(["cache"]) == 0
    shown = capsys.readouterr().out
    assert "data  10x8 RGB, crop" in shown
    assert "somewhere" in shown
    assert main(["cache", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [stored["images"] for stored in found["stores"]] == [6]
    assert found["bytes"] >= 6 * 8 * 10 * 3
    assert main(["cache", "--clear"]) == 0
    assert "removed" in capsys.readouterr().out
    assert cache.list_stores() == []
    assert main(["cache", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["stores"] == []


def test_the_cache_folder_is_the_platforms_unless_it_is_set(monkeypatch):
    monkeypatch.delenv("STRIATE_CACHE")
    assert cache.folder().name == "striate"
    assert cache.folder().is_absolute()


def test_image_size_and_source_are_in_the_key():
    keys = {
        StoreIndex(form, Sources(images)).key
        for form in (FORM, replace(FORM, fit="stretch"))
        for images in (ImageFiles([]), ImageArray(np.zeros((0, 1, 1), np.uint8)))
    }
    assert len(keys) == 4


def test_workers_import_no_torch():
    modules = (
        "striate.cache.workers, striate.images.masks, striate.datasets.checks.report, striate.datasets.samples.figures"
    )
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_training_leaves_one_store_which_evaluation_finds(colour_folders):
    folder = colour_folders()
    run = st.train(
        folder, st.TrainConfig(model="resnet20", epochs=1, batch_size=8, size=8, out=str(folder.parent / "r"))
    )
    (stored,) = cache.list_stores()
    assert (stored.name, stored.spec, stored.images) == ("colours", "8x8 RGB, crop", 36)
    run.evaluate(folder)
    assert len(cache.list_stores()) == 1


def test_more_pixels_may_be_allowed_in_training(tmp_path, picture):
    for label, value in (("a", 0), ("b", 1)):
        (tmp_path / "data" / label).mkdir(parents=True)
        for index in range(3):
            Image.new("1", (10_000 + index, 10_000), value).save(tmp_path / "data" / label / f"{index}.png")
    options = {"model": "conv 2@3x3 | gap | fc classes", "size": 8, "epochs": 1, "batch_size": 2}
    with raises(DataError, what="pixels are more than 89,478,485", fix="--max-pixels"):
        st.train(tmp_path / "data", st.TrainConfig(**options, out=str(tmp_path / "no")))
    config = st.TrainConfig(**options, max_pixels=200_000_000, out=str(tmp_path / "run"))
    run = st.train(tmp_path / "data", config)
    assert run.evaluate(tmp_path / "data")["samples"] == run.record.data["val"]


def test_larger_images_can_be_allowed(tmp_path):
    Image.new("L", (40, 30)).save(tmp_path / "a.png")
    samples = samples_of([tmp_path / "a.png"])
    with raises(DataError, where=r"a\.png", what="1,200 pixels", fix="--max-pixels"):
        open_(samples, max_pixels=1199)
    assert len(open_(samples, max_pixels=1200)) == 1
