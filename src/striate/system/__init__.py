"""What the machine gives: atomic files, strict JSON, signals, memory, the cache's folder, progress."""
