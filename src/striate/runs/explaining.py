"""One picture explained: where the network looks, what its layers see there, what it is like, and how sure that is."""

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
from striate.cache.digests import picture_digests
from striate.datasets.store import undecoded_store
from striate.errors import ConfigError, InputError, listing, nearest
from striate.images.decode import upright_size
from striate.images.overlays import colours_of, fitted, framed, overlay, sheet
from striate.interpret.activations import find_layer, map_layers, preserve_state, shapes_of
from striate.interpret.embedding import embed, neighbours
from striate.interpret.feature_maps import feature_maps, strongest
from striate.interpret.grad_cam import grad_cam
from striate.interpret.occlusion import occlusion
from striate.interpret.top_activations import top_activations
from striate.reports.first_layer import add_first_layer
from striate.reports.page import Page, picture_figure
from striate.reports.representation import depths
from striate.runs.evaluation import SplitEvaluation, as_table, evaluate_some, label, meanings
from striate.runs.gallery import (
    Pixels,
    RunImages,
    as_pictures,
    called,
    draw_prediction,
    in_words,
    predict_image,
    purpose,
    unlabelled,
)
from striate.runs.inputs import seen_as
from striate.runs.record import RunRecord
from striate.system.progress import progress_bar
from striate.tasks.base import ExplainTarget, Prediction, PredictOptions, Task

logger = logging.getLogger(__name__)

_MOST = 12  # pictures at once
_QUESTIONS = 3  # that are answered by default
_SURE = 6  # statements whose probability is told
_CHANNELS = 6
_PATCHES = 6  # a channel
_LOOKED_THROUGH = 2_000  # training images at most
_MEASURED = 200  # images whose truth is known
_COARSE = 4  # places of a map, down or across, that hardly tell where
_FEW = 20  # answers that say little
_SIDE_PX = 200
_RANDOM_SEED = 1_000_003  # of the network with random weights; not that of any training


@dataclass(frozen=True)
class Subject:
    """A picture that is to be explained.

    Attributes:
        name: of its file.
        image: normalised, in the size that a prediction takes.
        digest: of the file's content.
    """

    name: str
    image: Float[Tensor, "1 channels height width"]
    digest: str


@dataclass(frozen=True)
class Explanation:
    """What was found about one picture.

    Attributes:
        name: of the picture.
        picture: as the network gets it.
        drawn: that, small ones enlarged, with what it says drawn upon it.
        prediction: what it says.
        layer: that the maps below are of; None where the network has no feature maps.
        where: for what it says (a class, a joint), the map of the places that speak for it (Grad-CAM); likewise.
        words: what these maps are of, in a few words.
        random: the same of a network with random weights.
        covered: by how much what it says most changes when a place is covered.
        first: what that is.
        maps: what layers give for the picture, by name: [channels, rows, columns].
        sure: what could be said of it, the likeliest first, and the probability where there is one.
        like: training images that lie nearest: name, cosine, picture.
        patches: of the strongest channels of the layer, what excites them most in training images: name, picture.
    """

    name: str
    picture: Pixels
    drawn: Pixels
    prediction: Prediction
    layer: str | None
    where: dict[str, Float[np.ndarray, "_ _"]]
    words: dict[str, str]
    random: dict[str, Float[np.ndarray, "_ _"]]
    covered: Float[np.ndarray, "_ _"]
    first: str
    maps: dict[str, Float[np.ndarray, "_ _ _"]]
    confidence: dict[str, float | None]
    like: list[tuple[str, float, Pixels]] = field(default_factory=list)
    patches: dict[int, list[tuple[str, Pixels]]] = field(default_factory=dict)

    def figures(self) -> list[str]:
        """Return its pictures with their sentences, as HTML."""
        found = [picture_figure(fitted(self.drawn, 2 * _SIDE_PX), f"What it says: {in_words(self.prediction)}")]
        for name, values in self.where.items():
            pair = [fitted(overlay(self.picture, one), _SIDE_PX) for one in (values, self.random[name])]
            flat = " The left one is the same everywhere: it says nothing." if np.ptp(values) == 0 else ""
            if not flat and min(values.shape) < _COARSE:
                flat = f" Maps of {values.shape[1]}x{values.shape[0]} places are coarse; --layer takes a finer one."
            words = f"{self.words[name]}, by {self.layer}; right by a network with random weights.{flat}"
            found.append(picture_figure(sheet(pair, columns=2), f"{words[0].upper()}{words[1:]}"))
        found.append(
            picture_figure(
                fitted(overlay(self.picture, self.covered), _SIDE_PX),
                f"The slow check: how much it changes what is said of {self.first} when that place is covered.",
            )
        )
        return found

    def document(self) -> dict[str, Any]:
        """Return what it says, how sure it is, and what it is like, as a JSON object."""
        like = [{"image": name, "cosine": cosine} for name, cosine, _ in self.like]
        return {
            "image": self.name,
            **self.prediction.document(),
            "sure": self.confidence,
            "layer": self.layer,
            "like": like,
        }

    def _repr_html_(self) -> str:
        """Return the pictures for a notebook."""
        return "".join(self.figures())


class Explainer:
    """Explains pictures to a run.

    Args:
        record: of the run.
        task: what outputs mean.
        network: is as it was after each look.
        gallery: its training images; None where they are not at hand: then nothing is compared with them.
        layer: whose maps are looked at, or a part of one; None: the last one that has any.
        of: a class or a joint; None: what the network says most.

    Raises:
        ModelError: there is no such layer.
        ConfigError: that layer gives no maps, or there is no such class or joint.
    """

    def __init__(
        self,
        record: RunRecord,
        task: Task,
        network: nn.Module,
        gallery: RunImages | None,
        *,
        layer: str | None = None,
        of: str | None = None,
    ) -> None:
        maps = map_layers(network)
        self.layer = find_layer(network, layer) if layer else next(reversed(maps), None)
        if self.layer and len(shapes_of(network, self.layer)[1]) != 3:
            raise ConfigError(f"layer (={layer}) gives no maps; some that do: {listing(maps) or 'none'}.")
        names = record.vocabulary.names
        if of is not None and of not in names and of.rpartition(".")[0] not in names:
            raise ConfigError(
                f"of (={of}) is none of the network's{nearest(of, names)}; those are {listing(names, most=20)}."
            )
        self.record, self.task, self.network, self.gallery, self.of = record, task, network, gallery, of
        self._shown = list(dict.fromkeys([*([self.layer] if layer and self.layer else []), *maps]))
        self._device = next(network.parameters()).device
        self._twin = task.build(record.plan(), record.model, _RANDOM_SEED).to(self._device)
        self._train: np.ndarray | None = None
        self._measured: SplitEvaluation | None = None

    def subjects(self, paths: Sequence[Path]) -> list[Subject]:
        """Decode picture files, in the size that a prediction takes; raises DataError where one cannot be read."""
        if len(paths) > _MOST:
            raise ConfigError(
                f"{len(paths):,} images are given; wanted: {_MOST} at most, as each takes a page. Give some of them."
            )
        max_pixels, found = self.record.config.max_pixels, []
        for path in paths:
            files = unlabelled([path])
            picture_px = upright_size(files.pictures.header(0, max_pixels=max_pixels))
            form = seen_as(self.task, self.record.preprocessing, picture_px, PredictOptions())
            store = undecoded_store(files, form.form, max_pixels=max_pixels)
            batches = Batches(store=store, preprocessing=form, batch_size=1, device=self._device)
            image = next(iter(batches.in_order())).images
            found.append(Subject(str(path), image, picture_digests(files.pictures)[0][0]))
        return found

    def explain(self, subject: Subject) -> Explanation:
        """Explain a picture."""
        network, layer, image = self.network, self.layer, subject.image
        every, questions = self._questions(image)
        maps = {one: found.numpy() for one, found in feature_maps(network, self._shown, image).items()}
        picture = as_pictures(image, self.record.preprocessing)[0]
        return Explanation(
            name=subject.name,
            picture=picture,
            drawn=draw_prediction(self.task, network, image, picture),
            prediction=predict_image(self.task, network, image),
            layer=layer,
            words={one.name: one.words for one in questions},
            where={one.name: grad_cam(network, layer, image, one).cpu().numpy() for one in questions if layer},
            random={one.name: grad_cam(self._twin, layer, image, one).cpu().numpy() for one in questions if layer},
            covered=occlusion(network, image, questions[0]).numpy(),
            first=questions[0].name,
            maps=maps,
            confidence={one.name: one.probability for one in [*every[:_SURE], *questions]},
            like=self._like(subject),
            patches=self._patches(maps[layer]) if layer else {},
        )

    def _questions(self, image: Tensor) -> tuple[list[ExplainTarget], list[ExplainTarget]]:
        """Return all that the network could be asked about a picture, and what it is asked."""
        with preserve_state(self.network), torch.no_grad():  # what is asked goes into gradients
            outputs = self.network(image).float()
        questions = self.task.explain_targets(outputs)
        if self.of is None:
            return questions, questions[:_QUESTIONS]
        asked = [question for question in questions if question.name == self.of]
        if not asked:
            known = listing((question.name for question in questions), most=8)
            raise ConfigError(f"of (={self.of}): the network says nothing of that; it does of {known}.")
        return questions, asked

    def _like(self, subject: Subject) -> list[tuple[str, float, Pixels]]:
        """Find the training images, but for itself, that lie nearest, in what the last layer reads."""
        layer = next(reversed(depths(self.network)), self.layer)
        if self.gallery is None or layer is None:
            return []
        chosen = self.gallery.some("train", _LOOKED_THROUGH)
        if self._train is None:
            with progress_bar("embedding", len(chosen)) as advance:
                self._train = embed(self.network, [layer], self.gallery.images("train", chosen), advance)[layer]
        digests = self.gallery.stores["train"].digests
        others = np.array([place for place, one in enumerate(chosen) if digests[one] != subject.digest], dtype=np.int64)
        if not len(others):
            return []
        own = embed(self.network, [layer], [subject.image])[layer]
        order, cosines = neighbours(own, self._train[others], _PATCHES)
        places = [int(chosen[others[place]]) for place in order[0]]
        pictures = self.gallery.pictures("train", places) if places else []
        return [
            (self.gallery.name("train", place), float(cosine), picture)
            for place, cosine, picture in zip(places, cosines[0], pictures, strict=True)
        ]

    def _patches(self, maps: Float[np.ndarray, "channels _ _"]) -> dict[int, list[tuple[str, Pixels]]]:
        """Find what excites the channels that answer most to this picture."""
        if self.gallery is None or self.layer is None:
            return {}
        channels = strongest(torch.from_numpy(maps), _CHANNELS)
        chosen = self.gallery.some("train", _LOOKED_THROUGH // 4)
        with progress_bar("searching", len(chosen)) as advance:
            images = self.gallery.images("train", chosen)
            found = top_activations(self.network, self.layer, channels, images, count=_PATCHES, advance=advance)
        shown: dict[int, list[tuple[str, Pixels]]] = {}
        for channel, patches in found.items():
            places = [int(chosen[patch.image]) for patch in patches]
            pictures = self.gallery.pictures("train", places) if places else []
            shown[channel] = [
                (self.gallery.name("train", place), framed(picture, patch.box))
                for place, picture, patch in zip(places, pictures, patches, strict=True)
            ]
        return shown

    def page(self, found: Sequence[Explanation]) -> Page:
        """Put explanations on a page."""
        record = self.record
        page = Page(f"What {called(record)} sees", f"{purpose(record)}. Its images were: {record.data['location']}.")
        if self.gallery is None:
            page.text("Its training images are not at hand, so what it compares pictures with is left out.", "note")
        if self.layer is None:
            page.text("It has no feature maps, so covering places is the one way to see where it looks.", "note")
        for one in found:
            page.section(Path(one.name).name)
            if one.where:
                page.text(
                    "Where it looks (Grad-CAM): yellow are the places that count most. Where the map of a network with "
                    "random weights looks the same, it tells of the picture alone, and not of what was learned."
                )
            page.figures(one.figures())
            page.scale()
            self._add_sureness(page, one)
            if one.maps:
                page.text("What its layers make of the picture: the channels that answer most, wherever they do.")
                page.figures([_channels(layer, maps) for layer, maps in one.maps.items()])
            if one.patches:
                page.text(
                    f"What those channels of {one.layer} answer to most in the training images; the frame is all that "
                    "such a unit sees."
                )
                page.figures([_exciting(channel, patches) for channel, patches in one.patches.items()])
            if one.like:
                pictures = sheet([fitted(picture, 110) for _, _, picture in one.like], columns=_PATCHES)
                names = ", ".join(f"{Path(name).name} ({cosine:.2f})" for name, cosine, _ in one.like)
                names += "; 1 is the same to it, 0 has nothing in common"
                searched = min(_LOOKED_THROUGH, len(self.gallery.stores["train"]) if self.gallery else 0)
                alike = f"Of {searched:,} training images those that it takes to be most alike: {names}."
                page.figures([picture_figure(pictures, alike)], "wide")
        add_first_layer(page, self.network)
        return page

    def _add_sureness(self, page: Page, one: Explanation) -> None:
        """Say how sure the network is of a picture, and what that is worth on images whose truth is known."""
        if self._measured is None and self.gallery is not None:
            self._measured = evaluate_some(self.gallery, self.task, self.network, _MEASURED)
        header, explained = [""], ""
        cells = [[name] for name in one.confidence]
        has_probability = any(value is not None for value in one.confidence.values())
        if has_probability:
            header.append("how sure, here")
            for row, value in zip(cells, one.confidence.values(), strict=True):
                row.append("–" if value is None else f"{value:.1%}")
        measured = self._measured
        if measured is not None:
            keys, rows = as_table(measured.metrics.rows())
            known = {row[0]: row[1:] for row in rows}
            header += [label(key) for key in keys[1:]]
            cells = [row + known[row[0]] for row in cells if row[0] in known]
            explained = meanings(keys[1:])
        if len(header) > 1:
            page.text(f"How sure that is. {self._worth(one, measured)}")
            page.table(header, cells, numbers=len(header) - 1)
            page.text(explained, "note")

    def _worth(self, one: Explanation, measured: SplitEvaluation | None) -> str:
        """Say what the probability of the first answer is worth."""
        if measured is None:
            return "What that is worth is not known without its training images."
        whole = len(self.gallery.stores[measured.split]) if self.gallery else 0
        split = "test images" if measured.split == "test" else "validation images"
        others = f"The other columns tell how good it is on {len(measured.chosen):,} of {whole:,} {split}."
        first = next(iter(one.confidence.values()))
        calibration = measured.calibration
        if first is None or calibration is None:
            return f"Its answers come without a probability. {others}"
        place = min(int(first * len(calibration.counts)), len(calibration.counts) - 1)
        count, right = calibration.counts[place], round(calibration.accuracy[place] * calibration.counts[place])
        span = f"{place * 10} to {place * 10 + 10} %"
        if not count:
            return f"{others} There it was never {span} sure."
        few = " That is too few to go by." if count < _FEW else ""
        return f"{others} Of {count:,} answers there that it was {span} sure of, {right:,} were right.{few}"


def _channels(layer: str, maps: Float[np.ndarray, "channels _ _"]) -> str:
    chosen = strongest(torch.from_numpy(maps), 8)
    pictures = [fitted(colours_of(maps[channel]), 90) for channel in chosen]
    size = f"{maps.shape[0]} channels of {maps.shape[2]}x{maps.shape[1]}"
    return picture_figure(sheet(pictures, columns=4), f"{layer}: {size}; shown {', '.join(map(str, chosen))}")


def _exciting(channel: int, patches: list[tuple[str, Pixels]]) -> str:
    pictures = [fitted(picture, 110) for _, picture in patches]
    return picture_figure(sheet(pictures, columns=3), f"channel {channel}") if pictures else ""


def training_images(folder: Path, record: RunRecord, network: nn.Module, data: str | None) -> RunImages | None:
    """Open a run's data; None, and a line that says so, where they are not at hand; raises DataError for `data`."""
    if record.is_published:
        if data is not None:
            raise ConfigError("data: published weights were learned from ImageNet, which is not here; leave it out.")
        return None
    try:
        return RunImages.of(folder, record, next(network.parameters()).device, data)
    except InputError as error:
        if data is not None:  # they were asked for
            raise
        logger.info(f"its training images are not at hand, so nothing is compared with them: {error}")
        return None
