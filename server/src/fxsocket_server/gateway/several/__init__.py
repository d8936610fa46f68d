"""Commands of several legs: batch, reverse, close-all."""
