"""The bricks, and a look inside them: layers as matrices."""

from striate.layers.matrix import LinearMap, as_matrix, offset

__all__ = ["LinearMap", "as_matrix", "offset"]
