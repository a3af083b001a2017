"""One picture explained: where the network looks, what its layers see there, what it is like, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.data.store import undecoded_store
from striate.errors import ConfigError, InputError, listing, nearest
from striate.explain.embedding import embed, neighbours
from striate.explain.excitation import most_exciting
from striate.explain.feature_maps import feature_maps, strongest
from striate.explain.filters import add_first_layer
from striate.explain.grad_cam import grad_cam
from striate.explain.occlusion import occlusion
from striate.explain.page import Page, picture_figure
from striate.explain.pictures import colours_of, fitted, framed, sheet, upon
from striate.explain.taps import find_layer, layers_of, map_layers, untouched
from striate.progress import progress_bar, say
from striate.runs.gallery import Gallery, Pixels, as_pictures, predict_image, unlabelled
from striate.runs.record import RunRecord
from striate.runs.representation import depths
from striate.tasks.base import Prediction, Question, Task

_MOST = 12  # pictures at once
_QUESTIONS = 3  # that are answered by default
_CHANNELS = 6
_PATCHES = 6  # a channel
_LOOKED_THROUGH = 2_000  # training images at most
_SIDE_PX = 200
_RANDOM_SEED = 1_000_003  # of the network with random weights; not that of any training


@dataclass(frozen=True)
class Explanation:
    """What was found about one picture.

    Attributes:
        name: of the picture.
        picture: as the network gets it.
        prediction: what it says.
        layer: that the maps below are of.
        where: for what it says (a class, a joint), the map of the places that speak for it (Grad-CAM).
        random: the same of a network with random weights.
        covered: the same by covering parts of the picture, for the first of them.
        maps: what layers give for the picture, by name: [channels, rows, columns].
        like: training images that lie nearest: name, cosine, picture.
        patches: of the strongest channels of the layer, what excites them most in training images: name, picture.
    """

    name: str
    picture: Pixels
    prediction: Prediction
    layer: str
    where: dict[str, Float[np.ndarray, "rows columns"]]
    random: dict[str, Float[np.ndarray, "rows columns"]]
    covered: Float[np.ndarray, "_ _"]
    maps: dict[str, Float[np.ndarray, "_ _ _"]]
    like: list[tuple[str, float, Pixels]] = field(default_factory=list)
    patches: dict[int, list[tuple[str, Pixels]]] = field(default_factory=dict)

    def figures(self) -> list[str]:
        """Return its pictures with their sentences, as HTML."""
        drawn = np.asarray(self.prediction.overlay(self.picture).convert("RGB"))
        found = [picture_figure(fitted(drawn, 2 * _SIDE_PX), f"What it says: {_said(self.prediction)}")]
        for name, values in self.where.items():
            pair = [fitted(upon(self.picture, one), _SIDE_PX) for one in (values, self.random[name])]
            found.append(
                picture_figure(
                    sheet(pair, columns=2),
                    f"Where it looks for {name}: yellow speaks for it most (Grad-CAM at {self.layer}). Right, for "
                    "comparison, a network with random weights: where the two are alike, the map says nothing.",
                )
            )
        first = next(iter(self.where))
        found.append(
            picture_figure(
                fitted(upon(self.picture, self.covered), _SIDE_PX),
                f"The slow check: how much what is said of {first} changes when that place is covered.",
            )
        )
        return found


class Explainer:
    """Explains pictures to a run.

    Args:
        record: of the run.
        task: what outputs mean.
        network: is as it was after each look.
        gallery: its training images; None where they are not at hand: then nothing is compared with them.
        layer: whose maps are looked at; None: the last one that has any.
        of: a class or a joint; None: what the network says most.

    Raises:
        ModelError: there is no such layer, or the network has no feature maps.
        ConfigError: that layer gives no maps, or there is no such class or joint.
    """

    def __init__(
        self,
        record: RunRecord,
        task: Task,
        network: nn.Module,
        gallery: Gallery | None,
        *,
        layer: str | None = None,
        of: str | None = None,
    ) -> None:
        maps = map_layers(network)
        if not maps and layer is None:
            raise ConfigError("the network has no feature maps, so there is no place in a picture that it looks at.")
        self.layer = find_layer(network, layer) if layer else maps[-1]
        if len(layers_of(network)[self.layer].output) != 3:
            raise ConfigError(f"layer (={layer}) gives no maps; those that do: {listing(maps)}.")
        names = record.skeleton.joints if record.skeleton else record.classes
        if of is not None and of not in names:
            raise ConfigError(f"of (={of}) is none of the network's{nearest(of, names)}; those are {listing(names)}.")
        self.record, self.task, self.network, self.gallery, self.of = record, task, network, gallery, of
        self._shown = list(dict.fromkeys([*maps, self.layer]))
        device = next(network.parameters()).device
        self._twin = task.build(record.plan(), record.model, _RANDOM_SEED).to(device)
        self._train: np.ndarray | None = None

    def images(self, paths: Sequence[Path]) -> list[Tensor]:
        """Decode picture files; raises DataError where one cannot be read."""
        if len(paths) > _MOST:
            raise ConfigError(f"{len(paths):,} images are given; wanted: {_MOST} at most, as each takes a page.")
        form = self.record.preprocessing
        store = undecoded_store(unlabelled(paths), form.form, max_pixels=self.record.config.max_pixels)
        pixels = store.gather(np.arange(len(paths))).images
        device = next(self.network.parameters()).device
        planes = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float()
        return [image[None] for image in form.normalise(planes)]

    def explain(self, name: str, image: Float[Tensor, "1 channels height width"]) -> Explanation:
        """Explain a normalised image."""
        questions = self._questions(image)
        network, layer = self.network, self.layer
        picture = as_pictures(image, self.record.preprocessing)[0]
        maps = {one: found.numpy() for one, found in feature_maps(network, self._shown, image).items()}
        return Explanation(
            name=name,
            picture=picture,
            prediction=predict_image(self.task, network, image),
            layer=layer,
            where={one.name: grad_cam(network, layer, image, one).cpu().numpy() for one in questions},
            random={one.name: grad_cam(self._twin, layer, image, one).cpu().numpy() for one in questions},
            covered=occlusion(network, image, questions[0]).numpy(),
            maps=maps,
            like=self._like(image),
            patches=self._patches(maps[layer]),
        )

    def _questions(self, image: Tensor) -> list[Question]:
        with untouched(self.network), torch.no_grad():  # what is asked goes into gradients
            outputs = self.network(image).float()
        questions = self.task.questions(outputs)
        if self.of is None:
            return questions[:_QUESTIONS]
        asked = [question for question in questions if question.name == self.of]
        if not asked:
            seen = listing(question.name for question in questions)
            raise ConfigError(f"of (={self.of}): the network sees none of that here; it sees {seen}.")
        return asked

    def _like(self, image: Tensor) -> list[tuple[str, float, Pixels]]:
        """Find the training images that lie nearest, in what the last layer reads."""
        if self.gallery is None:
            return []
        layer = (depths(self.network) or [self.layer])[-1]
        chosen = self.gallery.some("train", _LOOKED_THROUGH)
        if self._train is None:
            with progress_bar("embedding", len(chosen)) as advance:
                self._train = embed(self.network, [layer], self.gallery.images("train", chosen), advance)[layer]
        own = embed(self.network, [layer], [image])[layer]
        order, cosines = neighbours(own, self._train, _PATCHES)
        places = [int(chosen[place]) for place in order[0]]
        pictures = self.gallery.pictures("train", places)
        return [
            (self.gallery.name("train", place), float(cosine), picture)
            for place, cosine, picture in zip(places, cosines[0], pictures, strict=True)
        ]

    def _patches(self, maps: Float[np.ndarray, "channels _ _"]) -> dict[int, list[tuple[str, Pixels]]]:
        """Find what excites the channels that answer most to this picture."""
        if self.gallery is None:
            return {}
        channels = strongest(torch.from_numpy(maps), _CHANNELS)
        chosen = self.gallery.some("train", _LOOKED_THROUGH // 4)
        with progress_bar("searching", len(chosen)) as advance:
            images = self.gallery.images("train", chosen)
            found = most_exciting(self.network, self.layer, channels, images, count=_PATCHES, advance=advance)
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
        page = Page(f"What {record.model} sees", f"Trained to {record.task} on {record.data['location']}.")
        if self.gallery is None:
            page.text("Its training images are not at hand, so what it compares pictures with is left out.", "note")
        for one in found:
            page.section(Path(one.name).name)
            page.figures(one.figures())
            page.text(
                "What its layers make of the picture: the channels that answer most; yellow is much, violet is nothing."
            )
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
                alike = f"The training images that it takes to be most alike: {names}."
                page.figures([picture_figure(pictures, alike)], "wide")
        add_first_layer(page, self.network)
        return page


def _said(prediction: Prediction) -> str:
    """Say a prediction in a few words."""
    rows = prediction.rows()[:3]
    return "; ".join(", ".join(_word(name, value) for name, value in row.items() if value is not None) for row in rows)


def _word(name: str, value: object) -> str:
    if isinstance(value, float):
        return f"{value:.0%}" if name in ("probability", "share") else f"{name} {value:.0f}"
    return str(value)


def _channels(layer: str, maps: Float[np.ndarray, "channels _ _"]) -> str:
    chosen = strongest(torch.from_numpy(maps), 8)
    pictures = [fitted(colours_of(maps[channel]), 90) for channel in chosen]
    size = f"{maps.shape[0]} channels of {maps.shape[2]}x{maps.shape[1]}"
    return picture_figure(sheet(pictures, columns=4), f"{layer}: {size}; shown {', '.join(map(str, chosen))}")


def _exciting(channel: int, patches: list[tuple[str, Pixels]]) -> str:
    pictures = [fitted(picture, 110) for _, picture in patches]
    return picture_figure(sheet(pictures, columns=3), f"channel {channel}") if pictures else ""


def training_images(folder: Path, record: RunRecord, network: nn.Module, data: str | None) -> Gallery | None:
    """Open a run's data; None, and a line that says so, where they are not at hand; raises DataError for `data`."""
    if record.is_published:
        return None
    try:
        return Gallery.of(folder, record, next(network.parameters()).device, data)
    except InputError as error:
        if data is not None:  # they were asked for
            raise
        say(f"its training images are not at hand, so nothing is compared with them: {error}")
        return None
