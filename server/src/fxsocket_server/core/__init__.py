"""Clock, ids, random numbers, limits, errors and codec: what every layer may use."""
