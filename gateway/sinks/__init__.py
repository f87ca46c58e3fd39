"""Readers of the journal that feed other systems."""
