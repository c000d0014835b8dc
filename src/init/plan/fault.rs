//! What keeps from a plan.

use std::fmt;
use std::path::PathBuf;

use crate::preset::PresetError;

/// What keeps from a plan. Never holds a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// There is no redis.conf in the usual places.
    NoRedis,
    /// This flag does nothing there.
    Useless(&'static str),
    /// Two clients have one name.
    TwiceNamed(String),
    /// This name means somebody else.
    Reserved(String),
    /// A preset does not go with this client.
    Preset(String, PresetError),
    /// Redis has no such user whose rights could be taken over.
    NoSuchUser(String),
    /// Redis has this user, switched off: its place.
    SwitchedOff(String, String),
    /// Redis has a user of respgate's name: its place.
    UpstreamUserTaken(String),
    /// Redis takes users from redis.conf or from an ACL file: the place of one in redis.conf.
    TwoSources(String),
    /// What is wrong with a user of Redis, and its place.
    User(String, String),
    /// The ACL file is named by a path that starts where Redis was started.
    RelativeAclFile(PathBuf),
    /// The unit of Redis gives an option on its command line, which overrules redis.conf and with it both steps.
    Overruled(String, String),
    /// The new name of a command is not UTF-8.
    Rename(String),
    /// The path of Redis's socket is too long.
    LongSocket(PathBuf),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::NoRedis => {
                f.write_str("no redis.conf is where distributions have it: --redis-conf FILE, once Redis is installed")
            }
            Fault::Useless(flag) => write!(f, "{flag}: does nothing on this platform"),
            Fault::TwiceNamed(name) => write!(f, "--client {name} is given twice"),
            Fault::Reserved(name) => write!(f, "--client {name}: nobody has a certificate by this name"),
            Fault::Preset(name, error) => write!(f, "--client {name}: {error}"),
            Fault::NoSuchUser(name) => {
                write!(f, "--client {name}: Redis has no such user; --client {name}=PRESET says what it may do")
            }
            Fault::SwitchedOff(name, place) => write!(f, "--client {name}: {place}: this user is off"),
            Fault::UpstreamUserTaken(place) => {
                write!(f, "{place}: Redis has a user respgate already, perhaps of an earlier time: take it away first")
            }
            Fault::TwoSources(place) => {
                write!(f, "{place}: Redis starts with no users in redis.conf where there is an ACL file")
            }
            Fault::User(place, message) => write!(f, "{place}: {message}"),
            Fault::RelativeAclFile(path) => write!(
                f,
                "aclfile {}: it starts in the directory where Redis was started, which is not known here: --aclfile FILE",
                path.display()
            ),
            Fault::Overruled(unit, option) => write!(
                f,
                "{unit}.service: ExecStart has --{option}, which overrules whatever redis.conf says: move it into redis.conf first"
            ),
            Fault::Rename(command) => {
                write!(f, "rename-command {command}: a configuration holds UTF-8 only, and the new name is none")
            }
            Fault::LongSocket(path) => {
                write!(f, "{}: too long for the path of a socket, which has at most 107 bytes", path.display())
            }
        }
    }
}
