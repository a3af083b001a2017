"""`report.html`: what was trained on what, how good it is, what it gets wrong, and what it has learned."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from striate.errors import InputError, RunError
from striate.images.overlays import image_grid, overlay, scale_to
from striate.interpret.activations import feature_map_layers, preserve_state
from striate.interpret.embedding import Projection
from striate.interpret.grad_cam import grad_cam
from striate.reports import charts
from striate.reports.data_card import add_data_card
from striate.reports.first_layer import add_first_layer
from striate.reports.page import Page, chart_figure, picture_figure
from striate.reports.representation import add_representation
from striate.runs.evaluation import SplitEvaluation, as_table, evaluate_sample, is_share, label, meanings
from striate.runs.record import LOG, RunRecord
from striate.runs.run import Run
from striate.runs.run_images import RunImages, denormalise, draw_ground_truth, draw_prediction, network_name, purpose
from striate.system import atomic
from striate.tasks.base import Batch, Task

logger = logging.getLogger(__name__)

REPORT = "report.html"
_WITHOUT = "report-without-pictures.html"

_MOST_MEASURED, _MEASURED_BRIEFLY = 1_000, 200  # images that verdicts are about; at the end of a training
_SHOWN = 6  # mistakes
_ROWS = 40  # of a table
_MOST_DRAWN = 100  # classes of a confusion matrix
_SIDE_PX = 240
_NEAR_ONE = 0.05  # of a temperature, that means nothing


def write_report(
    run: Run,
    *,
    data: str | None = None,
    thorough: bool = True,
    projection: Projection = "pca",
    depths: int = 8,
) -> Path:
    """Write `report.html` into a run's folder, one file that needs no other; return its path.

    Args:
        run: the run.
        data: location of its data, if they have moved; None: where they were. Without them the page says what is
            left out.
        thorough: whether the representation is shown and the data are checked again, which takes longer than all else.
        projection: method that puts images into a plane.
        depths: number of layers, at most, whose representation is shown.

    Raises:
        RunError: the run is a published network, of which there is nothing to report.
        DataError: `data` is given, and is not the run's data.
        ConfigError: t-SNE is wanted, and scikit-learn is not installed.
        OutputError: the page cannot be written.
    """
    folder, record, task, network = run.folder, run.record, run.task, run.model
    if record.is_published:
        raise RunError(str(folder), "published weights are no run of yours, so there is nothing to report")
    page = Page(f"{record.data['location']} · {network_name(record)}", _lead(record))
    gallery: RunImages | None = None
    missing = ""
    try:
        gallery = RunImages.open(folder, record, next(network.parameters()).device, data)
    except InputError as error:
        if data is not None:  # they were asked for
            raise
        missing = str(error)
    most = _MOST_MEASURED if thorough else _MEASURED_BRIEFLY
    found = evaluate_sample(gallery, task, network, most) if gallery else None
    _summary(page, task, record, found)
    _curves(page, folder, task)
    if gallery and found:
        _figures(page, found)
        _sureness(page, found)
        _mistakes(page, gallery, task, network, found)
        add_data_card(page, gallery, task, thorough=thorough)
    else:
        page.section("Its pictures", f"They are not at hand, so what follows needs none of them: {missing}")
    add_first_layer(page, network)
    if gallery and thorough:
        add_representation(page, gallery, task, network, projection, depths)
    elif gallery:
        page.text("striate report RUN adds what the network makes of its images, layer by layer.", "note")
    _how(page, record)
    path = folder / REPORT
    if missing and path.exists():  # which has the pictures
        path = folder / _WITHOUT
    if missing:
        logger.info(f"its pictures are not at hand, so {path.name} is without them: {missing}")
    atomic.write(path, page.html())
    return path


def _lead(record: RunRecord) -> str:
    form = record.preprocessing
    colour = "grey" if form.channels == 1 else "colour"
    others = " and ".join(
        f"{count:,} {'to test it' if split == 'test' else 'to choose its weights by'}"
        for split, count in record.data.items()
        if split not in ("location", "train")
    )
    return (
        f"{purpose(record)}. It learned from {record.data['train']:,} images of {form.width_px}x{form.height_px} "
        f"pixels, in {colour}; others were kept apart, {others}."
    )


def _summary(page: Page, task: Task, record: RunRecord, found: SplitEvaluation | None) -> None:
    page.text(task.describe(record.metrics) if record.metrics else "It has no figures yet.", "big")
    if found and found.interval:
        shown = [f"{value:.1%}" if is_share(task.headline) else f"{value:,.1f}" for value in found.interval]
        page.text(
            f"Had other images been drawn, {label(task.headline).partition(',')[0]} would lie between {shown[0]} and "
            f"{shown[1]} (95 % interval, by drawing anew from {len(found.chosen):,} images).",
            "note",
        )
    page.text(meanings(record.metrics), "note")
    for name, figures in record.baselines.items():
        page.text(f"To compare, {name}, which needs no network: {task.describe(figures)}.", "note")
    whose = "test images, which training never saw" if record.metrics_split == "test" else "validation images"
    chose = "" if record.metrics_split == "test" or record.candidates < 2 else ", which also chose the best epoch"
    state = "" if record.status == "complete" else f" Training did not end: {record.status}."
    lasted = f"{record.seconds:.0f} seconds" if record.seconds < 100 else f"{record.seconds / 60:.1f} minutes"
    page.text(
        f"SplitEvaluation on the {whose}{chose}. Epochs: {record.epochs}, in {lasted}; the weights are those of "
        f"epoch {record.best_epoch}{'' if record.best_epoch else ', the last layer fitted to the rest'}.{state}",
        "note",
    )


def _curves(page: Page, folder: Path, task: Task) -> None:
    try:
        rows = [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
    except (OSError, ValueError):
        return
    trained = [row for row in rows if row["epoch"]]
    if not trained:
        page.text("Only its last layer was scale_to, and that exactly: there is no course of training.", "note")
    elif len(rows) < 2:
        page.text("It was trained for one epoch, which makes no curve.", "note")
    if len(rows) < 2 or not trained:
        return
    page.section("How it learned", "An epoch is one pass over all training images.")
    val = [row | row["metrics"] for row in rows]
    page.figures(
        [
            chart_figure(
                charts.line_chart(
                    {"training images": _of("train_loss", trained), "validation images": _of("loss", val)},
                    x_label="epoch",
                    y_label="loss",
                ),
                "The loss is what training makes smaller. Where the two part, the network begins to know its training "
                "images by heart.",
            ),
            *_figures_by_epoch(val, task),
            chart_figure(
                charts.line_chart({"learning rate": _of("lr", trained)}, x_label="epoch", y_label="learning rate"),
                "How large the steps are, at the end of each epoch.",
            ),
            chart_figure(
                charts.line_chart(
                    {"gradient": _of("gradient_norm", trained)}, x_label="epoch", y_label="length of the gradient"
                ),
                "How steep the loss is, on average; peaks are where training was shaken.",
            ),
        ]
    )


def _of(key: str, rows: list[dict[str, Any]]) -> charts.Curve:
    """Return a number of each epoch that has it."""
    kept = [row for row in rows if row.get(key) is not None]
    return [float(row["epoch"]) for row in kept], [float(row[key]) for row in kept]


def _figures_by_epoch(rows: list[dict[str, Any]], task: Task) -> list[str]:
    """Draw the figures of each epoch: shares in one chart, distances in another."""
    keys = [key for key, value in rows[-1]["metrics"].items() if isinstance(value, float) and key != "loss"]
    shares, sizes = [key for key in keys if is_share(key)], [key for key in keys if not is_share(key)]
    words = f"On the validation images; {label(task.headline)} is what counts, and the best is kept."
    return [
        chart_figure(
            charts.line_chart(
                {label(key): _of(key, rows) for key in some},
                x_label="epoch",
                y_label=label(some[0]) if len(some) == 1 else "share" if some == shares else "mm or px",
                share=some == shares,
            ),
            words,
        )
        for some in (shares, sizes)
        if some
    ]


def _figures(page: Page, found: SplitEvaluation) -> None:
    rows = found.metrics.rows()
    keys, cells = as_table(rows)
    page.section(f"By {keys[0]}", f"On {len(found.chosen):,} images.")
    confusion = found.metrics.confusion
    if confusion is not None:
        _add_confusion(page, confusion, [str(row["class"]) for row in rows])
    page.text("One by one:")
    if len(cells) > _ROWS:
        page.text(f"The first {_ROWS} of {len(cells):,}; striate evaluate prints all.", "note")
    page.table([label(key) for key in keys], cells[:_ROWS], numbers=len(keys) - 1)
    page.text(meanings(keys), "note")


def _add_confusion(page: Page, confusion: Tensor, names: list[str]) -> None:
    """Draw a confusion matrix, and say what is taken for what most often."""
    if len(names) <= _MOST_DRAWN:
        drawn = charts.confusion_matrix(confusion.numpy(), names)
        caption = "Each row is what is there, each column what the network called it; right answers are blue."
        if len(names) > charts.MOST_NAMED:
            caption += " Rows and columns come in the order of the table below."
        page.figures([chart_figure(drawn, caption)], "wide" if len(names) > 12 else "")
    wrong = confusion.clone().fill_diagonal_(0)
    most = wrong.flatten().topk(min(_SHOWN, wrong.numel()))
    pairs = [
        [names[place // len(names)], names[place % len(names)], f"{count:,}"]
        for place, count in zip(most.indices.tolist(), most.values.tolist(), strict=True)
        if count
    ]
    if pairs and len(names) > 2:
        page.text("What is taken for something else most often:")
        page.table(["what it is", "what it was called", "how often"], pairs, numbers=1)


def _sureness(page: Page, found: SplitEvaluation) -> None:
    calibration = found.calibration
    if calibration is None:
        return
    answers, temperature = sum(calibration.counts), calibration.temperature
    all_right = all(share == 1 for share, count in zip(calibration.accuracy, calibration.counts, strict=True) if count)
    if all_right or abs(temperature - 1) < _NEAR_ONE:
        verdict = "on the whole it is neither too sure nor too unsure, but see the bars"
    else:
        verdict = f"the network is {'surer than it should be' if temperature > 1 else 'less sure than it could be'}"
    page.section(
        "How far its probabilities can be trusted",
        f"Where it says 90 %, 90 of 100 answers should be right. On average it is off by {calibration.error:.1%} (the "
        f"expected calibration error): {verdict}. Of {answers:,} answers, each the class of an image or of a pixel.",
    )
    if not all_right:
        page.text(
            f"Dividing what goes into its probabilities, the logits, by {temperature:.2f} (the temperature, found on "
            f"these very images) would leave them off by {calibration.error_after:.1%}.",
            "note",
        )
    caption = (
        "Of the answers given with some probability, so many were right; on the dashed line it keeps its word. Pale "
        "bars are of few answers."
    )
    page.figures([chart_figure(charts.reliability_diagram(calibration), caption)])


def _mistakes(page: Page, gallery: RunImages, task: Task, network: nn.Module, found: SplitEvaluation) -> None:
    order = np.argsort([-verdict.error for verdict in found.sample_results], kind="stable")
    worst = [int(place) for place in order if found.sample_results[place].wrong][:_SHOWN]
    if worst:
        page.section("Its worst mistakes", "What was found, and where that comes from: yellow counts most.")
        page.figures([_looked_at(gallery, task, network, found, place) for place in worst])
    confidence = [verdict.confidence for verdict in found.sample_results]
    if known := [place for place, one in enumerate(confidence) if one is not None]:
        page.section("Where it is least sure", "Pictures such as these are worth a look, and a label, most.")
        least = sorted(known, key=lambda place: confidence[place] or 0.0)[:_SHOWN]
        page.figures([_looked_at(gallery, task, network, found, place) for place in least])


def _looked_at(gallery: RunImages, task: Task, network: nn.Module, found: SplitEvaluation, place: int) -> str:
    """Show a picture with what was found, and what speaks for that which its verdict is about."""
    batch: Batch = gallery.batch(found.split, [found.chosen[place]])
    picture, verdict = denormalise(batch.images, gallery.record.preprocessing)[0], found.sample_results[place]
    drawn, caption = draw_prediction(task, network, batch.images, picture), verdict.words
    ((_, truth),) = draw_ground_truth(task, batch.targets, [picture])
    across = max(1, round(drawn.shape[1] / drawn.shape[0]))  # skeletons stand beside the picture
    shown = [scale_to(drawn, across * _SIDE_PX)]
    if truth.shape != drawn.shape or (truth != drawn).any():
        shown.append(scale_to(truth, across * _SIDE_PX))
        caption = f"{'Above' if across > 1 else 'Left'} what was found, then what is true. {caption}"
    with preserve_state(network), torch.no_grad():  # what is asked goes into gradients
        questions = {question.name: question for question in task.explain_targets(network(batch.images).float())}
    if (layers := feature_map_layers(network)) and (question := questions.get(verdict.about)):
        values = grad_cam(network, layers[-1], batch.images, question).cpu().numpy()
        shown.append(scale_to(overlay(picture, values), _SIDE_PX))
        caption += f". Last: {question.words}"
    name = Path(gallery.name(found.split, found.chosen[place])).name
    return picture_figure(image_grid(shown, columns=1 if across > 1 else 3), f"{name}: {caption}.", name=name)


def _how(page: Page, record: RunRecord) -> None:
    page.section("How it came to be")
    given = {
        name: value for name, value in vars(record.config).items() if value != getattr(type(record.config)(), name)
    }
    rows = [["network", record.line], *([name, str(value)] for name, value in given.items())]
    rows += [[name, str(value)] for name, value in record.environment.items()]
    page.table(["", ""], rows)
