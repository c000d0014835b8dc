//! What a stunnel.conf means here: the lines of respgate.toml that do the same, and what of it cannot be had. All but
//! `read` is pure.
//!
//! Source: stunnel(8) of stunnel 5.68.

mod address;
mod conf;
mod read;
mod service;
mod translation;

pub use conf::{Conf, ConfError, ConfLine};
pub use read::{pinned, read};
pub use translation::{Became, Pinned, Told, Translation, translate};

#[cfg(test)]
mod tests;
