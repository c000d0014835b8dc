use tempfile::TempDir;

use super::*;

const MIB: u64 = 1 << 20;
const UNIFIED: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
const LEGACY: &str = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory";
/// What version 1 says where there is no limit.
const NO_LIMIT: u64 = 9_223_372_036_854_771_712;

/// A file system with these files.
fn tree(cgroup: &str, mountinfo: &str, files: &[(&str, &str)]) -> TempDir {
    let root = TempDir::new().unwrap();
    let fixed = [("proc/self/cgroup", cgroup), ("proc/self/mountinfo", mountinfo)];
    for (file, content) in fixed.iter().chain(files) {
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    root
}

/// The limit in MiB, and where it was found.
fn found(cgroup: &str, mountinfo: &str, files: &[(&str, &str)]) -> Option<(u64, String)> {
    let limit = memory_limit(tree(cgroup, mountinfo, files).path())?;
    Some((limit.bytes / MIB, limit.source.display().to_string()))
}

fn at(mib: u64, file: &str) -> Option<(u64, String)> {
    Some((mib, file.to_owned()))
}

#[test]
fn under_version_2_the_smallest_limit_of_the_own_group_and_those_above_counts() {
    let cgroup = "0::/system.slice/respgate.service\n";
    let own = ("sys/fs/cgroup/system.slice/respgate.service/memory.max", "536870912\n");
    let slice = ("sys/fs/cgroup/system.slice/memory.max", "268435456\n");
    let other = ("sys/fs/cgroup/system.slice/other.service/memory.max", "1048576\n");
    assert_eq!(
        found(cgroup, UNIFIED, &[own, other]),
        at(512, "/sys/fs/cgroup/system.slice/respgate.service/memory.max")
    );
    assert_eq!(found(cgroup, UNIFIED, &[own, slice, other]), at(256, "/sys/fs/cgroup/system.slice/memory.max"));
    assert_eq!(found(cgroup, UNIFIED, &[(own.0, "max\n"), slice]), at(256, "/sys/fs/cgroup/system.slice/memory.max"));
    assert_eq!(found(cgroup, UNIFIED, &[(own.0, "max\n"), (slice.0, "max\n")]), None);
}

#[test]
fn under_version_1_the_group_of_the_memory_controller_counts() {
    let cgroup = "5:cpu,cpuacct:/elsewhere\n4:memory:/apps/respgate\n1:name=systemd:/user.slice\n";
    let own = ("sys/fs/cgroup/memory/apps/respgate/memory.limit_in_bytes", "134217728\n");
    let none = NO_LIMIT.to_string();
    let above = ("sys/fs/cgroup/memory/apps/memory.limit_in_bytes", none.as_str());
    let root = ("sys/fs/cgroup/memory/memory.limit_in_bytes", none.as_str());
    let other = ("sys/fs/cgroup/memory/elsewhere/memory.limit_in_bytes", "1048576\n");
    let cpu = "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n";
    let mountinfo = format!("{cpu}{LEGACY}\n");
    let expected = at(128, "/sys/fs/cgroup/memory/apps/respgate/memory.limit_in_bytes");
    assert_eq!(found(cgroup, &mountinfo, &[own, above, root, other]), expected);
    let slice = (above.0, "67108864\n");
    assert_eq!(
        found(cgroup, &mountinfo, &[own, slice, root]),
        at(64, "/sys/fs/cgroup/memory/apps/memory.limit_in_bytes")
    );
}

#[test]
fn a_container_with_a_namespace_of_its_own_is_at_the_root_of_what_it_sees() {
    let limit = ("sys/fs/cgroup/memory.max", "100663296\n");
    assert_eq!(found("0::/\n", UNIFIED, &[limit]), at(96, "/sys/fs/cgroup/memory.max"));
    // Who has joined the container from outside.
    assert_eq!(found("0::/../other\n", UNIFIED, &[limit]), at(96, "/sys/fs/cgroup/memory.max"));
}

#[test]
fn a_container_without_one_sees_its_own_group_at_the_mount() {
    let mount = "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
    let limit = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "100663296\n");
    let inner = ("sys/fs/cgroup/memory/inner/memory.limit_in_bytes", "33554432\n");
    let root = "/sys/fs/cgroup/memory/memory.limit_in_bytes";
    assert_eq!(found("4:memory:/docker/abc\n", mount, &[limit, inner]), at(96, root));
    let own = at(32, "/sys/fs/cgroup/memory/inner/memory.limit_in_bytes");
    assert_eq!(found("4:memory:/docker/abc/inner\n", mount, &[limit, inner]), own);
    assert_eq!(found("4:memory:/docker/abcd\n", mount, &[limit, inner]), at(96, root));
}

#[test]
fn on_a_hybrid_host_both_versions_count_where_they_are_mounted() {
    let cgroup = "4:memory:/apps\n0::/user.slice\n";
    let mountinfo = format!("{LEGACY}\n41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    let legacy = ("sys/fs/cgroup/memory/apps/memory.limit_in_bytes", "134217728\n");
    let unified = ("sys/fs/cgroup/unified/user.slice/memory.max", "67108864\n");
    let expected = at(128, "/sys/fs/cgroup/memory/apps/memory.limit_in_bytes");
    assert_eq!(found(cgroup, &mountinfo, &[legacy]), expected);
    assert_eq!(found(cgroup, &mountinfo, &[legacy, (unified.0, "max\n")]), expected);
    assert_eq!(found(cgroup, &mountinfo, &[legacy, unified]), at(64, "/sys/fs/cgroup/unified/user.slice/memory.max"));
}

#[test]
fn what_is_not_there_limits_nothing() {
    assert_eq!(memory_limit(TempDir::new().unwrap().path()), None);
    assert_eq!(found("0::/gone/away\n", UNIFIED, &[]), None);
    assert_eq!(found("", "no such line\n1 2 - \n - cgroup2\n", &[]), None);
    let above = ("sys/fs/cgroup/gone/memory.max", "67108864\n");
    assert_eq!(found("0::/gone/away\n", UNIFIED, &[above]), at(64, "/sys/fs/cgroup/gone/memory.max"));
}

#[test]
fn without_a_list_of_mounts_they_are_looked_for_where_they_usually_are() {
    let unified = ("sys/fs/cgroup/a/memory.max", "67108864\n");
    assert_eq!(found("0::/a\n", "", &[unified]), at(64, "/sys/fs/cgroup/a/memory.max"));
    let legacy = ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "33554432\n");
    let expected = at(32, "/sys/fs/cgroup/memory/a/memory.limit_in_bytes");
    assert_eq!(found("4:memory:/a\n", "", &[legacy]), expected);
}

#[test]
fn a_mount_with_a_blank_in_its_name_is_found() {
    let mount = "30 23 0:26 / /run/control\\040groups rw - cgroup2 cgroup2 rw\n";
    let limit = ("run/control groups/a/memory.max", "67108864\n");
    assert_eq!(found("0::/a\n", mount, &[limit]), at(64, "/run/control groups/a/memory.max"));
}
