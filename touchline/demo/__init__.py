"""The events of one year of an invented small company, drawn at random from a seed."""
