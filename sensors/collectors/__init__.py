"""Owners of field links: the only place in sensors that does I/O."""
