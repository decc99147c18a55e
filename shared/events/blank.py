"""Does a text say anything? People find things by their names and ids, so calls and commands give no name that nobody can see."""


def is_blank(text: str) -> bool:
    """Whether nothing of a text is to be seen: it is empty, or has only blanks, line breaks, control or format characters."""
    return not any(character.isprintable() and not character.isspace() for character in text)
