"""A predictor without torch's geometry gives what a run gives, on images of odd kinds and shapes, for every task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.support import raises

import striate as st
from striate.errors import ConfigError, ImageError
from striate.runtime.predictor import Predictor

RUNS = Path(__file__).resolve().parents[1] / "data_format4"


def odd_images(folder: Path) -> list[Path]:
    rng = np.random.default_rng(0)

    def noise(height: int, width: int, channels: int) -> np.ndarray:
        return rng.integers(0, 256, (height, width, channels)).astype(np.uint8)

    exif = Image.Exif()
    exif[274] = 6  # lies on its side
    images = {
        "tall.png": Image.fromarray(noise(61, 7, 3)),
        "wide.jpg": Image.fromarray(noise(9, 83, 3)),
        "grey.png": Image.fromarray(noise(31, 33, 1)[..., 0]),
        "see-through.png": Image.fromarray(noise(20, 27, 4), "RGBA"),
        "one.png": Image.fromarray(noise(1, 1, 3)),
        "palette.gif": Image.fromarray(noise(25, 24, 3)).quantize(8),
    }
    for name, image in images.items():
        image.save(folder / name)
    Image.fromarray(noise(30, 44, 3)).save(folder / "turned.jpg", exif=exif)
    return sorted(folder.iterdir())


def predictor_of(run: st.Run) -> Predictor:
    def forward(image: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return run.model(torch.from_numpy(image).contiguous(memory_format=torch.channels_last)).numpy()

    return Predictor(run.task.spec, run.record.preprocessing, forward)


def approximately(document: object) -> object:
    """Return a JSON document to compare with, whose numbers are nearly these."""
    if isinstance(document, dict):
        return {key: approximately(value) for key, value in document.items()}
    if isinstance(document, list):
        return [approximately(value) for value in document]
    return pytest.approx(document, rel=1e-5) if isinstance(document, float) else document


@pytest.mark.parametrize("task", ["classify", "segment", "pose"])
def test_a_predictor_gives_what_a_run_gives(task, tmp_path):
    run = st.load(RUNS / task / "complete")
    predictor = predictor_of(run)
    paths = odd_images(tmp_path)
    assert len(paths) == 7
    inputs = []
    run.model.register_forward_pre_hook(lambda model, images: inputs.append(images[0]))
    for path in paths:
        ((_, wanted),) = run.predictions([path])
        prediction = predictor.predict(path.read_bytes())
        assert torch.equal(*inputs[-2:]), path.name  # to the last bit; outputs but for how memory is aligned
        assert prediction.document() == approximately(wanted.document()), path.name


def test_what_cannot_be_predicted_is_refused(tmp_path):
    predictor = predictor_of(st.load(RUNS / "segment" / "complete"))
    with raises(ImageError):
        predictor.predict(b"no image")
    (path, *_) = odd_images(tmp_path)
    with raises(ConfigError, where="top"):
        predictor.predict(path.read_bytes(), top=3)
