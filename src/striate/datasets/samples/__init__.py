"""Built-in data sets, asked for by their names.

A sample is a module with `TASKS`, the tasks that its labels are for, and `read(location: str, task: str) -> Dataset`.
A new sample is one file here and one line in `SAMPLES`.
"""

SAMPLES: dict[str, str] = {
    "mnist": "striate.datasets.samples.mnist",
    "figures": "striate.datasets.samples.figures",
}
