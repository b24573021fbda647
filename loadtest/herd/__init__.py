"""Many connections on one poller: the engine that holds them. See README.md in this folder for a drawing."""
