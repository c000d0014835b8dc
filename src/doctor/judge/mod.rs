//! Facts to findings. Pure.

mod exposure;

pub use self::exposure::{Exposure, exposure};
