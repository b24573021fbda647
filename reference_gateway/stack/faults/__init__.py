"""What can be done to the parts of a running stack, on order of its control server, and taken back.

To add a fault: a class with `apply` and `undo` (the contract is in `fault.py`), its row in `ward.py`, and what it needs
of the order in `order.py`.
"""
