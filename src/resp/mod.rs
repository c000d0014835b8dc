//! The Redis serialization protocol: scanning requests and framing replies in place. Pure.
