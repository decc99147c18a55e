"""Does a text have a visible character? People find things by names and ids, so calls and commands refuse invisible ones."""


def is_blank(text: str) -> bool:
    """Whether nothing of a text is to be seen: it is empty, or has only blanks, line breaks, control or format characters."""
    return not any(character.isprintable() and not character.isspace() for character in text)
