"""How full a node is, and how many nodes there should be: pure decisions, carried out by `stack.scaler`."""
