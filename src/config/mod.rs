//! From flags, environment and file to one validated configuration.
