"""What is kept on disk: the journal, the application tables, market history."""
