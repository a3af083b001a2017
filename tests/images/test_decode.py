"""Whatever an image file is, it becomes the right 8-bit pixels or an ImageError."""

from __future__ import annotations

import io
import logging
import os
import re
import struct
import subprocess
import sys
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, TiffImagePlugin
from PIL.PngImagePlugin import PngInfo
from tests.support import raises

from striate.errors import ImageError
from striate.images import decode as module
from striate.images.decode import FORMATS, looks_like_image, open_image, to_pixels, upright_size
from striate.images.resize import FITS, ImageSpec, resize_transform, to_indices


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def decode(content: bytes, *, size_px: int = 8, channels: int = 3, **form: object) -> np.ndarray:
    wanted = {"height_px": size_px, "width_px": size_px, "channels": channels} | form
    return to_pixels(open_image(content), ImageSpec(**wanted))


@pytest.mark.parametrize("kind", FORMATS)
def test_every_allowed_format_is_decoded(kind, picture):
    content = encode(picture((200, 40, 40), size=(8, 8)), kind)
    assert looks_like_image(content[:12])
    assert np.abs(decode(content).mean((0, 1)) - (200, 40, 40)).max() < 12


@pytest.mark.parametrize("content", [b"", b"hello", b"\x7fELF\x02\x01\x01", b"RIFF\x00\x00\x00\x00WAVE", b"%PDF-1.7"])
def test_other_files_do_not_look_like_images(content):
    assert not looks_like_image(content)
    with raises(ImageError, what="no image that striate reads"):
        open_image(content)


def test_a_square_image_of_the_wanted_size_keeps_every_pixel(picture):
    image = picture(size=(8, 8))
    np.testing.assert_array_equal(decode(encode(image)), np.asarray(image))


def test_the_largest_central_square_is_kept():
    pixels = np.zeros((4, 12, 3), np.uint8)
    pixels[:, 4:8] = 255  # white in the middle third
    assert (decode(encode(Image.fromarray(pixels)), size_px=4) == 255).all()


def test_shrinking_averages_instead_of_skipping_pixels():
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    shrunk = decode(encode(Image.fromarray(stripes)), size_px=8, channels=1)
    assert np.abs(shrunk.astype(int) - 127).max() < 10


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    upright = np.zeros((8, 8), np.uint8)
    upright[:4, :4] = 250  # bright at the top left
    upright[:4, 4:] = 120
    # how a camera would have stored it: the inverse of what the EXIF standard says to do on reading
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encode(Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    np.testing.assert_array_equal(decode(content, channels=1)[..., 0], upright)


def test_16_bit_grey_is_scaled_and_not_clipped():
    values = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    expected = np.rint(values / 257).astype(np.uint8)
    np.testing.assert_array_equal(decode(encode(Image.fromarray(values)), channels=1)[..., 0], expected)


@pytest.mark.parametrize(("highest", "factor"), [(200, 1), (60_000, 1 / 257)])
def test_wide_integers_that_hold_8_or_16_bits_are_taken_as_such(highest, factor):
    values = np.linspace(0, highest, 64).astype(np.int32).reshape(8, 8)
    expected = np.rint(values * factor).astype(np.uint8)
    np.testing.assert_array_equal(decode(encode(Image.fromarray(values), "TIFF"), channels=1)[..., 0], expected)


def test_float_images_are_scaled_by_their_own_range():
    values = np.linspace(-3, 5, 64, dtype=np.float32).reshape(8, 8)
    pixels = decode(encode(Image.fromarray(values), "TIFF"), channels=1)
    assert pixels.min() == 0
    assert pixels.max() == 255


def test_transparency_is_laid_over_white():
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    half = Image.new("RGBA", (8, 8), (0, 0, 0, 128))
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([10, 20, 30, 200, 200, 200])
    assert (decode(encode(clear)) == 255).all()
    assert np.abs(decode(encode(half)).astype(int) - 127).max() <= 1
    assert (decode(encode(palette, transparency=0)) == 255).all()
    assert (decode(encode(Image.new("LA", (8, 8), (7, 0))), channels=1) == 255).all()


def test_an_opaque_palette_and_cmyk_give_their_colours():
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([10, 20, 30, 200, 100, 50])
    assert (decode(encode(palette)) == (200, 100, 50)).all()
    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert np.abs(decode(encode(cmyk, "TIFF")).astype(int) - (255, 0, 0)).max() <= 2


def test_of_an_animation_the_first_frame_counts():
    frames = [Image.new("L", (8, 8), value) for value in (40, 200)]
    content = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (decode(content, channels=1) == 40).all()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "TIFF"])
def test_a_truncated_image_is_an_error(kind, picture):
    content = encode(picture(size=(64, 64)), kind)
    with raises(ImageError, what="damaged|no image"):
        decode(content[: len(content) // 2])


def claiming(width: int, height: int) -> bytes:
    """Return a small BMP file whose header claims a size."""
    content = bytearray(encode(Image.new("1", (8, 8)), "BMP"))
    content[18:26] = width.to_bytes(4, "little") + height.to_bytes(4, "little")
    return bytes(content)


@pytest.mark.parametrize("side", [10_000, 60_000])  # Pillow warns of the one, and refuses the other
def test_a_bomb_is_refused_before_it_is_decoded(side):
    with raises(ImageError, what=f"its {side**2:,} pixels are more than 89,478,485$", fix="--max-pixels"):
        open_image(claiming(side, side))


@pytest.mark.parametrize("size", [(20, 5), (100, 1), (9, 11)])
def test_the_limit_of_pixels_is_exact_whatever_pillow_allows(size):
    content = encode(Image.new("L", size))
    pixels = size[0] * size[1]
    assert open_image(content, max_pixels=pixels).size == size
    with raises(ImageError, what=f"its {pixels} pixels are more than {pixels - 1}$"):
        open_image(content, max_pixels=pixels - 1)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "TIFF"])
def test_a_larger_limit_than_pillows_holds_through_decoding(kind, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow refuses from 21 pixels on
    content = encode(Image.new("L", (8, 8), 200), kind)
    assert np.abs(decode(content).astype(int) - 200).max() <= 2
    assert Image.MAX_IMAGE_PIXELS == 10


def test_a_limit_is_put_back_when_an_image_is_refused():
    before = Image.MAX_IMAGE_PIXELS
    for content, limit in [(b"", 100), (claiming(60_000, 60_000), 100), (encode(Image.new("L", (8, 8))), 5)]:
        with pytest.raises(ImageError):
            open_image(content, max_pixels=limit)
    assert before == Image.MAX_IMAGE_PIXELS


def test_more_pixels_than_pillows_limit_can_be_allowed():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_image(claiming(60_000, 60_000), max_pixels=60_000**2).size == (60_000, 60_000)


# --- fitting ---

sides = st.integers(1, 3000)
forms = st.builds(ImageSpec, height_px=st.integers(1, 300), width_px=st.integers(1, 300), channels=st.just(3))
fits = st.sampled_from(FITS)


def fitted(form: ImageSpec, fit: str) -> ImageSpec:
    return ImageSpec(height_px=form.height_px, width_px=form.width_px, channels=form.channels, fit=fit)


@given(sides, sides, forms, fits)
def test_the_centre_comes_to_lie_on_the_centre(height, width, form, fit):
    fitting = resize_transform(height, width, fitted(form, fit))
    assert fitting.scale_x * width / 2 + fitting.offset_x == pytest.approx(form.width_px / 2)
    assert fitting.scale_y * height / 2 + fitting.offset_y == pytest.approx(form.height_px / 2)


@given(sides, sides, forms)
def test_crop_and_pad_keep_the_aspect_ratio(height, width, form):
    for fit, beyond in [("crop", 1), ("pad", -1)]:
        fitting = resize_transform(height, width, fitted(form, fit))
        assert fitting.scale_x == fitting.scale_y
        over_x = fitting.scale_x * width - form.width_px
        over_y = fitting.scale_y * height - form.height_px
        assert beyond * min(over_x * beyond, over_y * beyond) == pytest.approx(0, abs=1e-9)  # one side fits exactly
        assert max(over_x * beyond, over_y * beyond) >= -1e-9  # the other one sticks out, or leaves a border


@given(sides, sides, forms)
def test_stretch_maps_corner_to_corner(height, width, form):
    fitting = resize_transform(height, width, fitted(form, "stretch"))
    assert (fitting.offset_x, fitting.offset_y) == (0, 0)
    assert fitting.scale_x * width == pytest.approx(form.width_px)
    assert fitting.scale_y * height == pytest.approx(form.height_px)


small = st.integers(1, 24)


@given(small, small, small, small, fits, st.integers(0, 2**32 - 1))
def test_a_mask_holds_the_label_at_the_centre_of_each_pixel(height, width, to_height, to_width, fit, seed):
    values = np.random.default_rng(seed).integers(0, 200, (height, width), dtype=np.uint8)
    form = ImageSpec(height_px=to_height, width_px=to_width, channels=3, fit=fit)
    fitting = resize_transform(height, width, form)
    expected = np.full((to_height, to_width), 255, np.uint8)
    for row in range(to_height):
        for column in range(to_width):
            y = (row + 0.5 - fitting.offset_y) / fitting.scale_y
            x = (column + 0.5 - fitting.offset_x) / fitting.scale_x
            if 0 <= y < height and 0 <= x < width:
                expected[row, column] = values[int(y), int(x)]
    np.testing.assert_array_equal(to_indices(values, form, 255), expected)
    assert fit == "pad" or 255 not in expected


@settings(max_examples=200, deadline=None)
@given(st.integers(2, 200), st.integers(2, 200), forms, fits, st.booleans(), st.data())
def test_an_edge_comes_to_lie_where_the_geometry_says(height, width, form, fit, upright, data):
    # a step from black to white at source x (or y): the brightness left over tells its place to a part of a pixel
    length = width if upright else height
    step = data.draw(st.integers(1, length - 1))
    pixels = np.zeros((height, width), np.uint8)
    pixels[(slice(None), slice(step, None)) if upright else slice(step, None)] = 255
    form = ImageSpec(height_px=form.height_px, width_px=form.width_px, channels=1, fit=fit)
    found = decode(
        encode(Image.fromarray(pixels)), height_px=form.height_px, width_px=form.width_px, channels=1, fit=fit
    )
    fitting = resize_transform(height, width, form)
    scale, offset = (fitting.scale_x, fitting.offset_x) if upright else (fitting.scale_y, fitting.offset_y)
    target = form.width_px if upright else form.height_px
    place = step * scale + offset
    reach = max(1, scale)  # of the filter, in target pixels
    line = found[..., 0].mean(0 if upright else 1) / 255
    for index, value in enumerate(line):
        if index + 0.5 < place - reach - 1e-6:
            assert value == 0
        if index + 0.5 > place + reach + 1e-6:
            assert value == 1
    if reach < place < target - reach and fit != "stretch":  # nothing of the filter was cut off at a border
        # enlarged, the edge is a ramp `scale` pixels long; the sum of a ramp's samples misses its area by
        # (B2(a) - B2(b)) / 2 scale, B2 being Bernoulli's periodic polynomial, from -1/12 to 1/6 (Euler and Maclaurin)
        sampled = 1 / 8 / scale if scale > 1 else 0.05
        assert target - line.sum() == pytest.approx(place, abs=sampled + 2 * target / 255 / 16)


def test_padding_repeats_the_border_and_is_outside_the_mask():
    pixels = np.zeros((4, 12, 3), np.uint8)
    pixels[0], pixels[-1] = (200, 0, 0), (0, 0, 200)
    padded = decode(encode(Image.fromarray(pixels)), size_px=12, fit="pad")
    assert (padded[:4] == (200, 0, 0)).all()
    assert (padded[8:] == (0, 0, 200)).all()
    np.testing.assert_array_equal(padded[4:8], pixels)
    form = ImageSpec(height_px=12, width_px=12, channels=3, fit="pad")
    mask = to_indices(np.ones((4, 12), np.uint8), form, 9)
    assert (mask[[0, 3, 8, 11]] == 9).all()
    assert (mask[4:8] == 1).all()
    tall = decode(encode(Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 0, 2)))), size_px=12, fit="pad")
    np.testing.assert_array_equal(tall, padded.transpose(1, 0, 2))


@pytest.mark.parametrize("fit", FITS)
def test_any_image_of_the_wanted_size_keeps_every_pixel(fit, picture):
    image = picture(size=(9, 7))
    np.testing.assert_array_equal(decode(encode(image), height_px=7, width_px=9, fit=fit), np.asarray(image))


@pytest.mark.parametrize("wrong", [{"height_px": 0}, {"width_px": -1}, {"channels": 4}, {"fit": "squeeze"}])
def test_a_form_that_no_image_has_is_refused(wrong):
    with pytest.raises((ValueError, TypeError)):
        ImageSpec(**({"height_px": 8, "width_px": 8, "channels": 3} | wrong))


# --- EXIF orientation ---


def turned(orientation: int, kind: str, size: tuple[int, int] = (40, 24), **options: object) -> bytes:
    """Return a file of an image that is dark with a bright left third when seen upright."""
    pixels = np.full((size[1], size[0]), 30, np.uint8)
    pixels[:, : size[0] // 3] = 220
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transpositions that undo what a reader does
    image = Image.fromarray(pixels)
    if orientation in back:
        image = image.transpose(Image.Transpose(back[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(image, kind, exif=exif, **options)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_pictures_of_any_format_and_fit_are_alike(orientation, kind, fit):
    content = turned(orientation, kind)
    assert upright_size(open_image(content)) == (24, 40)
    shape = {"height_px": 9, "width_px": 12, "channels": 1, "fit": fit}
    expected = decode(turned(1, "PNG"), **shape).astype(int)
    assert np.abs(decode(content, **shape) - expected).max() <= 12


def test_the_upright_size_is_read_without_decoding():
    content = turned(6, "PNG", (400, 240))
    assert upright_size(open_image(content[: len(content) - 60])) == (240, 400)  # its pixels are truncated


def test_a_png_files_orientation_may_follow_its_pixels():
    content = encode(Image.new("L", (6, 4)))
    exif = Image.Exif()
    exif[0x0112] = 6
    data = exif.tobytes()[6:]
    chunk = struct.pack(">I4s", len(data), b"eXIf") + data + struct.pack(">I", zlib.crc32(b"eXIf" + data))
    late = content[:-12] + chunk + content[-12:]
    assert upright_size(open_image(content)) == (4, 6)
    assert upright_size(open_image(late)) == (6, 4)


def test_damaged_exif_data_are_no_reason_to_refuse_a_picture():
    text = PngInfo()
    text.add_text("Raw profile type exif", "\nexif\n 9\nthese are no digits")
    content = encode(Image.new("L", (8, 8), 77), pnginfo=text)
    found = module.decode(content, ImageSpec(height_px=8, width_px=8, channels=1))
    assert np.abs(found.pixels.astype(int) - 77).max() <= 1
    assert found.warnings
    assert "orientation unknown" in found.warnings[0]


# --- JPEG at reduced scale ---


@pytest.fixture
def landscape() -> Image.Image:
    """Return a smooth picture, 1003 by 701: sides that no reduced scale divides."""
    y, x = np.mgrid[0:701, 0:1003] / 100
    channels = (np.sin(x + y), np.cos(2 * x) * np.sin(y), np.cos(x * y / 4))
    return Image.fromarray((127 + 120 * np.stack(channels, -1)).astype(np.uint8))


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("channels", [1, 3])
def test_reduced_jpeg_decoding_is_used_and_hardly_seen(landscape, fit, orientation, channels, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encode(landscape, "JPEG", quality=95, exif=exif)
    form = ImageSpec(height_px=60, width_px=80, channels=channels, fit=fit)
    image = open_image(content)
    reduced = to_pixels(image, form)
    assert image.size in {(251, 176), (126, 88)}  # a quarter or an eighth, rounded up
    monkeypatch.setattr("PIL.JpegImagePlugin.JpegImageFile.draft", lambda *arguments: None)
    image = open_image(content)
    whole = to_pixels(image, form)
    assert image.size == (1003, 701)
    assert np.abs(reduced.astype(int) - whole).mean() < 2
    # no shift either: their difference has no slope
    assert np.abs((reduced.astype(int) - whole).mean((0, 1))).max() < 1


@pytest.mark.parametrize(("size_px", "expected"), [(64, (64, 64)), (33, (64, 64)), (32, (64, 64)), (16, (32, 32))])
def test_reduced_jpeg_decoding_leaves_a_factor_of_two(size_px, expected, picture):
    image = open_image(encode(picture(size=(64, 64)), "JPEG"))
    to_pixels(image, ImageSpec(height_px=size_px, width_px=size_px, channels=3))
    assert image.size == expected


# --- unusual numbers and colours ---


def png(header: tuple[int, int], rows: bytes, size: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """Write a square PNG file of (bit depth, colour type), which Pillow cannot."""
    start = (b"IHDR", struct.pack(">IIBBBBB", size, size, *header, 0, 0, 0))
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in (start, *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        content += struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))
    return content


@pytest.mark.parametrize(("colour_type", "samples"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_16_bit_png_files_are_scaled_and_not_clipped(colour_type, samples):
    values = np.linspace(0, 65535, 64).astype(">u2").reshape(8, 8)
    stacked = np.stack([values] * samples, -1)
    if samples in (2, 4):
        stacked[..., -1] = 65535
    rows = b"".join(b"\x00" + row.astype(">u2").tobytes() for row in stacked)
    found = decode(png((16, colour_type), rows, 8))
    assert np.abs(found - values[..., None] / 257).max() <= 1


@pytest.mark.parametrize(("colour_type", "samples"), [(0, 1), (2, 3)])
def test_the_transparent_colour_of_16_bit_png_files_is_found(colour_type, samples):
    values = np.full((8, 8, samples), 0x1234, ">u2")
    values[4:] = 0x5678
    rows = b"".join(b"\x00" + row.tobytes() for row in values)
    found = decode(png((16, colour_type), rows, 8, (b"tRNS", b"\x12\x34" * samples)))
    assert (found[:4] == 255).all()
    assert np.abs(found[4:].astype(int) - 0x56).max() <= 1


def tiff(values: np.ndarray, **tags: int) -> bytes:
    """Write a little-endian TIFF file, one strip, of any numbers."""
    height, width = values.shape
    entries = {"bits": 8 * values.dtype.itemsize, "photometric": 1, "format": 1} | tags
    fields = [(256, width), (257, height), (258, entries["bits"]), (259, 1), (262, entries["photometric"])]
    fields += [(273, 8), (277, 1), (278, height), (279, values.nbytes), (339, entries["format"])]
    directory = struct.pack("<H", len(fields)) + b"".join(struct.pack("<HHII", tag, 4, 1, v) for tag, v in fields)
    return b"II*\x00" + struct.pack("<I", 8 + values.nbytes) + values.tobytes() + directory + bytes(4)


def test_12_bit_files_are_scaled_by_their_own_range():
    twelve = np.linspace(0, 4095, 64).astype(int).reshape(8, 8)
    a, b = twelve[:, ::2], twelve[:, 1::2]
    packed = np.stack([a >> 4, (a & 15) << 4 | b >> 8, b & 255], -1).reshape(8, 12).astype(np.uint8)
    content = bytearray(tiff(packed, bits=12))
    place = content.index(struct.pack("<HHII", 256, 4, 1, 12))
    content[place : place + 12] = struct.pack("<HHII", 256, 4, 1, 8)
    expected = np.rint(twelve * 255 / 4095)
    np.testing.assert_array_equal(decode(bytes(content), channels=1)[..., 0], expected)


@pytest.mark.parametrize(("lowest", "zero"), [(0, 0), (-32768, 128)])
def test_signed_16_bit_files_use_the_range_that_they_have(lowest, zero):
    values = np.linspace(lowest, 32767, 64).astype("<i2").reshape(8, 8)
    values[0, 1] = 0
    found = decode(tiff(values, format=2), channels=1)[..., 0]
    assert (found[0, 0], found[0, 1], found[7, 7]) == (0, zero, 255)


@pytest.mark.parametrize("kind", ["<u2", "<f4"])
def test_where_zero_is_white_it_is_white(kind):
    values = np.linspace(0, 65535, 64).astype(kind).reshape(8, 8)
    found = decode(tiff(values, photometric=0, format=3 if kind == "<f4" else 1), channels=1)[..., 0]
    assert (found[0, 0], found[7, 7]) == (255, 0)


def test_16_bit_pgm_files_are_never_taken_as_8_bit():
    found = decode(b"P5 8 8 65535\n" + np.full(64, 200, ">u2").tobytes(), channels=1)
    assert (found == 1).all()


@pytest.mark.parametrize("extreme", [np.nan, np.inf, -np.inf, 3.4e38])
def test_numbers_that_are_none_and_huge_ones_raise_no_warning(extreme):
    values = np.linspace(1, 2, 64, dtype=np.float32).reshape(8, 8)
    values[3, 3] = extreme
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = decode(encode(Image.fromarray(values), "TIFF"), channels=1)[..., 0]
    assert found[3, 3] == (255 if extreme > 0 else 0)
    assert found[7, 7] == (0 if extreme == 3.4e38 else 255)


@pytest.mark.parametrize("value", [np.nan, np.inf, 3.0])
def test_floats_that_are_all_alike_are_black(value):
    content = encode(Image.fromarray(np.full((8, 8), value, np.float32)), "TIFF")
    assert (decode(content) == 0).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I", "I;16", "F"])
def test_every_tiff_mode_gives_black_and_white(mode, channels):
    image = Image.new("L", (8, 8), 0)
    image.paste(255, (4, 0, 8, 8))
    if mode == "LAB":
        halves = Image.new("LAB", (8, 8), (0, 128, 128))
        halves.paste((255, 128, 128), (4, 0, 8, 8))
    elif mode == "PA":
        halves = image.convert("P").convert("PA")
    elif mode == "I;16":
        halves = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    else:
        halves = (image.convert("RGB") if mode in {"CMYK", "YCbCr"} else image).convert(mode)
    found = decode(encode(halves, "TIFF"), channels=channels).astype(int)
    assert found[:, :4].max() <= 2
    assert found[:, 4:].min() >= 253


def test_inverted_cmyk_as_adobe_writes_it_gives_its_colours():
    content = encode(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95)
    assert np.abs(decode(content).astype(int) - (255, 0, 0)).max() <= 6


def test_an_unused_fourth_byte_is_no_transparency():
    unused = Image.new("RGBA", (8, 8), (10, 200, 30, 0))
    content = bytearray(encode(unused, "BMP"))
    assert (decode(bytes(content)) == (10, 200, 30)).all()
    assert (decode(encode(unused, "PNG")) == 255).all()


# --- what readers say ---


def test_warnings_are_collected_once_each_and_do_not_escape(monkeypatch):
    real = Image.open

    def talking(*arguments: object, **options: object) -> ImageFile.ImageFile:
        for text in ("odd\ntag", "odd\ntag", "another"):
            warnings.warn(text, stacklevel=2)
        logging.getLogger("PIL.TiffImagePlugin").error("said %s", "aloud")
        return real(*arguments, **options)

    monkeypatch.setattr(Image, "open", talking)
    form = ImageSpec(height_px=4, width_px=4, channels=3)
    found = module.decode(encode(Image.new("L", (6, 4))), form)  # pytest would raise a warning that escaped
    assert found.warnings == ("odd tag", "another", "said aloud")
    assert (found.source_size_px) == (4, 6)
    with raises(ImageError, what=r"damaged image \(said aloud\)") as caught:
        module.decode(b"BM and then nothing", form)
    assert caught.value.notes == ("odd tag", "another")
    monkeypatch.undo()
    assert module.decode(encode(Image.new("L", (6, 4))), form).warnings == ()


@pytest.mark.parametrize("spoken", ["LZWDecode: Corrupted table at row 3.", "Fax4Decode: Bad code word at line 27."])
def test_what_libtiff_says_of_damaged_pixels_is_the_reason(spoken, monkeypatch, capfd):
    real = TiffImagePlugin.TiffImageFile.load

    def load(image: TiffImagePlugin.TiffImageFile) -> object:
        os.write(2, f"TIFFFetchNormalTag: odd tag.\nTIFFReadX: Warning, odd.\n\n{spoken}\n".encode())
        return real(image)

    monkeypatch.setattr(TiffImagePlugin.TiffImageFile, "load", load)
    form = ImageSpec(height_px=4, width_px=4, channels=3)
    with raises(ImageError, what=re.escape(f"damaged image ({spoken[:-1]})")) as caught:
        module.decode(encode(Image.new("L", (8, 8)), "TIFF"), form)
    assert caught.value.notes == ("TIFFFetchNormalTag: odd tag", "TIFFReadX: Warning, odd")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RecursionError("deep"),
        struct.error("short"),
        SyntaxError("x"),
        OverflowError("y"),
        zlib.error("z"),
    ],
)
@pytest.mark.parametrize("where", ["PIL.Image.open", "PIL.PngImagePlugin.PngImageFile.load"])
def test_whatever_a_reader_raises_becomes_an_image_error(error, where, monkeypatch):
    content = encode(Image.new("L", (8, 8)))

    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(where, fail)
    with raises(ImageError, what="damaged image|memory does not suffice") as caught:
        decode(content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("where", ["PIL.Image.open", "PIL.PngImagePlugin.PngImageFile.load"])
def test_an_interrupt_passes(where, monkeypatch):
    content = encode(Image.new("L", (8, 8)))

    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(where, interrupt)
    with pytest.raises(KeyboardInterrupt):
        decode(content)


def test_text_that_unpacks_to_a_bomb_is_refused():
    text = b"Comment\x00\x00" + zlib.compress(bytes(20_000_000))
    with raises(ImageError, what="too large"):
        decode(png((8, 0), b"\x00" * 72, 8, (b"zTXt", text)))


def test_decoding_needs_no_torch_of_its_own():
    script = "import ast, pathlib, sys; tree = ast.parse(pathlib.Path(sys.argv[1]).read_text());"
    script += "print([n.names[0].name if isinstance(n, ast.Import) else n.module for n in ast.walk(tree)"
    script += " if isinstance(n, (ast.Import, ast.ImportFrom))])"
    done = subprocess.run([sys.executable, "-c", script, module.__file__], capture_output=True, text=True, check=True)
    assert "PIL" in done.stdout
    assert "torch" not in done.stdout
