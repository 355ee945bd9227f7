# SPDX-License-Identifier: Apache-2.0
"""Keys and certificates of one throw-away cluster, made by openssl."""

import os
import subprocess

_CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


class Pki:
    """A folder with ca.crt, one NAME.crt and NAME.key a user, and the key pair of tokens."""

    def __init__(self, folder, server_names):
        self.folder = folder
        os.makedirs(folder, mode=0o700, exist_ok=True)
        self._openssl(
            "req", "-x509", *_CURVE, "-days", "30", "-subj", "/CN=test-ca",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature",
            "-keyout", self.path("ca.key"), "-out", self.path("ca.crt"))
        self._leaf("apiserver", "/CN=kube-apiserver", "serverAuth", ",".join(server_names))
        self._leaf("admin", "/O=system:masters/CN=admin", "clientAuth")
        self._leaf("controllers", "/O=system:masters/CN=controllers", "clientAuth")
        self._openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout",
                      "-out", self.path("tokens.key"))
        self._openssl("ec", "-in", self.path("tokens.key"), "-pubout",
                      "-out", self.path("tokens.pub"))

    def path(self, name):
        return os.path.join(self.folder, name)

    def _leaf(self, name, subject, usage, names=None):
        extensions = ["basicConstraints=CA:FALSE", "keyUsage=digitalSignature",
                      f"extendedKeyUsage={usage}"]
        if names:
            extensions.append(f"subjectAltName={names}")
        with open(self.path("extensions"), "w") as f:
            f.write("\n".join(extensions) + "\n")
        self._openssl("req", "-new", *_CURVE, "-subj", subject,
                      "-keyout", self.path(f"{name}.key"), "-out", self.path("request"))
        self._openssl("x509", "-req", "-in", self.path("request"), "-days", "30",
                      "-CA", self.path("ca.crt"), "-CAkey", self.path("ca.key"),
                      "-CAcreateserial", "-extfile", self.path("extensions"),
                      "-out", self.path(f"{name}.crt"))

    @staticmethod
    def _openssl(*args):
        done = subprocess.run(["openssl", *args], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"openssl {args[0]}: {done.stderr.strip()}")
