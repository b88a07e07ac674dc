# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests: an authority, and what it signs."""

import subprocess


def _openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def _key(path):
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)


class Authority:
    def __init__(self, directory, name="Test authority"):
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.cert = directory / "ca.crt"
        self.key = directory / "ca.key"
        _key(self.key)
        _openssl("req", "-x509", "-new", "-key", self.key, "-subj", f"/CN={name}", "-days", 30,
                 "-out", self.cert)

    def issue(self, name, alternatives=None, days=30):
        """(certificate, key). `alternatives`: for a server, like "DNS:localhost,IP:127.0.0.1"."""
        cert, key = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        request, extensions = self.directory / f"{name}.csr", self.directory / f"{name}.ext"
        _key(key)
        _openssl("req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", request)
        usage = "serverAuth" if alternatives else "clientAuth"
        extensions.write_text(f"extendedKeyUsage={usage}\n"
                              + (f"subjectAltName={alternatives}\n" if alternatives else ""))
        _openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key,
                 "-CAcreateserial", "-days", days, "-extfile", extensions, "-out", cert)
        return cert, key
