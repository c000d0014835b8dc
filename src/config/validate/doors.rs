//! The doors: where the proxy is asked, and by whom.

use std::net::{IpAddr, SocketAddr};

use super::judge::Judge;
use crate::config::model::{AdminAddress, ListenAddress, Listener, MetricsDoor};
use crate::config::raw::Settings;
use crate::config::setting::Setting;
use crate::config::units::{listen_address, network, socket_address};

/// What names groups.
const GROUPS: &str = "/etc/group";

impl Judge<'_> {
    pub(super) fn admin_listen(&mut self, setting: Option<Setting>) -> Option<AdminAddress> {
        let Some(setting) = setting else {
            return Some(AdminAddress::Unix(self.host.runtime_directory.join("respgate.sock")));
        };
        if setting.text == "off" {
            return None;
        }
        if !is_address(&setting.text) {
            return self.socket_path(setting).map(AdminAddress::Unix);
        }
        let address = self.read(Some(setting.clone()), socket_address)?;
        if !address.ip().is_loopback() {
            let beyond = "beyond loopback anybody could ask: metrics-listen is for that, with what everybody may know";
            self.error(&setting.origin, beyond);
        }
        Some(AdminAddress::Tcp(address))
    }

    /// The group that may open the admin socket, by its number.
    pub(super) fn admin_socket_group(&mut self, setting: Option<Setting>, admin: Option<&AdminAddress>) -> Option<u32> {
        let origin = setting.as_ref()?.origin.clone();
        if !matches!(admin, Some(AdminAddress::Unix(_))) {
            self.warn(&origin, "`admin-socket-group` changes nothing: there is no admin socket");
        }
        self.read(setting, group)
    }

    pub(super) fn metrics_door(&mut self, settings: &mut Settings, listeners: &[Listener]) -> Option<MetricsDoor> {
        let allow_origin = settings.metrics_allow.as_ref().and_then(|all| all.first()).map(|one| one.origin.clone());
        let allow = self.all(settings.metrics_allow.take(), network);
        let Some(setting) = settings.metrics_listen.take() else {
            if let Some(origin) = allow_origin {
                self.warn(&origin, "`metrics-allow` changes nothing without metrics-listen");
            }
            return None;
        };
        let (origin, every) = (setting.origin.clone(), self.host.every_address);
        let address = self.read(Some(setting), |text| metrics_address(text, every))?;
        if !address.ip().is_loopback() && allow_origin.is_none() {
            self.error(&origin, "beyond loopback it takes `metrics-allow`: say which networks may ask");
        }
        let is_taken = listeners.iter().any(|listener| listener.address == ListenAddress::Tcp(address));
        if address.port() != 0 && is_taken {
            self.error(&origin, format!("{address} is listened on twice"));
        }
        Some(MetricsDoor { address, allow })
    }
}

fn metrics_address(text: &str, every: IpAddr) -> Result<SocketAddr, String> {
    match listen_address(text, every)? {
        ListenAddress::Tcp(address) => Ok(address),
        ListenAddress::Inherited(_) => {
            Err("it is given up while the process drains, so it is not inherited".to_owned())
        }
    }
}

/// Whether an address is meant, and no path.
fn is_address(text: &str) -> bool {
    let port = text.rsplit_once(':').map(|(_, port)| port);
    !text.contains('/') && port.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A group by its name or its number.
pub(super) fn group(text: &str) -> Result<u32, String> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let groups = std::fs::read_to_string(GROUPS).map_err(|error| format!("{GROUPS}: cannot read it: {error}"))?;
    let named = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(text)).then(|| fields.nth(1)?.parse().ok())?
    });
    named.ok_or_else(|| format!("{text:?} is no group of {GROUPS}: its number is as good"))
}
