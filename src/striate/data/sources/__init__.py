"""Where labelled images come from: one layout, or one built-in sample, a file.

A source is a module with

- `matches(location: str) -> bool`: is this mine? Cheap, and never raises for a location that exists;
- `read(location: str) -> Dataset`: list it; raises DataError for what is wrong with it;
- `DESCRIPTION`: what it looks like on disk, for messages and documentation.

The first source that matches is taken. A new layout is one file here and one line in `SOURCES`.
"""

SOURCES: dict[str, str] = {
    "mnist": "striate.data.sources.mnist",
    "class_folders": "striate.data.sources.class_folders",
}
