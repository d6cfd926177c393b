"""The project's tests; those of the collection stand beside it."""
