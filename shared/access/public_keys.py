"""Which public key does an account's secret hold? SendGrid signs with the matching private key."""

import base64
import binascii
from functools import lru_cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

KEYS_CACHED = 1_000  # parsed public keys, some 2 KB each


@lru_cache(KEYS_CACHED)
def public_key(secret: str) -> EllipticCurvePublicKey:
    """Parse a public key: base64 of its DER form, as SendGrid shows it, or PEM. Raises `ValueError` if it cannot be parsed."""
    text = "".join(secret.split())
    try:
        if "BEGIN" in text:
            key = load_pem_public_key(secret.strip().encode())
        else:
            key = load_der_public_key(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error, UnsupportedAlgorithm) as error:
        raise ValueError("the account's secret is not a public key") from error
    if not isinstance(key, EllipticCurvePublicKey):
        raise ValueError("the account's secret is a public key, but not an elliptic-curve key")  # noqa: TRY004
    return key
