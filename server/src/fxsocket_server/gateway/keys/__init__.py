"""API keys as their owners manage them: make, list, change, rotate, revoke; who did what."""
