"""Classification: one class per image."""

from striate.tasks.task import TaskEntry

TASK = TaskEntry(
    spec="striate.tasks.classification.spec:ClassificationSpec",
    training="striate.tasks.classification.training:ClassificationTraining",
    explaining="striate.tasks.classification.explaining:ClassificationExplaining",
    options="striate.tasks.classification.options:ClassificationOptions",
    training_options=("mixup", "progressive"),
)
