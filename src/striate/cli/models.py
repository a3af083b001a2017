"""striate models."""

from __future__ import annotations

from dataclasses import dataclass

from striate.cli.output import JsonFlag, print_json, print_table


@dataclass(frozen=True, kw_only=True)
class Command:
    """List the architectures that train --model takes."""

    json: JsonFlag = False

    def run(self) -> None:
        """Print the table."""
        import torch

        from striate.models import MODELS, create

        rows = []
        for name, architecture in MODELS.items():
            with torch.device("meta"):  # shapes alone: no memory, no weights
                model = create(name, classes=10)
            rows.append(
                {
                    "model": name,
                    "parameters": sum(parameter.numel() for parameter in model.parameters()),
                    "size_px": architecture.size_px,
                    "min_size_px": architecture.min_size_px,
                    "source": architecture.source,
                }
            )
        if self.json:
            print_json(rows)
            return
        print_table(
            ["model", "parameters", "made for", "at least", "source"],
            [[f"{value}x{value}" if "size" in name else value for name, value in row.items()] for row in rows],
        )
        print("\nParameters are those for 10 classes of RGB images.")
