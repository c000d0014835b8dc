use super::*;
use crate::config::redis_conf;
use crate::files::Files;

/// What comes of a redis.conf with these lines, and of an ACL file.
fn cutover_of(platform: Platform, conf: &str, acl: Option<&str>) -> Result<Cutover, Vec<Fault>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("redis.conf");
    std::fs::write(&path, conf).unwrap();
    let text = redis_conf(&path, &Files::default());
    assert!(text.errors.is_empty(), "{:?}", text.errors);
    let acl = acl.map(|text| AclText { path: "/etc/redis/users.acl".into(), text: text.to_owned().into() });
    let conf = "/etc/redis/redis.conf".into();
    let redis = FoundRedis { conf, text, acl, group: "redis".into(), unit: "redis-server".into(), starts: Vec::new() };
    let place = Place {
        folder: "/gate".into(),
        today: "2026-11-30".into(),
        program: "/usr/bin/respgate".into(),
        user: 0,
        has_units: true,
        password: "random".to_owned().into(),
    };
    Cutover::of(&redis, platform, "user respgate on #hash ~* &* +@all", &place)
}

fn of(conf: &str) -> Cutover {
    cutover_of(Platform::Systemd, conf, None).ok().unwrap()
}

fn file<'a>(cutover: &'a Cutover, name: &str) -> Option<&'a str> {
    let path = Path::new("redis").join(name);
    cutover.files.iter().find(|file| file.path == path).map(|file| file.text.as_str())
}

fn lines(cutover: &Cutover, name: &str) -> Vec<String> {
    file(cutover, name).unwrap().lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn the_first_step_takes_nothing_away_and_the_second_closes_everything_else() {
    let cutover = of("bind 0.0.0.0\nport 6379\ntls-port 6390\n");
    let socket = ["unixsocket /run/redis/redis.sock", "unixsocketperm 770"];
    let user = "user respgate on #hash ~* &* +@all";
    assert_eq!(lines(&cutover, "step1.conf"), [&socket[..], &[user]].concat());
    let closed = ["port 0", "tls-port 0"];
    assert_eq!(lines(&cutover, "step2.conf"), [&closed[..], &socket, &["user default off", user]].concat());
}

#[test]
fn a_socket_that_is_there_is_kept_and_stays_open_to_all_until_the_second_step() {
    for (perm, step1, step2) in [("777", "777", "770"), ("700", "770", "770"), ("770", "770", "770")] {
        let cutover = of(&format!("unixsocket /srv/r.sock\nunixsocketperm {perm}\n"));
        assert_eq!(lines(&cutover, "step1.conf")[..2], ["unixsocket /srv/r.sock", &format!("unixsocketperm {step1}")]);
        assert_eq!(lines(&cutover, "step2.conf")[1..3], ["unixsocket /srv/r.sock", &format!("unixsocketperm {step2}")]);
        assert_eq!(cutover.socket, Path::new("/srv/r.sock"));
    }
}

#[test]
fn a_new_socket_is_where_the_unit_of_redis_has_a_folder() {
    for (conf, socket) in [
        ("pidfile /run/redis-cache/redis.pid\n", "/run/redis-cache/redis.sock"),
        ("pidfile /var/run/redis_6379.pid\n", "/run/redis/redis.sock"),
        ("pidfile /tmp/redis.pid\n", "/run/redis/redis.sock"),
        ("", "/run/redis/redis.sock"),
    ] {
        assert_eq!(of(conf).socket, Path::new(socket), "{conf}");
    }
    let bare = |conf| cutover_of(Platform::Bare, conf, None).ok().unwrap().socket;
    assert_eq!(bare("dir /var/lib/redis\n"), Path::new("/var/lib/redis/redis.sock"));
    assert_eq!(bare(""), Path::new("/gate/redis/redis.sock"));
}

#[test]
fn the_users_of_an_acl_file_stay_until_the_second_step() {
    let acl = "# ours\nuser default on >old ~* +@all\nuser web on >geheim ~web:* +@read\n";
    let cutover = cutover_of(Platform::Systemd, "aclfile /etc/redis/users.acl\n", Some(acl)).ok().unwrap();
    let user = "user respgate on #hash ~* &* +@all\n";
    assert_eq!(file(&cutover, "users.step1.acl").unwrap(), format!("{acl}{user}"));
    assert_eq!(file(&cutover, "users.step2.acl").unwrap(), format!("user default off\n{user}"));
    for step in ["step1.conf", "step2.conf"] {
        assert!(lines(&cutover, step).iter().all(|line| !line.starts_with("user ")), "{step}");
    }
}

#[test]
fn users_are_taken_over_without_their_passwords() {
    let hash = "0".repeat(64);
    let conf = format!("user web on nopass >geheim #{hash} ~web:* (%R~a +get) +@read -@all +get\nuser old off +get\n");
    let cutover = of(&conf);
    let users: Vec<_> = cutover.users.iter().map(|user| (user.line.as_str(), user.is_on)).collect();
    let web = "user web on ~web:* (%R~a +get) +@read -@all +get";
    assert_eq!(users, [(web, true), ("user old off +get", false)]);
    assert!(cutover.has_passwords);
}

#[test]
fn lines_of_users_are_commented_out_however_they_are_quoted() {
    assert!(of("requirepass a\n").lines_out().is_empty());
    let users = ["user default on nopass", "user \"default\" on", "\"user\" web on", "'USER' a off", "  User\tb off"];
    let others = ["userdata 1", "# user old on", "port 6379", "user-data 2"];
    for user in users {
        let [line] = &of(&format!("{user}\n")).lines_out()[..] else { panic!("{user}") };
        let folder = tempfile::tempdir().unwrap();
        let conf = folder.path().join("redis.conf");
        std::fs::write(&conf, format!("{user}\n{}\n", others.join("\n"))).unwrap();
        let script = line.split('\'').nth(1).unwrap();
        let sed = std::process::Command::new("sed").args(["-i", "-E", script]).arg(&conf).status().unwrap();
        assert!(sed.success());
        let left = std::fs::read_to_string(&conf).unwrap();
        assert_eq!(left, format!("# {user}\n{}\n", others.join("\n")));
    }
}

#[test]
fn what_cannot_be_taken_over_is_said_with_its_place() {
    let fault = |conf, acl| match cutover_of(Platform::Systemd, conf, acl) {
        Ok(_) => panic!("{conf}"),
        Err(faults) => faults[0].to_string(),
    };
    assert!(fault("\nuser respgate on +get\n", None).contains("redis.conf:2: Redis has a user respgate already"));
    let wrong = fault("", Some("user web on +nosuch|a|b +gett)\n"));
    assert!(wrong.starts_with("/etc/redis/users.acl:1: "), "{wrong}");
    assert!(fault("user web on +get\n", Some("")).contains("redis.conf:1: Redis starts with no users in redis.conf"));
}

#[test]
fn what_redis_is_told_before_it_is_stopped_has_its_passwords_and_its_names_for_commands() {
    let words = |platform, conf| cutover_of(platform, conf, None).ok().map(|cutover| lines_of_words(&cutover)).unwrap();
    fn lines_of_words(cutover: &Cutover) -> Option<[String; 2]> {
        Some([file(cutover, "step1.commands")?.to_owned(), file(cutover, "step2.commands")?.to_owned()])
    }
    assert_eq!(words(Platform::Systemd, "requirepass a\n"), None, "the unit stops it, and it saves its data");
    let own = |last: &str| format!("AUTH respgate random\n{last}\n");
    let saved = ["AUTH \"a b\"\nSAVE\n".to_owned(), own("SAVE")];
    assert_eq!(words(Platform::Systemd, "requirepass \"a b\"\nsave \"\"\n"), Some(saved));
    let stopped = ["EXIT SAVE\n".to_owned(), own("EXIT SAVE")];
    assert_eq!(words(Platform::Bare, "rename-command SHUTDOWN EXIT\n"), Some(stopped));
}

#[test]
fn redis_cli_goes_where_redis_listens() {
    let reach = |conf| match of(conf).reach {
        Some(Reach::Tcp(host, port)) => format!("{host} {port}"),
        Some(Reach::Unix(socket)) => socket.display().to_string(),
        None => "nowhere".to_owned(),
    };
    assert_eq!(reach(""), "127.0.0.1 6379");
    assert_eq!(reach("bind 192.0.2.1 127.0.0.1\nport 7001\n"), "127.0.0.1 7001");
    assert_eq!(reach("bind 192.0.2.1 -::1\n"), "192.0.2.1 6379");
    assert_eq!(reach("bind * -::*\n"), "127.0.0.1 6379");
    assert_eq!(reach("unixsocket /r.sock\n"), "/r.sock");
    assert_eq!(reach("port 0\ntls-port 6379\n"), "nowhere");
}

#[test]
fn every_line_that_changes_is_shown_and_no_password() {
    let cutover = of("bind 10.0.0.1\nbind 0.0.0.0\nrequirepass hunter2\nrename-command CONFIG hidden\nmaxmemory 1gb\n\
                      user web on >geheim +get\n");
    let shown: Vec<_> = cutover
        .changes
        .iter()
        .map(|change| format!("{} {} {} {}", change.number, change.line, change.becomes, change.step))
        .collect();
    let wanted = [
        "2 bind 0.0.0.0 port 0, unixsocket step 2",
        "3 requirepass … user default off step 2",
        "4 rename-command CONFIG … kept, declared in [rename] ",
        "6 user web … out; in users.acl, without passwords step 2",
    ];
    assert_eq!(shown, wanted);
}

#[test]
fn what_no_step_mends_is_remarked() {
    let said = |conf| of(conf).remarks.join("; ");
    assert!(said("requirepass ${REDIS_PASSWORD}\n").contains("${REDIS_PASSWORD} itself is the password"));
    assert!(said("save \"\"\n").contains("it keeps nothing over a restart"));
    assert_eq!(said("save \"\"\nappendonly yes\n"), "");
    assert!(said("replicaof 192.0.2.9 6379\n").contains(":1: it is a replica"));
    assert!(said("cluster-enabled yes\n").contains("part of a cluster"));
}
