"""What is a key for? The four scopes of access keys, and the workspace of whoever runs the store."""

from typing import Literal

Scope = Literal["collect", "server", "read", "admin"]
SCOPES: tuple[Scope, ...] = ("collect", "server", "read", "admin")
OPERATOR_WORKSPACE = "default"  # whoever has its keys runs the store
