"""Fakes and harnesses that tests, ours and users', build on."""
