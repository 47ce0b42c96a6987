"""Whether the server's certificate and its key belong together."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from common.errors import ConfigError
from common.membership.certificate import load_certificate
from server.federation.federation_folder import FederationFolder


def require_pair(folder: FederationFolder) -> None:
    """Nothing, or ConfigError where the server's certificate is for another key than the one there.

    `lesionfed rotate` writes the key, then the certificate. Cut off in between it leaves a pair
    that neither nginx nor the SuperLink starts with.
    """
    file = folder.certificate_file
    certificate = load_certificate(file.read_bytes(), where=str(file))
    if _key(folder).public_key() != certificate.public_key():
        raise ConfigError(
            f"{file} and {folder.certificate_key_file} do not belong together: was `lesionfed "
            f"rotate` cut off? Run `lesionfed rotate --federation {folder.path}` again."
        )


def _key(folder: FederationFolder) -> PrivateKeyTypes:
    file = folder.certificate_key_file
    try:
        return load_pem_private_key(file.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(
            f"{file}: not a private key in PEM. Run `lesionfed rotate --federation {folder.path}`."
        ) from None
