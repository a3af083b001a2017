"""striate cache."""

from __future__ import annotations

import time
from dataclasses import dataclass

from striate.cache import folder as cache
from striate.cli.output import JsonFlag, print_json, print_table
from striate.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Command:
    """Show which decoded images are kept on disk, or remove them. They are decoded again when they are needed."""

    clear: bool = False
    """Remove all decoded images."""
    json: JsonFlag = False

    def run(self) -> None:
        """Print the table, or clear the cache."""
        if cache.folder().exists() and not cache.folder().is_dir():
            raise ConfigError("STRIATE_CACHE", f"must be a folder, and {cache.folder()} is a file")
        if self.clear:
            freed = cache.clear()
            if self.json:
                print_json({"folder": str(cache.folder()), "freed_bytes": freed})
            else:
                print(f"{cache.folder()}: {cache.format_bytes(freed)} removed")
            return
        stores, total, bound = cache.list_stores(), cache.size_bytes(), cache.bound_bytes()
        if self.json:
            listed = [
                {
                    "name": store.name,
                    "location": store.location,
                    "spec": store.spec,
                    "images": store.images,
                    "bytes": store.size_bytes,
                    "used": store.used,
                    "folder": str(store.folder),
                }
                for store in stores
            ]
            print_json({"folder": str(cache.folder()), "bytes": total, "bound_bytes": bound, "stores": listed})
            return
        if stores:
            rows = [
                [
                    store.name,
                    store.spec,
                    store.images,
                    cache.format_bytes(store.size_bytes),
                    _ago(store.used),
                    store.location,
                ]
                for store in stores
            ]
            print_table(["data", "decoded to", "images", "size", "last used", "from"], rows)
            print()
        print(
            f"{cache.folder()}: {cache.format_bytes(total)} of at most {cache.format_bytes(bound)}; "
            "the oldest go first.\nSTRIATE_CACHE sets another folder, STRIATE_CACHE_GB another bound; "
            "striate cache --clear removes all."
        )


def _ago(moment: float) -> str:
    minutes = max(0.0, time.time() - moment) / 60
    for unit, length in (("day", 24 * 60), ("hour", 60), ("minute", 1)):
        if minutes >= length:
            count = int(minutes // length)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"
