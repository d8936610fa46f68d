"""The stream: WebSocket connections on a port of their own, over `channels` and the gateway."""
