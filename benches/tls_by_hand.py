"""TLS 1.3 of a client that is sent by whoever holds it, record by record, those that OpenSSL does not make among them. Needs
the libcrypto of openssl, nothing else."""

import ctypes
import ctypes.util
import hashlib
import hmac
import ssl
import tempfile

HANDSHAKE = b"\x16"


class TlsByHand:
    """A session with who listens at `socket`, as the client of this context, after the handshake."""

    def __init__(self, socket, context, server):
        self.socket, self._made, received = socket, ssl.MemoryBIO(), ssl.MemoryBIO()
        with tempfile.NamedTemporaryFile() as secrets:
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.keylog_filename = secrets.name
            self._tls = context.wrap_bio(received, self._made, server_hostname=server)
            while True:
                try:
                    self._tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    socket.sendall(self._made.read())
                    received.write(socket.recv(65_536))
            socket.sendall(self._made.read())
            self._secret = next(bytes.fromhex(line.split()[2].decode()) for line in secrets if line.startswith(b"CLIENT_TRAFFIC"))

    def records(self, pieces):
        """One record of each of these pieces of what the application says."""
        for piece in pieces:
            self._tls.write(piece)
        return self._made.read()

    def foreign_records(self, kind, pieces):
        """One record of this kind of each. No others come before them or after."""
        return b"".join(self._seal(number, piece + kind) for number, piece in enumerate(pieces))

    def _seal(self, number, text):
        cipher, hash_, key_length = CIPHERS[self._tls.cipher()[0]]
        key, iv = (expand(self._secret, name, length, hash_) for name, length in ((b"key", key_length), (b"iv", 12)))
        nonce = (int.from_bytes(iv, "big") ^ number).to_bytes(12, "big")
        header = b"\x17\x03\x03" + (len(text) + 16).to_bytes(2, "big")
        return header + encrypt(cipher, key, nonce, header, text)


CIPHERS = {
    "TLS_AES_128_GCM_SHA256": ("EVP_aes_128_gcm", hashlib.sha256, 16),
    "TLS_AES_256_GCM_SHA384": ("EVP_aes_256_gcm", hashlib.sha384, 32),
    "TLS_CHACHA20_POLY1305_SHA256": ("EVP_chacha20_poly1305", hashlib.sha256, 32),
}


def expand(secret, name, length, hash_):
    """HKDF-Expand-Label (RFC 8446 section 7.1), of no more than one hash."""
    label = b"tls13 " + name
    info = length.to_bytes(2, "big") + bytes([len(label)]) + label + b"\0"
    return hmac.new(secret, info + b"\1", hash_).digest()[:length]


def encrypt(cipher, key, nonce, beside, text):
    """What the AEAD makes of the text, with its tag of 16 bytes."""
    pointer, length = ctypes.c_void_p, ctypes.c_int()
    crypto = ctypes.CDLL(ctypes.util.find_library("crypto"))
    crypto.EVP_CIPHER_CTX_new.restype = getattr(crypto, cipher).restype = pointer
    state, sealed, tag = pointer(crypto.EVP_CIPHER_CTX_new()), ctypes.create_string_buffer(len(text)), ctypes.create_string_buffer(16)
    crypto.EVP_EncryptInit_ex(state, pointer(getattr(crypto, cipher)()), None, key, nonce)
    crypto.EVP_EncryptUpdate(state, None, ctypes.byref(length), beside, len(beside))
    crypto.EVP_EncryptUpdate(state, sealed, ctypes.byref(length), text, len(text))
    crypto.EVP_EncryptFinal_ex(state, tag, ctypes.byref(length))
    crypto.EVP_CIPHER_CTX_ctrl(state, 0x10, len(tag), tag)  # EVP_CTRL_AEAD_GET_TAG
    crypto.EVP_CIPHER_CTX_free(state)
    return sealed.raw + tag.raw
