"""Near-to-far vision, and mappings that ignore what does not matter."""
