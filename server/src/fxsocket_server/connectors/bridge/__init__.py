"""The bridge: the TCP service that terminals dial (FXB/1)."""
