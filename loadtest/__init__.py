"""Hold, deploy, drop, recover, report: load and soak tests for WebSocket gateways, on Locust."""

__version__ = "0.1.0"
