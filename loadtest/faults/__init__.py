"""What a run does to its target, and when: one fault per file, a registry of names, a schedule."""
