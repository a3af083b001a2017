"""Whatever a picture file is, it becomes the right 8-bit pixels or an ImageError."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from striate.data.decode import FORMATS, looks_like_image, open_image, to_pixels
from striate.errors import ImageError


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def decode(content: bytes, *, size_px: int = 8, channels: int = 3) -> np.ndarray:
    return to_pixels(open_image(content), size_px=size_px, channels=channels)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_allowed_format_is_recognised_by_its_first_bytes_and_decoded(kind, picture):
    content = encode(picture((200, 40, 40), size=(8, 8)), kind)
    assert looks_like_image(content[:12])
    assert np.abs(decode(content).mean((0, 1)) - (200, 40, 40)).max() < 12


@pytest.mark.parametrize("content", [b"", b"hello", b"\x7fELF\x02\x01\x01", b"RIFF\x00\x00\x00\x00WAVE", b"%PDF-1.7"])
def test_other_files_do_not_look_like_images(content):
    assert not looks_like_image(content)
    with pytest.raises(ImageError, match="no image that striate reads"):
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
    with pytest.raises(ImageError, match=r"damaged|no image"):
        decode(content[: len(content) // 2])


def test_a_bomb_is_refused_before_it_is_decoded():
    content = bytearray(encode(Image.new("1", (8, 8)), "BMP"))
    content[18:26] = (60_000).to_bytes(4, "little") * 2  # the header claims 3.6 gigapixels
    with pytest.raises(ImageError, match="pixels"):
        open_image(bytes(content))
