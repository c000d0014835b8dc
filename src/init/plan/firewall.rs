//! Rules that let those connect who may: one file for each of the usual tools.

use ipnet::IpNet;

use super::{PlannedFile, Platform, Wanted};

/// The rules; none where everybody may connect.
pub(super) fn files(wanted: &Wanted) -> Vec<PlannedFile> {
    if wanted.allow.is_empty() || wanted.platform == Platform::Kubernetes {
        return Vec::new();
    }
    let (allow, port) = (&wanted.allow, wanted.address().port());
    let of_version = |is_of_version: fn(&&IpNet) -> bool| -> Vec<String> {
        allow.iter().filter(is_of_version).map(ToString::to_string).collect()
    };
    let v4 = of_version(|network| matches!(network, IpNet::V4(_)));
    let v6 = of_version(|network| matches!(network, IpNet::V6(_)));
    let [iptables4, iptables6] = [&v4, &v6].map(|networks| iptables(networks, port, wanted.platform));
    let of_iptables = [
        PlannedFile::public("firewall/iptables.rules", iptables4),
        PlannedFile::public("firewall/ip6tables.rules", iptables6),
    ];
    // What is published goes past the rules of nftables and ufw.
    if wanted.platform == Platform::Compose {
        return of_iptables.into();
    }
    let mut files = vec![
        PlannedFile::public("firewall/respgate.nft", nft(&v4, &v6, port)),
        PlannedFile::public("firewall/ufw.sh", ufw(allow, port)),
    ];
    files.extend(of_iptables);
    files
}

/// The lines that put one of them in force, for whoever has that tool.
pub(super) fn lines(platform: Platform, folder: &str) -> Vec<String> {
    let iptables = format!(
        "iptables-restore -n {folder}/firewall/iptables.rules && ip6tables-restore -n {folder}/firewall/ip6tables.rules"
    );
    if platform == Platform::Compose {
        return vec![format!("# firewall: {iptables}")];
    }
    vec![
        format!("# firewall, with nftables: nft -f {folder}/firewall/respgate.nft"),
        format!("# with iptables: {iptables}"),
        format!("# with ufw: sh {folder}/firewall/ufw.sh"),
    ]
}

fn nft(v4: &[String], v6: &[String], port: u16) -> String {
    let rule = |family: &str, networks: &[String]| match networks {
        [] => String::new(),
        networks => format!("        tcp dport {port} {family} saddr {{ {} }} accept\n", networks.join(", ")),
    };
    format!(
        "# nft -f replaces the table as a whole.\ntable inet respgate\ndelete table inet respgate\n\
         table inet respgate {{\n    chain input {{\n        type filter hook input priority filter; policy accept;\n\
         {accept_local}{v4}{v6}        tcp dport {port} drop\n    }}\n}}\n",
        accept_local = format_args!("        tcp dport {port} iifname \"lo\" accept\n"),
        v4 = rule("ip", v4),
        v6 = rule("ip6", v6),
    )
}

/// For iptables-restore -n, which leaves all other chains alone.
fn iptables(networks: &[String], port: u16, platform: Platform) -> String {
    // To Docker's chain comes what goes on to containers, with the port that it had before.
    let jump = match platform {
        Platform::Compose => format!("-I DOCKER-USER -p tcp -m conntrack --ctorigdstport {port} --ctdir ORIGINAL"),
        _ => format!("-I INPUT -p tcp --dport {port}"),
    };
    let accept: String = networks.iter().map(|network| format!("-A RESPGATE -s {network} -j RETURN\n")).collect();
    format!(
        "*filter\n:RESPGATE - [0:0]\n-A RESPGATE -i lo -j RETURN\n{accept}-A RESPGATE -j DROP\n\
         {jump} -j RESPGATE\nCOMMIT\n"
    )
}

fn ufw(allow: &[IpNet], port: u16) -> String {
    let rule = |network: &IpNet| format!("ufw allow proto tcp from {network} to any port {port}\n");
    let allowed: String = allow.iter().map(rule).collect();
    format!("#!/bin/sh\nset -eu\n{allowed}ufw deny proto tcp from any to any port {port}\n")
}
