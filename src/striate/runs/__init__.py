"""A run is a folder: the only room where model, data, task and training are put together.

run.json              everything needed to use the network   (record.py)
model.safetensors     the weights to use: the best by the validation images
learned.safetensors   of a pose: small training images and their poses, for the baseline of the nearest one
metrics.jsonl         one line an epoch
split.json            which images were trained on, chosen by, and tested with: names and content hashes

assembly.py           data and options in, a run out
finding.py            data and options in, a learning rate out
run.py                a run in use: load, evaluate, predict
"""

from striate.runs.assembly import train
from striate.runs.run import Run, load

__all__ = ["Run", "load", "train"]
