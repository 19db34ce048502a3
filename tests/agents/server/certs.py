"""A CA and a leaf for localhost, made fresh for every server with the openssl program."""
import os
import subprocess

CA_CONF = """[req]
distinguished_name = dn
x509_extensions = ca
prompt = no
[dn]
CN = cf-observe test CA
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
"""

# rustls and Node both want a SAN and refuse a leaf that is a CA.
LEAF_EXT = """basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, DNS:*.localhost, IP:127.0.0.1, IP:::1
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


def _openssl(*args):
    subprocess.run(["openssl", *args], check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=30)


def make(directory):
    """Writes ca.pem, leaf.pem, leaf.key below directory; gives their paths."""
    def path(name):
        return os.path.join(directory, name)
    with open(path("ca.conf"), "w", encoding="ascii") as f:
        f.write(CA_CONF)
    with open(path("leaf.ext"), "w", encoding="ascii") as f:
        f.write(LEAF_EXT)
    for name in ("ca", "leaf"):
        _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path(name + ".key"))
    _openssl("req", "-x509", "-new", "-sha256", "-days", "30", "-config", path("ca.conf"),
             "-key", path("ca.key"), "-out", path("ca.pem"))
    _openssl("req", "-new", "-sha256", "-subj", "/CN=localhost", "-key", path("leaf.key"),
             "-out", path("leaf.csr"))
    _openssl("x509", "-req", "-sha256", "-days", "29", "-in", path("leaf.csr"), "-CA", path("ca.pem"),
             "-CAkey", path("ca.key"), "-CAcreateserial", "-extfile", path("leaf.ext"),
             "-out", path("leaf.pem"))
    return {"ca": path("ca.pem"), "cert": path("leaf.pem"), "key": path("leaf.key")}
