"""Decoded images on disk: the folder, the index of what is in it, content hashes, decoding workers."""
