"""How fast is it, beside what it could be? See README.md."""
