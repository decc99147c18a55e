"""What may a key be used for? The four scopes of access keys, and the operator's workspace."""

from typing import Literal

Scope = Literal["collect", "server", "read", "admin"]
SCOPES: tuple[Scope, ...] = ("collect", "server", "read", "admin")
OPERATOR_WORKSPACE = "default"  # its keys are the operator's
