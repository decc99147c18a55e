"""Which public key does an account's secret hold? SendGrid signs with the private half of it."""

import base64
import binascii
from functools import lru_cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

KEYS_CACHED = 1_000  # parsed public keys, some 2 KB each


@lru_cache(KEYS_CACHED)
def public_key(secret: str) -> EllipticCurvePublicKey:
    """The public key: base64 of its DER form, as SendGrid shows it, or PEM. Raises `ValueError` if it is none."""
    text = "".join(secret.split())
    try:
        if "BEGIN" in text:
            key = load_pem_public_key(secret.strip().encode())
        else:
            key = load_der_public_key(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error, UnsupportedAlgorithm) as error:
        raise ValueError("the account's secret is no public key") from error
    if not isinstance(key, EllipticCurvePublicKey):
        raise ValueError("the account's secret is a public key of another kind than elliptic curves")  # noqa: TRY004
    return key
