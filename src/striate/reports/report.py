"""`report.html`: what was trained on what, how good it is, what it gets wrong, and what it has learned."""

from __future__ import annotations

import logging
from dataclasses import fields
from pathlib import Path

from striate.errors import InputError, RunError
from striate.interpret.embedding import Projection
from striate.reports.data_card import data_section
from striate.reports.first_layer import first_layer_section
from striate.reports.learning_curves import learning_section
from striate.reports.mistakes import least_confident_section, mistakes_section
from striate.reports.page import Page, Section
from striate.reports.quality import calibration_section, rows_section
from striate.reports.representation import representation_section
from striate.runs.evaluation import SplitEvaluation, evaluate_sample
from striate.runs.record import RunRecord
from striate.runs.run import Run
from striate.runs.run_images import RunImages, network_name, purpose
from striate.system import atomic
from striate.tasks.figures import describe, meanings

logger = logging.getLogger(__name__)

REPORT = "report.html"
_WITHOUT_IMAGES = "report-without-images.html"
_EVALUATED, _EVALUATED_BRIEFLY = 1_000, 200  # images; the latter at the end of a training


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
    if run.record.is_published:
        raise RunError(str(run.folder), "published weights are no run of yours, so there is nothing to report")
    path = run.folder / REPORT
    try:
        run_images = RunImages.open(run.folder, run.record, next(run.model.parameters()).device, data)
    except InputError as error:
        if data is not None:  # it was asked for
            raise
        path = run.folder / _WITHOUT_IMAGES if path.exists() else path  # a report with images stays
        logger.info(f"the run's images are not at hand, so {path.name} is without them: {error}")
        sections = _sections_without_images(run, error)
    else:
        sections = _sections(run, run_images, thorough=thorough, projection=projection, depths=depths)
    page = Page(f"{run.record.data['location']} · {network_name(run.record)}", _lead(run.record), sections)
    atomic.write(path, page.html())
    return path


def _sections(run: Run, run_images: RunImages, *, thorough: bool, projection: Projection, depths: int) -> list[Section]:
    task, network = run.task, run.model
    evaluation = evaluate_sample(run_images, task, network, _EVALUATED if thorough else _EVALUATED_BRIEFLY)
    sections = [
        _summary_section(run, evaluation),
        learning_section(run.folder, task),
        rows_section(evaluation, task.spec.row_figures),
        calibration_section(evaluation),
        mistakes_section(run_images, task, network, evaluation),
        least_confident_section(run_images, task, network, evaluation),
        data_section(run_images, task, thorough=thorough),
        first_layer_section(network),
    ]
    if thorough:
        sections.append(representation_section(run_images, task, network, projection, depths))
    else:
        more = Section()
        more.text("striate report RUN adds what the network makes of its images, layer by layer.", "note")
        sections.append(more)
    return [*(section for section in sections if section), _settings_section(run.record)]


def _sections_without_images(run: Run, error: InputError) -> list[Section]:
    missing = Section("Its images")
    missing.text(f"They are not at hand, so what follows needs none of them: {error}")
    sections = [
        _summary_section(run, None),
        learning_section(run.folder, run.task),
        missing,
        first_layer_section(run.model),
    ]
    return [*(section for section in sections if section), _settings_section(run.record)]


def _lead(record: RunRecord) -> str:
    preprocessing = record.preprocessing
    colour = "grey" if preprocessing.channels == 1 else "colour"
    others = " and ".join(
        f"{count:,} {'to test it' if split == 'test' else 'to choose its weights by'}"
        for split, count in record.data.items()
        if split not in ("location", "train")
    )
    return (
        f"{purpose(record)}. It learned from {record.data['train']:,} images of {preprocessing.width_px}x"
        f"{preprocessing.height_px} pixels, in {colour}; others were kept apart, {others}."
    )


def _summary_section(run: Run, evaluation: SplitEvaluation | None) -> Section:
    """Say how good the network is, what that means, and what it is compared with."""
    record, task, section = run.record, run.task, Section()
    section.text(describe(task.spec.figures, record.metrics) if record.metrics else "It has no figures yet.", "large")
    if evaluation and evaluation.interval:
        headline = task.spec.figures[0]
        low, high = map(headline.text, evaluation.interval)
        section.text(
            f"Had other images been drawn, {headline.label} would lie between {low} and {high} (95 % interval, by "
            f"drawing anew from {evaluation.scope}).",
            "note",
        )
    section.text(meanings(task.spec.figures, record.metrics), "note")
    for name, figures in record.baselines.items():
        section.text(f"To compare, {name}, which needs no network: {describe(task.spec.figures, figures)}.", "note")
    section.text(_provenance(record), "note")
    return section


def _provenance(record: RunRecord) -> str:
    """Say which images the figures are of, and how long training took."""
    images = "test images, which training never saw" if record.metrics_split == "test" else "validation images"
    chose = "" if record.metrics_split == "test" or record.candidates < 2 else ", which also chose the best epoch"
    state = "" if record.status == "complete" else f" Training did not end: {record.status}."
    duration = f"{record.seconds:.0f} seconds" if record.seconds < 100 else f"{record.seconds / 60:.1f} minutes"
    return (
        f"Evaluated on the {images}{chose}. Epochs: {record.epochs}, in {duration}; the weights are those of "
        f"epoch {record.best_epoch}{'' if record.best_epoch else ', the last layer fitted to the rest'}.{state}"
    )


def _settings_section(record: RunRecord) -> Section:
    """List the architecture, the options that were not left as they are, and the environment."""
    section = Section("How it came to be")
    options = [(option.name, getattr(record.config, option.name), option.default) for option in fields(record.config)]
    rows = [["network", record.line], *([name, str(value)] for name, value, default in options if value != default)]
    rows += [[name, str(value)] for name, value in record.environment.items()]
    section.table(["", ""], rows)
    return section
