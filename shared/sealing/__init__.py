"""Names of persons leave the log: pseudonyms stand for them, and a vault that can forget says whose they are."""
