//! Facts to findings. Pure.

mod clients;
mod compose;
mod exposure;
mod gate;
mod outside;
mod redis;

pub use self::clients::{Client, Clients, clients};
pub use self::compose::compose;
pub use self::exposure::{Exposure, exposure};
pub use self::gate::{Gate, gate};
pub use self::outside::outside;
pub use self::redis::{Instance, redis};
