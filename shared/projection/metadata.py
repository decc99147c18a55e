"""What the tables of all stages have in common.

Instants are microseconds since 1970 UTC in columns that end in `_us`; persons, assets, values, campaigns, contacts and
deals are 64-bit keys (`shared.rules.keys`) beside which the name stands once. Every key begins with the workspace `ws`.
"""

import sqlalchemy as sa

projection = sa.MetaData()

OrderText = sa.Text(collation="C")  # compares as UTF-8 bytes, like rule **order**


def workspace_column() -> "sa.Column[int]":
    """The workspace's number, the first column of a primary key."""
    return sa.Column("ws", sa.Integer, primary_key=True, autoincrement=False)


def key_column(name: str, **options: bool) -> "sa.Column[int]":
    """A column of 64 bits: a key, or an instant in microseconds."""
    return sa.Column(name, sa.BigInteger, autoincrement=False, **options)  # type: ignore[arg-type]
