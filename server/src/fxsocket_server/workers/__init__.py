"""Work that goes on beside requests: checkpoints, retention."""
