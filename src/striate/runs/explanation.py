"""One image explained, as arrays: where the network looks, what its layers respond to, what it takes to be alike."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.batching.batches import Batches
from striate.cache.digests import source_digests
from striate.datasets.store import undecoded_store
from striate.errors import ConfigError, InputError, listing, nearest
from striate.images.decode import upright_size
from striate.images.overlays import RGBArray, draw_box, html_figure, image_grid, overlay, scale_to
from striate.interpret.activations import (
    feature_map_layers,
    find_layer,
    layer_shapes,
    preserve_state,
    representation_layers,
)
from striate.interpret.embedding import embed, nearest_neighbours
from striate.interpret.feature_maps import feature_maps, strongest_channels
from striate.interpret.grad_cam import grad_cam
from striate.interpret.occlusion import occlusion
from striate.interpret.top_activations import top_activations
from striate.runs.evaluation import SplitEvaluation, evaluate_sample
from striate.runs.record import RunRecord
from striate.runs.run_images import RunImages, denormalise, draw_prediction, predict_image, unlabelled_samples
from striate.runtime.predictor import preprocessing_of
from striate.system.progress import progress_bar
from striate.tasks.explaining import ExplainTarget
from striate.tasks.spec import Prediction, PredictOptions
from striate.tasks.task import Task

logger = logging.getLogger(__name__)

_MOST_IMAGES = 12  # explained at once
_TARGETS = 3  # explained by default
_CONFIDENCES = 6  # targets whose probability is told
_CHANNELS = 6  # whose patches are searched for
_PATCHES = 6  # per channel
_NEIGHBOURS = 6
_EMBEDDED = 2_000  # training images at most that neighbours are searched among
_SEARCHED = 500  # training images at most that patches are searched in
_EVALUATED = 200  # held-out images
_COARSE = 4  # cells of a map, down or across, that hardly tell where
_SIDE_PX = 200
_RANDOM_SEED = 1_000_003  # of the randomly initialised network; not the seed of any training


@dataclass(frozen=True)
class ExplainSubject:
    """An image that is to be explained.

    Attributes:
        name: path of its file.
        image: normalised image, of the size that a prediction takes.
        digest: digest of the file's content.
    """

    name: str
    image: Float[Tensor, "1 channels height width"]
    digest: str


@dataclass(frozen=True)
class NeighbourImage:
    """A training image that lies near the explained one.

    Attributes:
        name: file name of the training image.
        cosine: cosine similarity of the two representations, -1 to 1.
        image: RGB image, as the network gets it.
    """

    name: str
    cosine: float
    image: RGBArray


@dataclass(frozen=True)
class ImagePatch:
    """A patch of a training image that activates a channel.

    Attributes:
        name: file name of the training image.
        image: RGB image, the receptive field of the unit framed.
    """

    name: str
    image: RGBArray


@dataclass(frozen=True)
class Explanation:
    """What was found out about one image.

    Attributes:
        name: path of the image file.
        image: RGB image, as the network gets it.
        drawn: the same, enlarged if it is small, with the prediction drawn on it.
        prediction: what the network predicts.
        layer: name of the layer that the Grad-CAM maps are of; None where the network has no feature maps.
        targets: explained targets (a class, a joint), each with a few words about it.
        grad_cam: Grad-CAM map of each target; none where there is no layer.
        random_grad_cam: the same maps of a randomly initialised network.
        occlusion: how much the first target changes when a cell of the image is covered.
        feature_maps: outputs of layers for the image, by layer: [channels, rows, columns].
        confidence: probability of targets, the likeliest first; None where the network gives none.
        neighbours: nearest training images, the nearest first.
        patches: for the most active channels of `layer`, the patches of training images that activate them most.
    """

    name: str
    image: RGBArray
    drawn: RGBArray
    prediction: Prediction
    layer: str | None
    targets: dict[str, str]
    grad_cam: dict[str, Float[np.ndarray, "_ _"]]
    random_grad_cam: dict[str, Float[np.ndarray, "_ _"]]
    occlusion: Float[np.ndarray, "_ _"]
    feature_maps: dict[str, Float[np.ndarray, "_ _ _"]]
    confidence: dict[str, float | None]
    neighbours: list[NeighbourImage] = field(default_factory=list)
    patches: dict[int, list[ImagePatch]] = field(default_factory=dict)

    def illustrations(self) -> list[tuple[RGBArray, str]]:
        """Return the prediction and the maps as RGB images, each with its caption."""
        shown = [(scale_to(self.drawn, 2 * _SIDE_PX), f"What it says: {self.prediction.summary()}")]
        shown += [self._grad_cam_pair(target) for target in self.grad_cam]
        occluded = scale_to(overlay(self.image, self.occlusion), _SIDE_PX)
        first = next(iter(self.targets))
        caption = f"The slow check (occlusion): how much {first} changes when that part of the image is covered."
        return [*shown, (occluded, caption)]

    def _grad_cam_pair(self, target: str) -> tuple[RGBArray, str]:
        """Return the map of a target beside that of a randomly initialised network, and a caption."""
        values = self.grad_cam[target]
        pair = [scale_to(overlay(self.image, v), _SIDE_PX) for v in (values, self.random_grad_cam[target])]
        note = ""
        if np.ptp(values) == 0:
            note = " The left one is the same everywhere: it says nothing."
        elif min(values.shape) < _COARSE:
            note = f" Maps of {values.shape[1]}x{values.shape[0]} cells are coarse; --layer takes a finer layer."
        words = self.targets[target]
        caption = f"{words[0].upper()}{words[1:]}, by {self.layer}; right by a network with random weights.{note}"
        return image_grid(pair, columns=2), caption

    def document(self) -> dict[str, Any]:
        """Return the prediction, its confidence and the neighbours as a JSON object."""
        return {
            "image": self.name,
            **self.prediction.document(),
            "confidence": self.confidence,
            "layer": self.layer,
            "like": [{"image": other.name, "cosine": other.cosine} for other in self.neighbours],
        }

    def _repr_html_(self) -> str:
        """Return the illustrations for a notebook."""
        return "".join(html_figure(image, caption) for image, caption in self.illustrations())


class Explainer:
    """Explains images to a run: loads what explanations share once.

    Args:
        record: record of the run.
        task: task of the run.
        network: trained network; its state is preserved.
        run_images: the run's own images; None where they are not at hand: then nothing is compared with them.
        layer: name of the layer, or of a part of one, whose maps are taken; None: the last layer that has maps.
        of: class or joint that is explained; None: what the network says most.

    Raises:
        ModelError: there is no such layer.
        ConfigError: the layer gives no maps, or there is no such class or joint.
    """

    def __init__(
        self,
        record: RunRecord,
        task: Task,
        network: nn.Module,
        run_images: RunImages | None,
        *,
        layer: str | None = None,
        of: str | None = None,
    ) -> None:
        maps = feature_map_layers(network)
        self.layer = find_layer(network, layer) if layer else next(reversed(maps), None)
        if self.layer and len(layer_shapes(network, self.layer)[1]) != 3:
            raise ConfigError("layer", f"{layer} gives no maps", f"layers that do: {listing(maps) or 'none'}")
        names = record.vocabulary.names
        if of is not None and names and of not in names and of.rpartition(".")[0] not in names:
            what = f"the network knows no {record.vocabulary.kind} {of!r}{nearest(of, names)}"
            raise ConfigError("of", what, f"it knows {listing(names, most=20)}")
        self.record, self.task, self.network, self.run_images, self.of = record, task, network, run_images, of
        self._layers = list(dict.fromkeys([*([self.layer] if layer and self.layer else []), *maps]))
        self._device = next(network.parameters()).device
        self._random_network = task.training.build(record.plan(), record.model, _RANDOM_SEED).to(self._device)
        self._train_vectors: np.ndarray | None = None
        self._evaluation: SplitEvaluation | None = None

    @property
    def neighbour_pool(self) -> int:
        """Number of training images that neighbours are searched among."""
        return min(_EMBEDDED, len(self.run_images.stores["train"])) if self.run_images else 0

    def evaluation(self) -> SplitEvaluation | None:
        """Evaluate the network on some held-out images, once; None where the run's images are not at hand."""
        if self._evaluation is None and self.run_images is not None:
            self._evaluation = evaluate_sample(self.run_images, self.task, self.network, _EVALUATED)
        return self._evaluation

    def subjects(self, paths: Sequence[Path]) -> list[ExplainSubject]:
        """Decode image files to the size that a prediction takes.

        Raises:
            DataError: a file cannot be read.
            ConfigError: there are more than twelve of them.
        """
        if len(paths) > _MOST_IMAGES:
            what = f"at most {_MOST_IMAGES} can be explained at once, not {len(paths):,}: each takes a page"
            raise ConfigError("images", what, "name some of them")
        max_pixels, subjects = self.record.config.max_pixels, []
        for path in paths:
            files = unlabelled_samples([path])
            size_px = upright_size(files.images.header(0, max_pixels=max_pixels))
            preprocessing = preprocessing_of(self.task.spec, self.record.preprocessing, size_px, PredictOptions())
            store = undecoded_store(files, preprocessing.image_spec, max_pixels=max_pixels)
            batches = Batches(store=store, preprocessing=preprocessing, batch_size=1, device=self._device)
            image = next(iter(batches.in_order())).images
            subjects.append(ExplainSubject(str(path), image, source_digests(files.sources).images[0]))
        return subjects

    def explain(self, subject: ExplainSubject) -> Explanation:
        """Explain an image."""
        network, layer, image = self.network, self.layer, subject.image
        known, targets = self._explain_targets(image)
        maps = {name: values.numpy() for name, values in feature_maps(network, self._layers, image).items()}
        rgb = denormalise(image, self.record.preprocessing)[0]

        def maps_of(model: nn.Module) -> dict[str, np.ndarray]:
            return {target.name: grad_cam(model, layer, image, target).cpu().numpy() for target in targets if layer}

        return Explanation(
            name=subject.name,
            image=rgb,
            drawn=draw_prediction(self.task, network, image, rgb),
            prediction=predict_image(self.task, network, image),
            layer=layer,
            targets={target.name: target.words for target in targets},
            grad_cam=maps_of(network),
            random_grad_cam=maps_of(self._random_network),
            occlusion=occlusion(network, image, targets[0]).numpy(),
            feature_maps=maps,
            confidence={target.name: target.probability for target in [*known[:_CONFIDENCES], *targets]},
            neighbours=self._neighbours(subject),
            patches=self._patches(maps[layer]) if layer else {},
        )

    def _explain_targets(self, image: Tensor) -> tuple[list[ExplainTarget], list[ExplainTarget]]:
        """Return all targets that the outputs for an image have, and those that are explained."""
        with preserve_state(self.network), torch.no_grad():  # targets go into gradients
            outputs = self.network(image).float()
        known = self.task.explaining.explain_targets(outputs)
        if self.of is None:
            return known, known[:_TARGETS]
        wanted = [target for target in known if target.name == self.of]
        if not wanted:
            names = listing((target.name for target in known), most=8)
            raise ConfigError("of", f"the network says nothing about {self.of} here", f"it does about {names}")
        return known, wanted

    def _neighbours(self, subject: ExplainSubject) -> list[NeighbourImage]:
        """Find the training images, but for itself, that lie nearest in what the last layer reads."""
        layer = next(reversed(representation_layers(self.network)), self.layer)
        if self.run_images is None or layer is None:
            return []
        pool = self.run_images.spread("train", _EMBEDDED)
        if self._train_vectors is None:
            with progress_bar("embedding", len(pool)) as advance:
                images = self.run_images.normalised("train", pool)
                self._train_vectors = embed(self.network, [layer], images, advance)[layer]
        digests = self.run_images.stores["train"].digests
        others = np.array([i for i, index in enumerate(pool) if digests[index] != subject.digest], dtype=np.int64)
        if not len(others):
            return []
        vector = embed(self.network, [layer], [subject.image])[layer]
        order, cosines = nearest_neighbours(vector, self._train_vectors[others], _NEIGHBOURS)
        indices = pool[others[order[0]]].tolist()
        return [
            NeighbourImage(self.run_images.name("train", index), float(cosine), image)
            for index, cosine, image in zip(indices, cosines[0], self.run_images.rgb("train", indices), strict=True)
        ]

    def _patches(self, maps: Float[np.ndarray, "channels _ _"]) -> dict[int, list[ImagePatch]]:
        """Find what activates the channels most that respond most to this image."""
        if self.run_images is None or self.layer is None:
            return {}
        channels = strongest_channels(torch.from_numpy(maps), _CHANNELS)
        pool = self.run_images.spread("train", _SEARCHED)
        with progress_bar("searching", len(pool)) as advance:
            images = self.run_images.normalised("train", pool)
            patches_by_channel = top_activations(
                self.network, self.layer, channels, images, count=_PATCHES, advance=advance
            )
        framed: dict[int, list[ImagePatch]] = {}
        for channel, patches in patches_by_channel.items():
            indices = [int(pool[patch.image]) for patch in patches]
            framed[channel] = [
                ImagePatch(self.run_images.name("train", index), draw_box(image, patch.box))
                for index, image, patch in zip(indices, self.run_images.rgb("train", indices), patches, strict=True)
            ]
        return framed


def open_run_images(folder: Path, record: RunRecord, network: nn.Module, data: str | None) -> RunImages | None:
    """Open a run's images; logs, and returns None, where they are not at hand.

    Args:
        folder: folder of the run.
        record: record of the run.
        network: network of the run, on its device.
        data: location of the data, if they have moved; None: where they were.

    Raises:
        DataError: `data` is given, and is not the run's data.
        ConfigError: `data` is given for published weights.
    """
    if record.is_published:
        if data is not None:
            raise ConfigError("data", "published weights were trained on ImageNet, which is not here", "leave it out")
        return None
    try:
        return RunImages.open(folder, record, next(network.parameters()).device, data)
    except InputError as error:
        if data is not None:  # it was asked for
            raise
        logger.info(f"the run's training images are not at hand, so nothing is compared with them: {error}")
        return None
