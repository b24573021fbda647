"""What is counted: histograms, the delivery ledger, recovery curves, thresholds. Pure: time is an argument."""
