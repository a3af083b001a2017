"""What a run was trained on: how many of what, some of them, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence

from striate.datasets.checks.problem import Problem
from striate.datasets.checks.report import cheap_problems, check_data
from striate.images.overlays import scale_to
from striate.reports.page import Page, picture_figure
from striate.runs.run_images import RunImages, denormalise, draw_ground_truth, in_words
from striate.tasks.base import Task

_MOST_CHECKED = 20_000  # pictures that are opened again
_SHOWN = 12  # pictures
_SIDE_PX = 280
_ROWS = 40  # of a table


def add_data_card(page: Page, gallery: RunImages, task: Task, *, thorough: bool) -> None:
    """Show a run's data on a page; `thorough`: open every picture again to check it."""
    dataset, record = gallery.dataset, gallery.record
    page.section("Its data", f"{record.vocabulary.size}, from {dataset.location}.")
    header, rows = _counts(gallery)
    if len(rows) > _ROWS:
        page.text(f"The first {_ROWS} of {len(rows):,}; striate data prints all.", "note")
    if rows:
        page.table(header, rows[:_ROWS], numbers=len(header) - 1)
    _add_examples(page, gallery, task)
    reading = record.config.reading() | {"task": record.task, "max_pixels": record.config.max_pixels}
    if thorough and len(dataset.samples) <= _MOST_CHECKED:
        problems = check_data(dataset.location, **reading).problems
        page.text(f"What striate check found in them{':' if problems else ': nothing.'}")
    else:
        problems = tuple(cheap_problems(dataset))
        page.text("striate check says what is wrong with them, if anything.", "note")
    _add_problems(page, problems)


def _add_examples(page: Page, gallery: RunImages, task: Task) -> None:
    """Show some training images, as the network gets them, with what they are said to show."""
    batch = gallery.batch("train", gallery.spread("train", _SHOWN).tolist())
    pictures = denormalise(batch.images, gallery.record.preprocessing)
    shown = [
        picture_figure(scale_to(drawn, _SIDE_PX * max(1, drawn.shape[1] // drawn.shape[0])), in_words(truth))
        for truth, drawn in draw_ground_truth(task, batch.targets, pictures)
    ]
    page.text("Some training images, as the network gets them, with their labels:")
    page.figures(shown, "small" if gallery.record.vocabulary.kind == "class" else "")


def _counts(gallery: RunImages) -> tuple[list[str], list[list[str]]]:
    """Count what is in each split: images that show a class, or a joint; of masks the pixels that were trained on."""
    vocabulary = gallery.record.vocabulary
    counts = {split: store.labels.counts(len(vocabulary.names)) for split, store in gallery.stores.items()}
    found: dict[str, list[int]] = {split: count.tolist() for split, count in counts.items() if count is not None}
    if not found:
        found = {"pixels in train": gallery.record.target_statistics["pixels"]}
    columns = [[f"{count:,}" for count in column] for column in found.values()]
    return [vocabulary.kind, *found], [list(row) for row in zip(vocabulary.names, *columns, strict=True)]


def _add_problems(page: Page, problems: Sequence[Problem]) -> None:
    """Write down the kinds of problems, how many there are of each, and the first one."""
    kinds: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        kinds.setdefault((problem.severity, problem.kind), []).append(problem)
    rows = [[*kind, f"{ones[0].where}: {ones[0].what}", f"{len(ones):,}"] for kind, ones in kinds.items()]
    if rows:
        page.table(["", "kind", "the first", "how many"], rows, numbers=1)
