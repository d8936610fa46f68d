# Made from _async/__init__.py by tools/make_sync.py; edit that file instead.
"""The blocking client, made by `tools/make_sync.py`."""
