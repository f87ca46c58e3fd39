"""The read-only API and the live page."""
