"""FXB/1, the protocol between server and terminals: frames, messages, bounds. Pure."""
