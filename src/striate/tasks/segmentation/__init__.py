"""Semantic segmentation: one class per pixel."""

from striate.tasks.task import TaskEntry

TASK = TaskEntry(
    spec="striate.tasks.segmentation.spec:SegmentationSpec",
    training="striate.tasks.segmentation.training:SegmentationTraining",
    explaining="striate.tasks.segmentation.explaining:SegmentationExplaining",
    options="striate.tasks.segmentation.options:SegmentationOptions",
)
