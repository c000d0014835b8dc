//! One client's session: a pure core and the driver that does its I/O.
