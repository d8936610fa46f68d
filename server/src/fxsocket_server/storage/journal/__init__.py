"""The order journal: journal.db, one writer thread, group commit, WAL with synchronous=FULL."""
