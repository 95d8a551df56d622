"""Networks: two zoos of bodies, one head, and how both are frozen and grouped by depth. The door is `vision.py`."""
