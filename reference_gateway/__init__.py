"""A gateway stack to try the harness on: gateway nodes, private API, services, broker, in versions chosen by name."""
