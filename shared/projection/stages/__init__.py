"""The stages of the projection, each with its tables, what it reads, and what it writes."""
