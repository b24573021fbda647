"""Internal services behind the private API: domain rules over storage and broker."""
