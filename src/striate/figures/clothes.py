"""Clothes: what a figure wears, how its hair is cut, and the materials of both and of what stands about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from striate.figures.raster import Materials

SKIN, HAIR, SHIRT, TROUSERS, SHOES, EYES, LIPS, SOLE, PROP, PROP_2, PRINT = range(11)

BALD, SHORT, LONG, TIED, CAP = range(5)  # cuts of hair

_SKINS = (
    (0.96, 0.80, 0.69),
    (0.91, 0.72, 0.58),
    (0.82, 0.61, 0.45),
    (0.66, 0.46, 0.32),
    (0.48, 0.32, 0.22),
    (0.33, 0.21, 0.15),
)
_HAIRS = (
    (0.10, 0.08, 0.07),
    (0.22, 0.14, 0.09),
    (0.40, 0.26, 0.15),
    (0.62, 0.47, 0.26),
    (0.85, 0.72, 0.45),
    (0.55, 0.25, 0.12),
    (0.72, 0.71, 0.70),
)


@dataclass(frozen=True, kw_only=True)
class Clothes:
    """What a figure wears, and how its hair is cut.

    Attributes:
        sleeve: how much of the upper arm (0 to 1) and the forearm (1 to 2) is covered.
        leg: how much of the thigh (0 to 1) and the lower leg (1 to 2) trousers cover.
        skirt: length in thighs, 0 for none.
        hair: one of the cuts above.
        loose: how far clothes stand off, mm.
        flare: how much wider than straight trousers end, mm.
        print_shown: whether there is a print on the chest.
    """

    sleeve: float
    leg: float
    skirt: float
    hair: int
    loose: float
    flare: float
    print_shown: bool


def random_clothes(generator: np.random.Generator) -> tuple[Clothes, Materials]:
    """Draw clothes and the materials of everything, in the order of the constants above."""
    skirt = generator.random() < 0.2
    clothes = Clothes(
        sleeve=float(generator.choice((0.05, 0.5, 0.65, 1.3, 1.93, 1.93))),
        leg=float(generator.choice((0.35, 0.8, 1.5, 1.92, 1.92, 1.92))) if not skirt else 0.3,
        skirt=float(generator.uniform(0.45, 1.0)) if skirt else 0.0,
        hair=int(generator.choice(5, p=(0.07, 0.42, 0.25, 0.13, 0.13))),
        loose=float(generator.uniform(3, 16)),
        flare=float(max(0, generator.normal(0, 18))),
        print_shown=bool(generator.random() < 0.25),
    )
    skin = _vary(generator, _SKINS, 0.03)
    # cloth is muted or loud, black or white
    muted, loud = (random_colours(generator, 22, bounds, (0.12, 0.97)) for bounds in ((0.0, 0.25), (0.25, 0.85)))
    colours = np.where(generator.random((22, 1)) < 0.35, muted, loud).reshape(11, 2, 3)
    colours[SKIN] = skin
    if clothes.hair < CAP:
        colours[HAIR] = _vary(generator, _HAIRS, 0.03)
    colours[TROUSERS] *= generator.uniform(0.5, 1)
    colours[EYES], colours[SOLE] = 0.08, generator.uniform(0.1, 0.9)
    colours[LIPS] = skin * (0.85, 0.55, 0.55)
    weave = np.zeros((11, 5))
    weave[SHIRT], weave[TROUSERS] = _weave(generator, 0.5), _weave(generator, 0.25)
    weave[PROP] = _weave(generator, 0.4)
    gloss = np.zeros(11)
    gloss[[SKIN, HAIR, SHOES, PROP, PROP_2]] = (0.10, 0.12, 0.2, *generator.uniform(0, 0.4, 2))
    return clothes, Materials(
        colours=colours.clip(0.02, 1).astype(np.float32), weave=weave.astype(np.float32), gloss=gloss.astype(np.float32)
    )


def _vary(
    generator: np.random.Generator, colours: tuple[tuple[float, float, float], ...], spread: float
) -> Float64[np.ndarray, " 3"]:
    """Draw a colour between two neighbours of a scale, and a little off."""
    position = generator.uniform(0, len(colours) - 1)
    low = int(position)
    between = np.array(colours[low]) + (np.array(colours[low + 1]) - colours[low]) * (position - low)
    varied: Float64[np.ndarray, " 3"] = between + generator.normal(0, spread, 3)
    return varied


def random_colours(
    generator: np.random.Generator, count: int, saturation: tuple[float, float], value: tuple[float, float]
) -> Float64[np.ndarray, "count 3"]:
    """Draw colours of any hue, within bounds of saturation and value."""
    hue, depth, bright = generator.random((3, count, 1))
    wheel = (np.abs((hue + np.array([0, 2 / 3, 1 / 3])) % 1 * 6 - 3) - 1).clip(0, 1)
    depth = saturation[0] + (saturation[1] - saturation[0]) * depth
    colours: Float64[np.ndarray, "count 3"] = (value[0] + (value[1] - value[0]) * bright) * (1 - depth + depth * wheel)
    return colours


def _weave(generator: np.random.Generator, share: float) -> tuple[float, float, float, float, float]:
    """Draw a pattern: bands across, bands along, both, or with the rest of the probability none."""
    kind, patterned = generator.integers(3), generator.random() < share
    across, along = ((1.0, 0.0), (0.0, 1.0), (0.5, 0.5))[kind]
    bands = 1 / generator.uniform(45, 150)
    return across * patterned, bands, along * patterned, bands, generator.uniform(0.25, 0.6)
