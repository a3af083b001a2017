"""How good a network is on held-out images: by class or joint, confusions, and what its probabilities are worth."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from striate.reports.charts import MOST_NAMED_CLASSES, confusion_chart, reliability_diagram
from striate.reports.page import Section, chart_figures
from striate.runs.evaluation import SplitEvaluation
from striate.tasks.figures import Figure, figure_heading, figure_table, meanings

_ROWS = 40  # of a table
_MOST_DRAWN_CLASSES = 100  # of a confusion matrix
_CONFUSIONS = 6  # in words
_NEAR_ONE = 0.05  # distance of a temperature from 1 that means nothing


def rows_section(evaluation: SplitEvaluation, figures: Sequence[Figure]) -> Section | None:
    """Show the figures of each class, joint or the like, and what is taken for what; None where there are none."""
    keys, cells = figure_table(figures, evaluation.metrics.rows())
    if not keys:
        return None
    section = Section(f"By {keys[0]}")
    section.text(f"On {evaluation.scope}.")
    confusion = evaluation.metrics.confusion
    if confusion is not None:
        _add_confusion(section, confusion, [cell[0] for cell in cells])
    section.text("One by one:")
    if len(cells) > _ROWS:
        section.text(f"The first {_ROWS} of {len(cells):,}; striate evaluate prints all.", "note")
    section.table([figure_heading(figures, key) for key in keys], cells[:_ROWS], numeric=len(keys) - 1)
    section.text(meanings(figures, keys), "note")
    return section


def _add_confusion(section: Section, confusion: Tensor, names: list[str]) -> None:
    """Draw a confusion matrix, and say what is taken for what most often."""
    if len(names) <= _MOST_DRAWN_CLASSES:
        caption = "Each row is what is there, each column what the network called it; right answers are blue."
        if len(names) > MOST_NAMED_CLASSES:
            caption += " Rows and columns come in the order of the table below."
        figures = chart_figures((confusion_chart(confusion.numpy(), names), caption))
        section.figures(figures, "wide" if len(names) > 12 else "")
    wrong = confusion.clone().fill_diagonal_(0)
    most = wrong.flatten().topk(min(_CONFUSIONS, wrong.numel()))
    pairs = [
        [names[index // len(names)], names[index % len(names)], f"{count:,}"]
        for index, count in zip(most.indices.tolist(), most.values.tolist(), strict=True)
        if count
    ]
    if pairs and len(names) > 2:
        section.text("What is taken for something else most often:")
        section.table(["what it is", "what it was called", "how often"], pairs, numeric=1)


def calibration_section(evaluation: SplitEvaluation) -> Section | None:
    """Compare probabilities with shares of right answers; None where a network gives no probability."""
    calibration = evaluation.calibration
    if calibration is None:
        return None
    answers, temperature = sum(calibration.counts), calibration.temperature
    all_right = all(share == 1 for share, count in zip(calibration.accuracy, calibration.counts, strict=True) if count)
    if all_right or abs(temperature - 1) < _NEAR_ONE:
        verdict = "on the whole it is neither too confident nor too cautious, but see the bars"
    else:
        verdict = f"the network is {'more confident' if temperature > 1 else 'more cautious'} than it should be"
    section = Section("How far its probabilities can be trusted")
    section.text(
        f"Where it says 90 %, 90 of 100 answers should be right. On average it is off by {calibration.error:.1%} (the "
        f"expected calibration error): {verdict}. Of {answers:,} answers, each the class of an image or of a pixel."
    )
    if not all_right:
        section.text(
            f"Dividing what goes into its probabilities, the logits, by {temperature:.2f} (the temperature, found on "
            f"these very images) would leave them off by {calibration.error_after:.1%}.",
            "note",
        )
    caption = (
        "Share of right answers among those given with some probability; on the dashed line they are what the network "
        "says. Pale bars are of few answers."
    )
    section.figures(chart_figures((reliability_diagram(calibration), caption)))
    return section
