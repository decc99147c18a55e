"""In a sealed store the log holds pseudonyms in place of persons' names. The vault, a table, knows the names and can forget them."""
