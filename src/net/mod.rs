//! Listeners, workers and the registry of live connections.

pub mod addresses;
mod applications;
mod budget;
mod driver;
mod executing;
mod farewell;
mod gate;
mod handshake_turns;
mod inherited;
mod lazy_free;
pub mod listener;
mod long_turn;
mod places;
pub mod proxy_protocol;
mod read_quota;
pub mod registry;
mod reverify;
mod services;
mod shares;
mod sockets;
pub mod tunnel_listener;
mod turn;
mod unix_socket;
mod unsent;
mod user_turns;
pub mod view;
pub mod worker;

pub use self::applications::Applications;
pub use self::budget::MemoryBudget;
pub use self::gate::{ConnectionPermit, Entrance, Gate, GateLimits, SURPLUS};
pub use self::inherited::{InheritedError, InheritedSockets};
pub use self::lazy_free::LazyFree;
pub use self::places::Places;
pub use self::unix_socket::{Access, UnixSocket, UnixSocketError};
