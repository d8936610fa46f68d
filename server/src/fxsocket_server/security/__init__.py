"""Keys, principals, limits: who may do what, decided without I/O."""
