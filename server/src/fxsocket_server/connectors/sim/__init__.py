"""The simulated broker in process, driven by a price feed."""
