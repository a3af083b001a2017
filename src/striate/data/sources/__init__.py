"""Where labelled images come from: a layout on disk, or a built-in sample, each one file.

A layout is a module with

- `matches(location: str) -> bool`: is this folder or file mine? Cheap;
- `read(location: str) -> Dataset`: list it; raises DataError for what is wrong with it;
- `DESCRIPTION`: what it looks like on disk, for messages and documentation.

The first one that matches is taken. A sample has `read` alone, and is asked for by its name. A new layout
is one file here and one line in `SOURCES`; a new sample one line in `SAMPLES`.
"""

SOURCES: dict[str, str] = {
    "class_folders": "striate.data.sources.class_folders",
}

SAMPLES: dict[str, str] = {
    "mnist": "striate.data.sources.mnist",
}
