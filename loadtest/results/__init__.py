"""The run folder: manifest, append-only interval log, histograms, curves, summary; a writer, a reader, one schema."""
