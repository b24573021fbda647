"""The private API: a client's message becomes a standard HTTP call to an internal service, by a rule table."""
