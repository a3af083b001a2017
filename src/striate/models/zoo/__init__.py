"""The standard architectures, a family a file."""
