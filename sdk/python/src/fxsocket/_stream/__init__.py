"""What both streams are made of: memory, inbox, connection, and the core that ties them."""
