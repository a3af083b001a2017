"""Images as vectors at each depth of a network: their neighbours, and their projection to a plane."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from striate.errors import ConfigError
from striate.interpret.activations import preserve_state, record_activations

Projection = Literal["pca", "tsne"]
_LEAST_IMAGES = 3  # that a projection is made of


def embed(
    network: nn.Module,
    layers: Sequence[str],
    batches: Iterable[Float[Tensor, "_ channels height width"]],
    advance: Callable[[int], None] = lambda images: None,
) -> dict[str, Float[np.ndarray, "_ _"]]:
    """Return the outputs of layers as one vector per image: of maps the mean over all positions.

    Args:
        network: network; its state is preserved.
        layers: names of the layers.
        batches: normalised images; one batch is in memory at a time.
        advance: called with the number of images of each batch.

    Returns:
        Vectors by layer: [images, features].
    """
    vectors: dict[str, list[np.ndarray]] = {layer: [] for layer in layers}
    with preserve_state(network), record_activations(network, layers) as outputs, torch.inference_mode():
        for images in batches:
            network(images)
            for layer in layers:
                value = outputs[layer].float()
                vectors[layer].append((value.mean((2, 3)) if value.ndim == 4 else value.flatten(1)).cpu().numpy())
            advance(len(images))
    return {layer: np.concatenate(parts) if parts else np.zeros((0, 0), np.float32) for layer, parts in vectors.items()}


def nearest_neighbours(
    vectors: Float[np.ndarray, "images features"], others: Float[np.ndarray, "others features"], count: int
) -> tuple[Int64[np.ndarray, "images count"], Float[np.ndarray, "images count"]]:
    """Return, for each vector, the indices of the nearest other vectors, and the cosine similarities.

    Both are centred on the mean of the others first: what all images have in common says nothing.

    Args:
        vectors: vectors whose neighbours are wanted.
        others: vectors to choose from.
        count: number of neighbours.
    """
    mean = others.mean(0)
    cosines = _unit(vectors - mean) @ _unit(others - mean).T
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :count].astype(np.int64)
    return order, np.take_along_axis(cosines, order, 1)


def _unit(vectors: Float[np.ndarray, "images features"]) -> Float[np.ndarray, "images features"]:
    """Scale vectors to length 1."""
    unit: Float[np.ndarray, "images features"] = vectors / np.maximum(
        np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12
    )
    return unit


def project(
    vectors: Float[np.ndarray, "images features"], method: Projection = "pca"
) -> tuple[Float[np.ndarray, "images 2"], float | None]:
    """Return points in a plane: principal components, or t-SNE (van der Maaten and Hinton 2008) by scikit-learn.

    Args:
        vectors: a vector for each image.
        method: principal components ("pca") or "tsne".

    Returns:
        The points, and for principal components the share of the variance that they show.

    Raises:
        ConfigError: scikit-learn is not installed.
    """
    if len(vectors) < _LEAST_IMAGES:  # there is nothing to be seen yet
        return np.zeros((len(vectors), 2)), None
    centred = vectors - vectors.mean(0)
    if method == "tsne":
        try:
            from sklearn.manifold import TSNE
        except ImportError:
            raise ConfigError("projection", "tsne needs scikit-learn", "pip install scikit-learn") from None
        perplexity = max(1.0, min(30.0, (len(vectors) - 1) / 3))
        init = "pca" if centred.shape[1] > 1 else "random"
        points = TSNE(perplexity=perplexity, random_state=0, init=init).fit_transform(centred)
        return np.asarray(points, dtype=np.float64), None
    left, singular, _ = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    points = np.zeros((len(vectors), 2))
    kept = min(2, len(singular))
    points[:, :kept] = left[:, :kept] * singular[:kept]
    total = float((singular**2).sum())
    return points, float((singular[:2] ** 2).sum()) / total if total else 1.0
