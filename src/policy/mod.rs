//! The verdict on one request: blocklist, state and ACL. Pure.
