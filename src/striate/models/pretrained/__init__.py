"""Published weights: where they are, reading them, and transferring them to a network."""
