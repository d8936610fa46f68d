"""Risk rules: what an account or a key may not do, decided in the account's lane."""
