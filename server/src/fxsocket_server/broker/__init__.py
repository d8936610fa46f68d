"""The simulated broker and its market, as pure functions."""
