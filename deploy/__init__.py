"""How the house is put on machines: laptop, containers, clusters."""
