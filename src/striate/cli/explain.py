"""striate explain RUN IMAGE|FOLDER…."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from striate.cli.output import Images, JsonFlag, MovedData, RunFolder, print_json
from striate.errors import ConfigError
from striate.system import atomic

if TYPE_CHECKING:
    from striate.runs.explanation import Explanation


@dataclass(frozen=True, kw_only=True)
class Command:
    """Show where a network looks in images, what its layers see there, and what it takes to be alike; or a layer."""

    run_folder: RunFolder
    images: Images = ()
    of: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="NAME", help="Class or joint that is explained.", help_behavior_hint="(what it says most)"
        ),
    ] = None
    layer: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="LAYER",
            help="Layer, as striate inspect RUN names it, or a part of one.",
            help_behavior_hint="(the last one that has maps)",
        ),
    ] = None
    matrix: bool = False
    """Draw --layer as a matrix, in place of images."""
    data: MovedData = None
    out: str = "auto"
    """The page to write, a new .html. auto: explain.html, with a number where that is taken."""
    json: JsonFlag = False

    def __post_init__(self) -> None:
        if self.out != "auto" and Path(self.out).suffix.lower() != ".html":
            raise ConfigError("out", f"must end in .html, not {self.out}")
        if self.matrix and self.layer is None:
            raise ConfigError("matrix", "there is no --layer", "name the layer that is to be drawn")
        if self.matrix and (self.of or self.data):
            raise ConfigError("matrix", "a layer is drawn without images", "leave --of and --data out")
        if self.matrix == bool(self.images):
            raise ConfigError("images", "wanted are images to explain, or --layer NAME --matrix, and not both")

    def run(self) -> None:
        """Explain, write the page, and print its path."""
        out = Path(self.out) if self.out != "auto" else _free("explain")
        atomic.check_writable(out)
        from striate.reports.explanation_page import explanation_page
        from striate.reports.matrix_page import matrix_page
        from striate.runs import load
        from striate.runs.explanation import Explainer, open_run_images
        from striate.runs.inputs import image_paths

        explanations: list[Explanation] = []
        run = load(self.run_folder)
        if self.layer and self.matrix:
            page = matrix_page(run.model, self.layer)
        else:
            run_images = open_run_images(run.folder, run.record, run.model, self.data)
            explainer = Explainer(run.record, run.task, run.model, run_images, layer=self.layer, of=self.of)
            subjects = explainer.subjects(image_paths(self.images))
            explanations = [explainer.explain(subject) for subject in subjects]
            page = explanation_page(explainer, explanations)
        atomic.write(out, page.html())
        if self.json:
            print_json({"page": str(out), "images": [explanation.document() for explanation in explanations]})
        else:
            print(f"{out}: open it in a browser")


def _free(stem: str) -> Path:
    """Return the name of a page that does not exist yet."""
    names = (Path(f"{stem}-{number}.html" if number > 1 else f"{stem}.html") for number in itertools.count(1))
    return next(name for name in names if not name.exists())
