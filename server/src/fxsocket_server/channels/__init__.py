"""The stream's mechanisms, decided without I/O: who hears what, in which order, and who waits."""
