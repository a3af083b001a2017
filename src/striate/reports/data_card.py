"""What a run was trained on: counts, examples, and what is wrong with the data."""

from __future__ import annotations

from collections.abc import Sequence

from striate.datasets.checks.problem import Problem
from striate.datasets.checks.report import check_data, check_labels
from striate.images.overlays import scale_to
from striate.reports.page import Section, image_figure
from striate.runs.run_images import RunImages, denormalise, draw_ground_truth
from striate.tasks.task import Task

_MOST_CHECKED = 20_000  # images that are opened again
_EXAMPLES = 12
_SIDE_PX = 280
_ROWS = 40  # of a table


def data_section(run_images: RunImages, task: Task, *, thorough: bool) -> Section:
    """Show a run's data; `thorough`: open every image again to check it."""
    dataset, record = run_images.dataset, run_images.record
    section = Section("Its data")
    size = record.vocabulary.size or f"{len(dataset.samples):,} images"
    section.text(f"{size}, from {dataset.location}.")
    header, rows = _counts(run_images, task)
    if len(rows) > _ROWS:
        section.text(f"The first {_ROWS} of {len(rows):,}; striate data prints all.", "note")
    if rows:
        section.table(header, rows[:_ROWS], numeric=len(header) - 1)
    _add_examples(section, run_images, task)
    reading = record.config.reading() | {"task": record.task, "max_pixels": record.config.max_pixels}
    if thorough and len(dataset.samples) <= _MOST_CHECKED:
        problems = check_data(dataset.location, **reading).problems
        section.text(f"What striate check found in them{':' if problems else ': nothing.'}")
    else:
        problems = tuple(check_labels(dataset))
        section.text("striate check says what is wrong with them, if anything.", "note")
    _add_problems(section, problems)
    return section


def _add_examples(section: Section, run_images: RunImages, task: Task) -> None:
    """Show training images, as the network gets them, with their labels."""
    batch = run_images.batch("train", run_images.spread("train", _EXAMPLES).tolist())
    images = denormalise(batch.images, run_images.record.preprocessing)
    figures = [
        image_figure(scale_to(drawn, _SIDE_PX * max(1, drawn.shape[1] // drawn.shape[0])), truth.summary())
        for truth, drawn in draw_ground_truth(task, batch.targets, images)
    ]
    section.text("Some training images, as the network gets them, with their labels:")
    section.figures(figures, "small" if run_images.record.vocabulary.kind == "class" else "")


def _counts(run_images: RunImages, task: Task) -> tuple[list[str], list[list[str]]]:
    """Count, for each split, images that show a class or a joint, or what the task has counted of these in training."""
    vocabulary = run_images.record.vocabulary
    counts = {split: store.labels.counts(len(vocabulary.names)) for split, store in run_images.stores.items()}
    columns: dict[str, list[int]] = {split: count.tolist() for split, count in counts.items() if count is not None}
    if not columns:
        columns = {heading: list(counted) for heading, counted in task.spec.training_counts.items()}
    cells = [[f"{count:,}" for count in column] for column in columns.values()]
    return [vocabulary.kind, *columns], [list(row) for row in zip(vocabulary.names, *cells, strict=True)]


def _add_problems(section: Section, problems: Sequence[Problem]) -> None:
    """List the kinds of problems, how many there are of each, and the first one."""
    kinds: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        kinds.setdefault((problem.severity, problem.kind), []).append(problem)
    rows = [[*kind, f"{alike[0].where}: {alike[0].what}", f"{len(alike):,}"] for kind, alike in kinds.items()]
    if rows:
        section.table(["", "kind", "the first", "how many"], rows, numeric=1)
