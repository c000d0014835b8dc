use super::*;
use crate::preset::preset;

fn place() -> Place {
    Place {
        folder: "/gate".into(),
        today: "2026-11-30".into(),
        program: "/opt/respgate".into(),
        has_units: false,
        password: "random".to_owned().into(),
    }
}

fn client(name: &str, wanted: &str) -> Client {
    Client { name: name.to_owned(), rights: Rights::Preset(preset(wanted).unwrap(), None) }
}

fn wanted(clients: Vec<Client>) -> Wanted {
    Wanted {
        folder: "/gate".into(),
        platform: Platform::Bare,
        server_names: vec!["redis.example".to_owned()],
        clients,
        listen: "0.0.0.0:6380".parse().unwrap(),
        allow: Vec::new(),
        redis_conf: None,
        aclfile: None,
        redis_unit: None,
    }
}

fn file(plan: &Plan, path: &str) -> String {
    plan.files.iter().find(|file| file.path == Path::new(path)).map(|file| file.text.to_string()).unwrap()
}

fn redis(conf: &str) -> FoundRedis {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("redis.conf");
    std::fs::write(&path, conf).unwrap();
    let text = crate::config::redis_conf(&path, &crate::files::Files::default());
    let conf = "/etc/redis/redis.conf".into();
    FoundRedis { conf, text, acl: None, group: "redis".into(), unit: "redis-server".into() }
}

#[test]
fn what_presets_need_stands_in_one_block_and_exempt_users_need_their_certificate() {
    let clients = vec![client("shop", "celery"), client("jobs", "rq"), client("ops", "admin"), client("a.b", "admin")];
    let plan = Plan::of(&wanted(clients), &place(), None).ok().unwrap();
    let settings: toml::Table = file(&plan, "etc/respgate.toml").parse().unwrap();
    let expected: toml::Table = "[block]\nexempt-users = ['ops', 'a.b']\nscripting-users = ['shop', 'jobs']\n\
                                 [[certificate]]\ncn = 'ops'\nuser = 'ops'\n[[certificate]]\ncn = 'a.b'\nuser = 'a.b'\n\
                                 [user.ops]\ncertificate = 'required'\n[user.'a.b']\ncertificate = 'required'\n"
        .parse()
        .unwrap();
    for key in ["block", "certificate", "user"] {
        assert_eq!(settings[key], expected[key]);
    }
    assert_eq!(settings.get("stray-auth"), None, "nobody had a password");
}

#[test]
fn passwords_that_clients_go_on_sending_are_ignored_with_the_day() {
    let plan =
        Plan::of(&wanted(vec![client("shop", "app")]), &place(), Some(&redis("requirepass old\n"))).ok().unwrap();
    let text = file(&plan, "etc/respgate.toml");
    assert!(text.contains("# 2026-11-30: clients of Redis send a password today."), "{text}");
    assert_eq!(text.parse::<toml::Table>().unwrap()["stray-auth"].as_str(), Some("ignore"));
}

#[test]
fn commands_keep_the_names_that_redis_gave_them() {
    let conf = "rename-command CONFIG hidden\nrename-command FLUSHALL \"\"\n";
    let plan = Plan::of(&wanted(vec![client("shop", "app")]), &place(), Some(&redis(conf))).ok().unwrap();
    let settings: toml::Table = file(&plan, "etc/respgate.toml").parse().unwrap();
    let expected: toml::Table = "CONFIG = 'hidden'\nFLUSHALL = ''\n".parse().unwrap();
    assert_eq!(settings["rename"].as_table(), Some(&expected));
    let faults = Plan::of(&wanted(vec![client("shop", "app")]), &place(), Some(&redis("rename-command A \"\\xff\"\n")));
    assert_eq!(faults.err(), Some(vec![Fault::Rename("A".to_owned())]));
}

#[test]
fn a_client_without_a_preset_may_do_what_redis_lets_it_do() {
    let as_at_redis = |name: &str| Client { name: name.to_owned(), rights: Rights::AsAtRedis };
    let found = redis("user web on >geheim ~web:* +@read\nuser old off +get\nuser other on +get\n");
    let plan = |clients| Plan::of(&wanted(clients), &place(), Some(&found));
    let users = file(&plan(vec![as_at_redis("web")]).ok().unwrap(), "etc/users.acl");
    assert!(users.contains("\nuser web on ~web:* +@read\n") && users.contains("\nuser other on +get\n"), "{users}");
    assert!(!users.contains("geheim") && !users.contains("user old"), "{users}");
    for (name, fault) in [
        ("nobody", Fault::NoSuchUser("nobody".to_owned())),
        ("default", Fault::Reserved("default".to_owned())),
        ("server", Fault::Reserved("server".to_owned())),
    ] {
        assert_eq!(plan(vec![as_at_redis(name)]).err(), Some(vec![fault]));
    }
    assert!(matches!(plan(vec![as_at_redis("old")]).err().unwrap()[0], Fault::SwitchedOff(..)));
    let both = plan(vec![as_at_redis("web"), client("web", "app")]).err();
    assert_eq!(both, Some(vec![Fault::TwiceNamed("web".to_owned())]));
}

#[test]
fn every_fault_of_a_client_is_told() {
    let faults = Plan::of(&wanted(vec![client("a*", "app"), client("b b", "app")]), &place(), None).err().unwrap();
    assert_eq!(faults.len(), 2);
}

#[test]
fn those_who_may_connect_are_in_the_configuration_and_in_all_rules() {
    let allow = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap()).to_vec();
    let plan = Plan::of(&Wanted { allow, ..wanted(vec![client("shop", "app")]) }, &place(), None).ok().unwrap();
    assert!(file(&plan, "etc/respgate.toml").contains("allow = [\"10.0.0.0/8\", \"fd00::/8\"]"));
    for (name, four, six) in [
        ("respgate.nft", "ip saddr { 10.0.0.0/8 } accept", "ip6 saddr { fd00::/8 } accept"),
        ("ufw.sh", "from 10.0.0.0/8 to any port 6380", "from fd00::/8 to any port 6380"),
    ] {
        let rules = file(&plan, &format!("firewall/{name}"));
        assert!(rules.contains(four) && rules.contains(six), "{rules}");
    }
    for (name, own, other) in [("iptables", "10.0.0.0/8", "fd00"), ("ip6tables", "fd00::/8", "10.0")] {
        let rules = file(&plan, &format!("firewall/{name}.rules"));
        assert!(rules.contains(&format!("-s {own} -j RETURN")) && !rules.contains(other), "{rules}");
    }
    let open = Plan::of(&wanted(vec![client("shop", "app")]), &place(), None).ok().unwrap();
    assert!(open.files.iter().all(|file| !file.path.starts_with("firewall")));
}

#[test]
fn the_server_is_known_by_the_names_that_were_given_first_and_by_those_of_its_own_host() {
    let plan = Plan::of(&wanted(vec![client("shop", "app")]), &place(), None).ok().unwrap();
    assert_eq!(plan.server_names, ["redis.example", "localhost", "127.0.0.1", "::1"]);
    let url = "rediss://redis.example:6380/0?ssl_cert_reqs=required&ssl_ca_certs=ca.crt&ssl_certfile=shop.crt&\
               ssl_keyfile=shop.key\n";
    assert_eq!(file(&plan, "clients/shop/url.txt"), url);
}

#[test]
fn no_password_is_in_what_is_printed_or_shown_to_others() {
    for platform in [Platform::Bare, Platform::Systemd] {
        let wanted = Wanted { platform, ..wanted(vec![client("shop", "app")]) };
        let plan = Plan::of(&wanted, &place(), Some(&redis("requirepass old-secret\nsave \"\"\n"))).ok().unwrap();
        let shown = plan.files.iter().filter(|file| file.mode & 0o077 != 0).map(|file| file.text.as_str());
        let text: String = [plan.report(Path::new("/gate"), "then").as_str()].into_iter().chain(shown).collect();
        assert!(!text.contains("old-secret") && !text.contains("random"), "{text}");
    }
}

#[test]
fn under_systemd_there_has_to_be_a_redis() {
    let wanted = Wanted { platform: Platform::Systemd, ..wanted(vec![client("shop", "app")]) };
    assert_eq!(Plan::of(&wanted, &place(), None).err(), Some(vec![Fault::NoRedis]));
}

#[test]
fn a_socket_whose_path_is_too_long_is_a_fault() {
    let place = Place { folder: Path::new("/").join("d".repeat(100)), ..place() };
    let faults = Plan::of(&wanted(vec![client("shop", "app")]), &place, None).err().unwrap();
    assert!(matches!(faults[..], [Fault::LongSocket(_)]));
}

#[test]
fn a_package_that_is_installed_is_not_installed_again() {
    let wanted = Wanted { platform: Platform::Systemd, ..wanted(vec![client("shop", "app")]) };
    let place = Place { has_units: true, program: "/usr/bin/respgate".into(), ..place() };
    let plan = Plan::of(&wanted, &place, Some(&redis("port 6379\n"))).ok().unwrap();
    let units: Vec<_> = plan.files.iter().filter(|file| file.path.starts_with("deploy")).collect();
    assert!(matches!(units[..], [file] if file.path.ends_with("redis-socket.conf")));
    assert!(!plan.next().contains("/usr/bin/respgate") && !plan.next().contains("sysusers"), "{}", plan.next());
}
