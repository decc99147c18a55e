"""A believable year of a small company, made up from a seed."""
