//! TLS: configuration, verification, handshake and an orderly close.
