//! How much the kernel may keep of what a client has yet to take: left to itself, it keeps megabytes for each.

use std::io;
use std::os::fd::AsFd;

use socket2::SockRef;

/// Bytes for one who has not logged in. Where values of many MiB go over loopback, so few would cost a fifth of the
/// processor more.
pub(super) const OF_UNAUTHENTICATED: u32 = 32 << 10;

/// Bytes for a user: large values come through as fast as without a bound.
pub(super) const OF_A_USER: u32 = 256 << 10;

/// The kernel takes no more while it keeps so many bytes that were not sent for the first time, because the client's
/// window is closed or the network slow. What is on its way is bounded by that window, and by what the network has
/// lately taken.
///
/// # Errors
/// The kernel's.
pub(super) fn bound(socket: &impl AsFd, bytes: u32) -> io::Result<()> {
    SockRef::from(socket).set_tcp_notsent_lowat(bytes)
}
