"""Object recognition with hierarchies: the tables of the papers, and competing systems."""
