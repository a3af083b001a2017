"""The hard image files of the Pillow project: each is decoded sensibly or refused with a reason, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

MEMORY_BYTES = 3 << 29  # 1.5 GiB
SCRIPT = f"""
import json, pathlib, resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY_BYTES}, {MEMORY_BYTES}))
from striate.images.decode import decode
from striate.images.resize import ImageSpec
from striate.errors import ImageError
found = {{}}
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    for channels in (3, 1):
        try:
            image = decode(path.read_bytes(), ImageSpec(height_px=64, width_px=64, channels=channels))
        except ImageError as error:
            entry = {{"reason": error.what, "fix": error.fix, "warnings": list(error.notes)}}
        else:
            entry = {{"shape": image.pixels.shape, "dtype": str(image.pixels.dtype), "warnings": image.warnings}}
            entry |= {{"pixels": image.pixels.tobytes().hex(), "size": image.source_size_px}}
        found[f"{{path.name}} {{channels}}"] = entry
json.dump(found, sys.stdout)
"""

TOO_LARGE = {
    "bmp_b_badwidth.bmp": 274_877_898_816,
    "bmp_b_reallybig.bmp": 6_000_000_000_000,
    "decompression_bomb.gif": 4_364_696_535,
    "l2rgb_read.bmp": 151_587_072,
}
REFUSED = {
    "bmp_b_badheadersize.bmp": "Unsupported BMP header type",
    "bmp_b_shortfile.bmp": "truncated",
    "bmp_g_rgb32bf.bmp": "Unsupported BMP bitfields",
    "bmp_q_rgb24jpeg.bmp": "Unsupported BMP pixel depth",
    "broken_data_stream.png": "unrecognized data stream",
    "crash-0da013a13571cc8eb457a39fee8db18f8a3c7127.tif": "Bad code word",
    "crash-1152ec2d1a1a71395b6f2ce6721c38924d025bf3.tif": "Read error on strip 0",
    "crash-2020-10-test.tif": "damaged image",
    "crash-63b1dffefc8c075ddc606c0a2f5fdc15ece78863.tif": "damaged image",
    "crash-86214e58da443d2b80820cff9677a38a33dcbbca.tif": "Invalid Read",
    "libtiff_segfault.tif": "samples per pixel",
    "oom-225817ca0f8c663be7ab4b9e717b02c661e66834.tif": "samples per pixel",
    "png_decompression_dos.png": "too large",
    "truncated_end_chunk.png": "Truncated",
}


@pytest.fixture(scope="module")
def folder(unpacked) -> Path:
    """Unpack the files."""
    return unpacked("odd-images.tar") / "odd-images"


@pytest.fixture(scope="module")
def found(folder) -> dict[str, dict]:
    """Decode every file, in colour and in grey, in a process of little memory."""
    pytest.importorskip("resource", reason="memory is limited by setrlimit, which only POSIX has")
    done = subprocess.run([sys.executable, "-c", SCRIPT, folder], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    entries = json.loads(done.stdout)
    for entry in entries.values():
        if "pixels" in entry:
            entry["pixels"] = np.frombuffer(bytes.fromhex(entry["pixels"]), np.uint8).reshape(entry["shape"])
    return entries


def pixels(found: dict[str, dict], name: str, channels: int = 3) -> np.ndarray:
    return found[f"{name} {channels}"]["pixels"].astype(int)


def test_every_file_is_decoded_or_refused(found, folder):
    names = {path.name for path in folder.iterdir()}
    assert len(names) == 328
    assert set(found) == {f"{name} {channels}" for name in names for channels in (1, 3)}
    refused = {key.rsplit(" ", 1)[0] for key, entry in found.items() if "reason" in entry}
    # another Pillow may read more of them
    assert refused <= REFUSED.keys() | TOO_LARGE.keys()
    for key, entry in found.items():
        if "reason" not in entry:
            assert entry["shape"] == [64, 64, int(key[-1])]
            assert entry["dtype"] == "uint8"
            assert min(entry["size"]) >= 1


@pytest.mark.parametrize(("name", "pixel_count"), TOO_LARGE.items())
def test_bombs_are_refused_by_their_size(found, name, pixel_count):
    entry = found[f"{name} 3"]
    assert entry["reason"] == f"its {pixel_count:,} pixels are more than 89,478,485"
    assert "--max-pixels" in entry["fix"]


@pytest.mark.parametrize(("name", "reason"), [entry for entry in REFUSED.items() if "nsupported" not in entry[1]])
def test_damaged_files_are_refused_with_a_reason(found, name, reason):
    said = found[f"{name} 3"]["reason"]
    assert reason in said
    assert said.startswith("damaged image (")
    assert "\n" not in said
    assert len(said) < 200


def test_no_warning_is_lost(found):
    said = {key[:-2]: entry["warnings"] for key, entry in found.items() if entry["warnings"] and key.endswith("3")}
    assert "Invalid APNG" in said["apng_syntax_num_frames_zero_default.png"][0]
    assert any("Tag data larger than file" in text for text in said["crash-2020-10-test.tif"])
    assert any("Corrupt EXIF data" in text for text in said["oom-225817ca0f8c663be7ab4b9e717b02c661e66834.tif"])
    assert all(len(set(texts)) == len(texts) and not any("\n" in text for text in texts) for texts in said.values())


@pytest.mark.parametrize("orientation", range(2, 9))
def test_turned_photos_all_look_alike(found, orientation):
    difference = np.abs(pixels(found, f"hopper_orientation_{orientation}.jpg") - pixels(found, "hopper.jpg"))
    assert difference.mean() < 3


@pytest.mark.parametrize("orientation", [3, 5, 7])
def test_turned_faxes_all_look_alike(found, orientation):
    name = f"g4_orientation_{orientation}.tif"
    assert found[f"{name} 3"]["size"] == [88, 590]
    assert np.abs(pixels(found, name) - pixels(found, "g4_orientation_1.tif")).mean() < 1


PHOTOS = {"hopper.bmp": 1, "hopper.jpg": 4, "hopper_bigtiff.tif": 1, "hopper_lzma.tif": 1, "hopper_jpg.tif": 4}
PHOTOS |= {"hopper.iccprofile.tif": 4, "hopper_webp.png": 6, "hopper_zero_comment_subblocks.gif": 12, "bgr15.png": 5}


@pytest.mark.parametrize(("name", "tolerance"), PHOTOS.items())
def test_one_photo_is_the_same_in_any_format(found, name, tolerance):
    difference = np.abs(pixels(found, name) - pixels(found, "hopper.png"))
    assert difference.mean() < tolerance


GREY_PHOTOS = ["tiff_gray_2_4_bpp_hopper2I.tif", "tiff_gray_2_4_bpp_hopper4I.tif", "tiff_gray_2_4_bpp_hopper4R.tif"]


@pytest.mark.parametrize("name", [*GREY_PHOTOS, "hopper_gray_4bpp.tif", "hopper_bw_500.png", "hopper_g4_500.tif"])
def test_photos_of_few_greys_are_not_inverted(found, name):
    correlation = np.corrcoef(pixels(found, name, 1).ravel(), pixels(found, "hopper.png", 1).ravel())[0, 1]
    assert correlation > 0.9


CHARTS = ["pal8", "pal8os2", "pal8topdown", "pal8v5", "rgb16", "rgb16-565"]


@pytest.mark.parametrize(
    "name",
    [*(f"bmp_g_{kind}.bmp" for kind in CHARTS), "bmp_q_pal8os2v2.bmp", "bmp_q_rgb32h52.bmp", "bmp_q_rgb32bf-xbgr.bmp"],
)
def test_the_bmp_chart_is_the_same_however_it_is_stored(found, name):
    difference = np.abs(pixels(found, name) - pixels(found, "bmp_html_rgb24.png"))
    assert difference.mean() < 8


def test_an_unused_fourth_byte_of_a_bmp_file_hides_nothing(found):
    assert np.abs(pixels(found, "rgb32bf-abgr.bmp") - pixels(found, "bmp_html_rgb24.png")).mean() < 8


@pytest.mark.parametrize("name", ["pil_sample_cmyk.jpg", "tiff_tiled_cmyk_jpeg.tif"])
def test_red_letters_in_cmyk_are_red_on_black(found, name):
    picture = pixels(found, name)
    red, green, blue = picture[picture[..., 0] > 150].mean(0)
    assert red > 200
    assert max(green, blue) < 90
    assert np.median(picture, (0, 1)).max() < 40


def test_lab_is_converted(found):
    red, green, blue = pixels(found, "lab-red.tif").mean((0, 1))
    assert red > 250
    assert green < 5
    assert 100 < blue < 150  # L*a*b* (50, 127, 0) is a pinkish red


def test_16_bit_colour_is_scaled_whatever_its_layout(found):
    plain = pixels(found, "tiff_16bit_RGB.tiff")
    np.testing.assert_array_equal(plain, pixels(found, "tiff_strip_planar_16bit_RGB.tiff"))
    assert 100 < plain.max() < 160  # not clipped
    assert plain.std() > 15


def test_numbers_of_12_and_16_bits_are_scaled(found):
    assert (pixels(found, "uint16_1_4660.tif") == 18).all()  # 4660 / 65535 * 255
    assert pixels(found, "12bit.cropped.tif").max() in {1, 2}  # 30 / 4095 * 255
    signed = pixels(found, "16bit.s.tif")
    assert (signed.min(), signed.max()) == (0, 255)
    faint = pixels(found, "16bit.deflate.tif")
    np.testing.assert_array_equal(faint, pixels(found, "16bit.MM.deflate.tif"))
    assert faint.max() == 3  # 694 / 65535 * 255


@pytest.mark.parametrize(
    ("name", "colour"),
    [
        ("apng_blend_op_source_solid.png", (255, 0, 0)),  # the second frame is green
        ("apng_dispose_op_background.png", (255, 0, 0)),
        ("apng_delay.png", (255, 0, 0)),
        ("multipage.tiff", (0, 128, 0)),  # then red and blue
        ("test_extents.gif", (255, 0, 0)),
        ("decompression_bomb_extents.gif", (255, 0, 0)),
    ],
)
def test_of_animations_the_first_frame_counts(found, name, colour):
    assert (pixels(found, name) == colour).all()


def test_transparency_is_laid_over_white(found):
    assert (pixels(found, "transparent.gif")[0, 0] == 255).all()
    assert (pixels(found, "pil123p.png")[0, 0] == 255).all()
    assert (pixels(found, "p_trns_single.png")[32, 32] == 255).all()
    assert (pixels(found, "different_transparency.gif")[40:, 40:] == 255).all()


def test_xmp_data_turn_a_picture_too(found):
    turned, plain = pixels(found, "xmp_tags_orientation_exiftool.png"), pixels(found, "color_snakes.png")
    np.testing.assert_array_equal(turned, plain[::-1, ::-1])
