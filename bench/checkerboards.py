"""Checkerboards of trained transposed convolutions: kernel 3 stride 2 against kernel 4 stride 2, by their spectrum.

python bench/checkerboards.py DATA --out FOLDER [--plot FILE.png] [--budget 4m | --epochs N] [--model LINE]

Trains a plain encoder-decoder four times for equally long: each kernel, begun as bilinear upsampling and begun at
random (He et al. 2015). Then the scores of validation images are looked at along their rows: a checkerboard is a
peak at every second pixel's frequency (0.5 cycles a pixel), or, made a stage below, at 0.25. Printed: the power there
over the median power of the frequencies around. Kernel 3 gives one output unit of two twice as many contributions as
the other (Odena, Dumoulin, Olah, "Deconvolution and checkerboard artifacts", Distill 2016); kernel 4 gives all
equally many.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import made
import numpy as np
import torch
from torch import nn

import striate as st
from striate.layers.upward import CheckerboardWarning, ConvTranspose2d
from striate.models import decoders
from striate.reports import plots

LINE = "conv 16@3x3 pad=1 | bn | relu | res 16 stride=2 | res 32 stride=2 | res 64 stride=2 | gap | fc classes"
_AROUND = 0.06  # cycles a pixel, either way of a peak


def doubling(kernel: int, *, bilinear: bool):
    """Return what builds a transposed convolution of stride 2 and a kernel of this side."""

    def build(channels_in: int, channels: int, factor: tuple[int, int]) -> nn.Module:
        assert factor == (2, 2), "this line's maps are twice as fine from one to the next"
        layer = ConvTranspose2d(
            channels_in, channels, kernel, 2, sides=((1, 1), (1, 1)), output_padding=kernel % 2, bias=False
        )
        if not bilinear:
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        return layer

    return build


def row_spectrum(scores: torch.Tensor) -> np.ndarray:
    """Return the mean power of a batch of maps along their rows, by frequency: [batch, classes, height, width]."""
    rows = scores.double().numpy()
    window = np.hanning(rows.shape[3])
    power = np.abs(np.fft.rfft((rows - rows.mean(3, keepdims=True)) * window, axis=3)) ** 2
    return power.mean((0, 1, 2))


def peak(spectrum: np.ndarray, frequency: float) -> float:
    """Return the power at a frequency over the median of those around it."""
    axis = np.linspace(0, 0.5, len(spectrum))
    at = int(np.argmin(np.abs(axis - frequency)))
    around = (np.abs(axis - frequency) < _AROUND) & (np.abs(np.arange(len(axis)) - at) > 2)
    return float(spectrum[at] / np.median(spectrum[around]))


def main(words: list[str]) -> None:
    """Train four networks, and print a row each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--budget", default="4m")
    parser.add_argument("--epochs", type=int, help="in place of a budget")
    parser.add_argument("--model", default=LINE)
    given = parser.parse_args(words)
    warnings.simplefilter("ignore", CheckerboardWarning)
    length = {"epochs": given.epochs} if given.epochs else {"budget": given.budget}
    curves = {}
    print("| kernel, start | mean IoU | peak at 0.5 | peak at 0.25 |\n|---|---|---|---|")
    for start in ("bilinear", "random"):
        for kernel in (3, 4):
            decoders.deconv = doubling(kernel, bilinear=start == "bilinear")
            name = f"kernel {kernel}, {start}"
            config = st.TrainConfig(
                task="segment", model=given.model, decoder="transposed", skips=False, **length,
                stem="large", dice=0.0, out=str(given.out / f"{kernel}-{start}"),
            )  # fmt: skip
            run = st.train(given.data, config)
            form = run.record.preprocessing
            scores = []
            for image in seen(given.data, form):
                with torch.inference_mode():
                    scores.append(row_spectrum(run.model(image)))
            spectrum = np.mean(scores, axis=0)
            curves[name] = (np.linspace(0, 0.5, len(spectrum)).tolist(), np.log10(spectrum).tolist())
            found = [f"{peak(spectrum, frequency):.1f}" for frequency in (0.5, 0.25)]
            print(f"| {name} | {run.record.metrics['mean_iou']:.1%} | {' | '.join(found)} |", flush=True)
    if given.plot:
        labels = {"x_label": "cycles a pixel, along rows", "y_label": "power of the scores, log10"}
        plots.save_plot(plots.curve_figure(curves, columns=2, **labels), given.plot)


def seen(data: str, form, most: int = 64):
    """Yield validation images as the network gets them, one by one."""
    from striate.batching.batches import Batches
    from striate.datasets.store import open_store

    dataset = st.open_data(data, task="segment")
    samples = dataset.split("val").take(np.arange(min(most, len(dataset.splits["val"]))))
    store = open_store(samples, form.image_spec, name=dataset.name, location=dataset.location, keep="none")
    for batch in Batches(store=store, preprocessing=form, batch_size=2, device=torch.device("cpu")).in_order():
        yield batch.images


def tiny(folder: Path) -> list[str]:
    """Return the arguments of a run on made images."""
    data = made.masks(folder / "data")
    return [
        str(data),
        "--out",
        str(folder),
        "--plot",
        str(folder / "p.png"),
        "--epochs",
        "1",
        "--model",
        made.MASK_LINE,
    ]


if __name__ == "__main__":
    made.run(main, tiny)
