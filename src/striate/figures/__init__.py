"""Every picture that striate draws: filter mosaics, maps, curves."""
