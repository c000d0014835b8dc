//! Exit codes: what a script or a service manager can tell apart.

use std::process::ExitCode;

/// How the program ends. The numbers are those of `sysexits.h` where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Exit {
    /// 0.
    Success,
    /// 1: unhealthy, or a check failed.
    Failure,
    /// 2: the command line.
    Usage,
    /// 69: the upstream does not answer, or no proxy runs that could be asked.
    Unavailable,
    /// 70: a fault of this program.
    Internal,
    /// 73: what is to be made is there already.
    CannotCreate,
    /// 75: the address is taken; later it may not be.
    AddressInUse,
    /// 77: a file or a port this process may not use, or a file that others may.
    Permission,
    /// 78: the configuration.
    Configuration,
}

impl Exit {
    /// The number the parent process sees.
    pub fn code(self) -> u8 {
        match self {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::Usage => 2,
            Exit::Unavailable => 69,
            Exit::Internal => 70,
            Exit::CannotCreate => 73,
            Exit::AddressInUse => 75,
            Exit::Permission => 77,
            Exit::Configuration => 78,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}
