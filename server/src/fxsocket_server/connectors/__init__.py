"""Adapters to kinds of terminals: the simulated broker in process, the bridge."""
