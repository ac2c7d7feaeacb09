"""Certificates for the tests, by the program openssl."""

import os
import shutil
import subprocess

AVAILABLE = shutil.which("openssl") is not None


def make(folder):
    """The files of a new key and of a certificate for localhost that vouches for itself."""
    certificate, key = os.path.join(folder, "certificate.pem"), os.path.join(folder, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-out", certificate, "-keyout", key], check=True, capture_output=True)
    return certificate, key
