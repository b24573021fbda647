"""The first call of every client: which gateway, which flags; the share of clients per version."""
