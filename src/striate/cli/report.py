"""striate report RUN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from striate.cli.output import JsonFlag, MovedData, RunFolder, print_json

Projection = Literal["pca", "tsne"]


@dataclass(frozen=True, kw_only=True)
class Command:
    """Write report.html into a run: how the network was trained, its metrics, its mistakes, what it has learned."""

    run_folder: RunFolder
    data: MovedData = None
    projection: Projection = "pca"
    """How images are projected into the plane: principal components, or t-SNE, which needs scikit-learn."""
    json: JsonFlag = False

    def run(self) -> None:
        """Write the report, and print its path."""
        from striate.reports.report import write_report
        from striate.runs import load

        path = write_report(load(self.run_folder), data=self.data, projection=self.projection)
        if self.json:
            print_json({"report": str(path)})
        else:
            print(f"{path}: open it in a browser")
