//! `respgate doctor --from-outside`: how another host looks from here.

use std::path::PathBuf;

use clap::Args;

use super::{DoctorArgs, subject};
use crate::cli::Exit;
use crate::cli::say;
use crate::doctor::judge;
use crate::doctor::outside::{self, Equipment, Place};
use crate::doctor::{Report, Subject};
use crate::tls::LoadError;
use crate::tls::client::{Authorities, Credentials};

/// Which host, and what to look at it with.
#[derive(Debug, Args)]
pub struct OutsideArgs {
    /// Look from here at HOST and at nothing else: at its port 6379, and at that of respgate, 6380 or PORT
    #[arg(long, value_name = "HOST[:PORT]", conflicts_with_all = ["config", "compose", "checklist", "who"])]
    pub from_outside: Option<Place>,
    /// With --from-outside: a client's certificate that ought to be let in (PEM, with its intermediates)
    #[arg(long, value_name = "FILE", requires_all = ["key", "from_outside"])]
    pub cert: Option<PathBuf>,
    /// With --from-outside: the key of that certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// With --from-outside: the CAs that the server's certificate is held against (PEM)
    #[arg(long, value_name = "FILE", requires = "from_outside")]
    pub cacert: Option<PathBuf>,
}

/// Looks at a host that was named.
pub(super) fn look(place: &Place, arguments: &DoctorArgs) -> Result<Report, Exit> {
    if arguments.configuration.flags.are_given() {
        say::error("--from-outside looks at no configuration, and goes with none of its settings");
        return Err(Exit::Usage);
    }
    let OutsideArgs { cert, key, cacert, .. } = &arguments.outside;
    let credentials = cert.as_deref().zip(key.as_deref()).map(|(cert, key)| Credentials::read(cert, key));
    let authorities = cacert.as_deref().map(Authorities::read);
    let equipment = Equipment {
        credentials: credentials.transpose().map_err(|errors| tell(&errors))?,
        authorities: authorities.transpose().map_err(|errors| tell(&errors))?,
    };
    let subject = Subject { host: place.host.clone(), ..subject() };
    let seen = outside::look(place, &equipment, subject.time);
    Ok(Report::new(subject, judge::outside(&place.host, &seen)))
}

fn tell(errors: &[LoadError]) -> Exit {
    errors.iter().for_each(say::error);
    if errors.iter().any(LoadError::is_permission) { Exit::Permission } else { Exit::Configuration }
}
