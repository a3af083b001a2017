"""From the content of an image file to a prediction, whatever runs the network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, UInt8

from striate.images.decode import MAX_PIXELS, decode, open_image, upright_size
from striate.images.preprocessing import Preprocessing
from striate.tasks.spec import Origin, Prediction, PredictOptions, TaskSpec

Forward = Callable[[Float32[np.ndarray, "1 channels height width"]], np.ndarray]
"""Runs a network: from a normalised image to its outputs, [1, ...]."""


@dataclass(frozen=True)
class Predictor:
    """Predicts image files with a network.

    Attributes:
        spec: what the network's outputs mean.
        preprocessing: what happens to an image before the network gets it, as in training.
        forward: runs the network, such as a session of ONNX Runtime.
        max_pixels: files with more pixels are refused.
    """

    spec: TaskSpec
    preprocessing: Preprocessing
    forward: Forward
    max_pixels: int = MAX_PIXELS

    def predict(self, content: bytes, *, top: int | None = None) -> Prediction:
        """Predict an image.

        Args:
            content: of its file.
            top: number of alternatives to list; None: as many as the task lists.

        Raises:
            ImageError: the content cannot be decoded.
            ConfigError: `top` is not for this task.
        """
        options = PredictOptions(top=top)
        self.spec.check_options(options)
        source_px = upright_size(open_image(content, max_pixels=self.max_pixels))
        preprocessing = preprocessing_of(self.spec, self.preprocessing, source_px, options)
        image_spec = preprocessing.image_spec
        pixels = decode(content, image_spec, max_pixels=self.max_pixels).pixels
        outputs = self.forward(normalise_pixels(preprocessing, pixels))
        (prediction,) = self.spec.decode(outputs, [Origin.of(source_px, image_spec)], options)
        return prediction


def preprocessing_of(
    spec: TaskSpec, training: Preprocessing, source_px: tuple[int, int], options: PredictOptions
) -> Preprocessing:
    """Return what happens to an image that is to be predicted.

    Args:
        spec: of the task, which may take images in their own shape.
        training: what happened to the training images.
        source_px: height and width of the source image.
        options: of the prediction.
    """
    height, width = spec.input_size((training.height_px, training.width_px), training.scale, source_px, options)
    # where the task keeps it, the size has the source image's own shape, but for rounding
    return replace(training, height_px=height, width_px=width, fit="stretch" if spec.keeps_aspect else training.fit)


def normalise_pixels(
    preprocessing: Preprocessing, pixels: UInt8[np.ndarray, "height width channels"]
) -> Float32[np.ndarray, "1 channels height width"]:
    """Turn values of 0 to 255 into what the network takes: (value / 255 - mean) / std."""
    mean, std = (
        (np.array(values) * 255).astype(np.float32)[:, None, None] for values in (preprocessing.mean, preprocessing.std)
    )
    image: Float32[np.ndarray, "1 channels height width"] = (
        (pixels.transpose(2, 0, 1).astype(np.float32) - mean) / std
    )[None]
    return image
