"""What a reconnect storm will do before it is run: the storm model and capacity planning. Pure: no clock, no I/O."""
