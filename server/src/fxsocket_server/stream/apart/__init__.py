"""The stream as a process of its own: what crosses to it, and both ends of the way."""
