//! From a client certificate to a user name. Pure.
