"""Checkerboards of transposed convolutions: the spectrum of what kernels of 3 and of 4 make of noise, with stride 2.

python bench/checkerboards.py checkerboards.png

Three steps up, each a transposed convolution of freshly drawn positive and negative weights and a ReLU, as a transposed
decoder has them before training (striate's own begin as bilinear upsampling instead, which draws none). A pattern that
repeats every two pixels shows as a peak at half a cycle a pixel, those of the steps before at a quarter and an eighth.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from striate import plots
from striate.layers.upward import CheckerboardWarning, ConvTranspose2d

_DRAWS, _CHANNELS, _SIDE = 200, 8, 16
_CUT_PX = 12  # of each border, where contributions are fewer


def step(kernel: int) -> nn.Sequential:
    """Build one step up, with weights drawn as torch draws those of transposed convolutions."""
    above = (kernel - 2) // 2
    sides = ((above, kernel - 2 - above),) * 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CheckerboardWarning)  # it is what is to be seen
        layer = ConvTranspose2d(_CHANNELS, _CHANNELS, kernel, 2, sides=sides)
    nn.ConvTranspose2d.reset_parameters(layer)
    return nn.Sequential(layer, nn.ReLU())


@torch.inference_mode()
def spectrum(kernel: int) -> np.ndarray:
    """Return the mean magnitude at each frequency along a row, over many draws, as a multiple of the median's."""
    total = 0.0
    for seed in range(_DRAWS):
        torch.manual_seed(seed)
        maps = nn.Sequential(*(step(kernel) for _ in range(3)))(torch.rand(1, _CHANNELS, _SIDE, _SIDE))
        rows = maps[0, :, _CUT_PX:-_CUT_PX, _CUT_PX:-_CUT_PX].flatten(0, 1).numpy()
        rows = rows[:, : rows.shape[1] // 8 * 8]
        total = total + np.abs(np.fft.rfft(rows - rows.mean(1, keepdims=True))).mean(0)
    return total / np.median(total)


def main() -> None:
    """Draw both spectra, and print their peaks."""
    curves = {}
    for kernel in (3, 4):
        found = spectrum(kernel)
        frequencies = np.linspace(0, 0.5, len(found))
        curves[f"kernel {kernel}, stride 2"] = (frequencies.tolist(), found.tolist())
        peaks = {
            name: found[np.searchsorted(frequencies, at)] for name, at in (("1/8", 0.125), ("1/4", 0.25), ("1/2", 0.5))
        }
        print(f"kernel {kernel}: " + ", ".join(f"{peak:.1f} at {name}" for name, peak in peaks.items()))
    figure = plots.curve_figure(curves, x_label="cycles a pixel", y_label="magnitude, median = 1")
    plots.save(figure, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
