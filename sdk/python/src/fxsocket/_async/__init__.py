"""The client for asyncio; `tools/make_sync.py` makes the blocking one from it."""
