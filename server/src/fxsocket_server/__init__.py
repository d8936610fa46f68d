"""FxSocket server: MetaTrader accounts behind one REST API and one real-time stream."""
