"""striate models."""

from __future__ import annotations

from dataclasses import dataclass

from striate.cli.output import JsonFlag, print_json, print_table


@dataclass(frozen=True, kw_only=True)
class Command:
    """List the architectures that train --model takes by name."""

    json: JsonFlag = False

    def run(self) -> None:
        """Print the table."""
        from striate.models import MODELS, smallest_px

        rows = []
        for name, architecture in MODELS.items():
            plan = architecture.plan()
            rows.append(
                {
                    "model": name,
                    "parameters": plan.cost.parameters,
                    "macs": plan.cost.macs,
                    "input": "x".join(map(str, architecture.input)),
                    "classes": architecture.classes,
                    "min_size_px": smallest_px(name),
                    "imagenet_top1": architecture.published.top1 if architecture.published else None,
                    "source": architecture.source,
                    "line": architecture.line,
                }
            )
        if self.json:
            print_json(rows)
            return
        shown = ["model", "parameters", "macs", "input", "classes", "min_size_px", "imagenet_top1", "source"]
        header = ["model", "parameters", "MACs", "made for", "classes", "at least", "ImageNet", "source"]
        print_table(header, [[row[name] for name in shown] for row in rows])
        print(
            "\nParameters and multiply-accumulates (MACs) for what each was made for. striate inspect MODEL shows its "
            "layers.\nImageNet: accuracy of published weights, where there are some (train --pretrained imagenet)."
            "\n--model also takes a line of text: 'conv 8@3x3 | relu | maxpool 2 | flatten | fc classes'."
        )
