"""Work that goes on beside requests: checkpoints, equity, retention, space."""
