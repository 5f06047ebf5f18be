"""Bank statement files: camt.053, MT940, BAI2, OFX and CSV, each read into the same statements."""
