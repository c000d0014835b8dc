use super::*;
use crate::preset::preset;

fn place() -> Place {
    Place {
        folder: "/gate".into(),
        today: "2026-11-30".into(),
        program: "/opt/respgate".into(),
        user: 1000,
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
        listen: None,
        allow: Vec::new(),
        redis_conf: None,
        aclfile: None,
        redis_unit: None,
        image: None,
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
    FoundRedis { conf, text, acl: None, group: "redis".into(), unit: "redis-server".into(), starts: Vec::new() }
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
    for platform in [Platform::Bare, Platform::Systemd, Platform::Compose] {
        let wanted = Wanted { platform, ..wanted(vec![client("shop", "app")]) };
        let plan = Plan::of(&wanted, &place(), Some(&redis("requirepass old-secret\nsave \"\"\n"))).ok().unwrap();
        let shown = plan.files.iter().filter(|file| file.mode & 0o077 != 0).map(|file| file.text.as_str());
        let text: String = [plan.report(Path::new("/gate"), "then").as_str()].into_iter().chain(shown).collect();
        assert!(!text.contains("old-secret") && !text.contains("random"), "{text}");
    }
}

#[test]
fn what_a_place_has_no_use_for_is_a_fault() {
    let of = |platform| Wanted { platform, ..wanted(vec![client("shop", "app")]) };
    let listen = Some("127.0.0.1:1".parse().unwrap());
    for (wanted, flag) in [
        (Wanted { image: Some("a".to_owned()), ..of(Platform::Bare) }, "--image"),
        (Wanted { redis_unit: Some("a".to_owned()), ..of(Platform::Compose) }, "--redis-unit"),
        (Wanted { listen, ..of(Platform::Kubernetes) }, "--listen"),
    ] {
        assert_eq!(Plan::of(&wanted, &place(), None).err(), Some(vec![Fault::Useless(flag)]));
    }
}

#[test]
fn in_containers_redis_keeps_what_was_set_and_nothing_of_its_host() {
    let wanted = Wanted { platform: Platform::Compose, ..wanted(vec![client("shop", "app")]) };
    let conf = "bind 10.0.0.1\nport 7001\ndir /var/lib/redis\nrequirepass \"a b\"\nmaxmemory 1gb\n\
                rename-command CONFIG \"\"\nuser web on >geheim +get\n";
    let plan = Plan::of(&wanted, &place(), Some(&redis(conf))).ok().unwrap();
    let [first, second] = ["redis/step1.conf", "redis/step2.conf"].map(|name| file(&plan, name));
    for text in [&first, &second] {
        assert!(text.contains("\nmaxmemory 1gb\nrename-command CONFIG \"\"\ndir /data\n"), "{text}");
        assert!(!text.contains("7001") && !text.contains("10.0.0.1"), "{text}");
    }
    assert!(first.contains("\nport 6379\n") && first.contains("\nrequirepass \"a b\"\nuser web on >geheim +get\n"));
    assert!(second.contains("\nport 0\nuser default off\n") && !second.contains("geheim") && !second.contains("a b"));
}

#[test]
fn under_compose_redis_has_a_port_in_the_first_step_alone() {
    let wanted = Wanted { platform: Platform::Compose, ..wanted(vec![client("shop", "app")]) };
    let plan = Plan::of(&wanted, &place(), Some(&redis("port 6379\n"))).ok().unwrap();
    let [first, second] = ["deploy/compose.step1.yaml", "deploy/compose.yaml"].map(|name| file(&plan, name));
    assert!(first.contains(":6379:6379") && !second.contains("6379"), "{second}");
    assert_eq!([&first, &second].map(|text| text.matches("network_mode: none").count()), [1, 2]);
    for text in [first, second] {
        assert!(text.contains("user: \"1000:65532\"") && !text.contains("certs-example"), "{text}");
    }
    let public = Wanted { listen: Some("192.0.2.7:7000".parse().unwrap()), ..wanted };
    let plan = Plan::of(&public, &Place { user: 0, ..place() }, None).ok().unwrap();
    let text = file(&plan, "deploy/compose.yaml");
    assert!(text.contains("- \"192.0.2.7:7000:6380\"") && text.contains("user: \"65532:65532\""), "{text}");
}

#[test]
fn in_kubernetes_those_who_may_connect_are_in_the_policy_and_files_in_a_map() {
    let allow = vec!["10.0.0.0/8".parse().unwrap()];
    let wanted = Wanted { platform: Platform::Kubernetes, allow, ..wanted(vec![client("shop", "app")]) };
    let plan = Plan::of(&wanted, &place(), None).ok().unwrap();
    let manifest = file(&plan, "deploy/redis.yaml");
    assert!(manifest.contains("        - ipBlock:\n            cidr: 10.0.0.0/8\n      ports:"), "{manifest}");
    let map = file(&plan, "deploy/config.yaml");
    let indented: String = file(&plan, "config/users.acl").lines().map(|line| format!("    {line}\n")).collect();
    assert!(map.replace("\n\n", "\n    \n").contains(&indented), "{map}");
    assert!(plan.server_names.contains(&"redis.default.svc".to_owned()));
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
