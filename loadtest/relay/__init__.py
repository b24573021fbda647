"""A TCP relay between clients and gateways, in user space, whose network can be made worse and well again."""
