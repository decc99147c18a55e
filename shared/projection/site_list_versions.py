"""Which lists decide about the groups of reports? Sums of credit that were made with other lists are not read, and are computed again."""

import hashlib
from importlib.resources import files

from shared.projection.content import version_of
from shared.recognition.referrers import PACKAGE

GROUPS = 1  # grows when the code puts the same touch into another group of a report, or adds up what it earned in another way
PACKAGES = (PACKAGE, "publicsuffixlist", "idna")  # whose lists decide to which site a host belongs


def _decided_by() -> str:
    """A digest of the lists and of `GROUPS`. What `shared.rules` reads of data files is part of the shape."""
    sites = (files("shared.recognition") / "sites.toml").read_bytes()
    versions = "\n".join([str(GROUPS), *(f"{package} {version_of(package)}" for package in PACKAGES)])
    return hashlib.sha256(versions.encode() + b"\n" + sites).hexdigest()[:16]


DECIDED_BY = _decided_by()
