//! The keys themselves: those that the Compose of Debian 13 takes (2.26, by the schema in its program; a test
//! compares), each with what may stand there: a text or number (`s`), a list (`l`), a mapping (`m`).

/// A place where keys stand.
pub(super) struct Place {
    /// What the others call it.
    pub name: &'static str,
    /// Its keys.
    pub keys: &'static str,
    /// Those that came later.
    pub later: &'static str,
    /// Where Compose's schema has it, as a JSON pointer.
    #[cfg_attr(not(test), allow(dead_code))]
    pub pointer: &'static str,
}

/// The keys of such a text, each with what may stand there.
pub(super) fn rows(keys: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    keys.split(' ').filter_map(|key| key.split_once('/'))
}

/// How one place stands in another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Below {
    /// The value of a key.
    Value,
    /// Each value of a mapping, or each entry of a list.
    Each,
}

const fn place(name: &'static str, pointer: &'static str, keys: &'static str, later: &'static str) -> Place {
    Place { name, keys, later, pointer }
}

const SERVICE: &str = "annotations/lm attach/s blkio_config/m build/sm cap_add/l cap_drop/l cgroup/s cgroup_parent/s command/sl configs/l \
    container_name/s cpu_count/s cpu_percent/s cpu_period/s cpu_quota/s cpu_rt_period/s cpu_rt_runtime/s cpu_shares/s cpus/s cpuset/s \
    credential_spec/m depends_on/lm deploy/m develop/m device_cgroup_rules/l devices/l dns/sl dns_opt/l dns_search/sl domainname/s \
    entrypoint/sl env_file/sl environment/lm expose/l extends/sm external_links/l extra_hosts/lm gpus/sl group_add/l healthcheck/m \
    hostname/s image/s init/s ipc/s isolation/s label_file/sl labels/lm links/l logging/m mac_address/s mem_limit/s mem_reservation/s \
    mem_swappiness/s memswap_limit/s network_mode/s networks/lm oom_kill_disable/s oom_score_adj/s pid/s pids_limit/s platform/s ports/l \
    post_start/l pre_stop/l privileged/s profiles/l pull_policy/s read_only/s restart/s runtime/s scale/s secrets/l security_opt/l \
    shm_size/s stdin_open/s stop_grace_period/s stop_signal/s storage_opt/m sysctls/lm tmpfs/sl tty/s ulimits/m user/s userns_mode/s \
    uts/s volumes/l volumes_from/l working_dir/s";
const BUILD: &str = "additional_contexts/lm args/lm cache_from/l cache_to/l context/s dockerfile/s dockerfile_inline/s entitlements/l \
    extra_hosts/lm isolation/s labels/lm network/s no_cache/s platforms/l privileged/s pull/s secrets/l shm_size/s ssh/lm tags/l target/s \
    ulimits/m";

/// The places.
pub(super) const PLACES: [Place; 24] = [
    place("", "", "configs/m include/l name/s networks/m secrets/m services/m version/s volumes/m", "models/m"),
    place("service", "/definitions/service", SERVICE, "models/lm provider/m use_api_socket/s"),
    place("build", "/definitions/service/properties/build/oneOf/1", BUILD, "no_cache_filter/sl provenance/s sbom/s"),
    place("healthcheck", "/definitions/healthcheck", "disable/s interval/s retries/s start_interval/s start_period/s test/sl timeout/s", ""),
    place(
        "deployment",
        "/definitions/deployment",
        "endpoint_mode/s labels/lm mode/s placement/m replicas/s resources/m restart_policy/m rollback_config/m update_config/m",
        "",
    ),
    place(
        "network",
        "/definitions/network",
        "attachable/s driver/s driver_opts/m enable_ipv4/s enable_ipv6/s external/sm internal/s ipam/m labels/lm name/s",
        "",
    ),
    place("volume", "/definitions/volume", "driver/s driver_opts/m external/sm labels/lm name/s", ""),
    place("config", "/definitions/config", "content/s environment/s external/sm file/s labels/lm name/s template_driver/s", ""),
    place("secret", "/definitions/secret", "driver/s driver_opts/m environment/s external/sm file/s labels/lm name/s template_driver/s", ""),
    place("dependency", "/definitions/service/properties/depends_on/oneOf/1/patternProperties/^[a-zA-Z0-9._-]+$", "condition/s required/s restart/s", ""),
    place("logging", "/definitions/service/properties/logging", "driver/s options/m", ""),
    place(
        "port",
        "/definitions/service/properties/ports/items/oneOf/2",
        "app_protocol/s host_ip/s mode/s name/s protocol/s published/s target/s",
        "",
    ),
    place("mount", "/definitions/service/properties/volumes/items/oneOf/1", "bind/m consistency/s read_only/s source/s target/s tmpfs/m type/s volume/m", "image/m"),
    place("bind", "/definitions/service/properties/volumes/items/oneOf/1/properties/bind", "create_host_path/s propagation/s recursive/s selinux/s", ""),
    place("mounted volume", "/definitions/service/properties/volumes/items/oneOf/1/properties/volume", "nocopy/s subpath/s", "labels/lm"),
    place("mounted memory", "/definitions/service/properties/volumes/items/oneOf/1/properties/tmpfs", "mode/s size/s", ""),
    place(
        "attachment",
        "/definitions/service/properties/networks/oneOf/1/patternProperties/^[a-zA-Z0-9._-]+$/oneOf/0",
        "aliases/l driver_opts/m gw_priority/s ipv4_address/s ipv6_address/s link_local_ips/l mac_address/s priority/s",
        "interface_name/s",
    ),
    place("ulimit", "/definitions/ulimits/patternProperties/^[a-z]+$/oneOf/1", "hard/s soft/s", ""),
    place("env_file", "/definitions/env_file/oneOf/1/items/oneOf/1", "format/s path/s required/s", ""),
    place("reference", "/definitions/service_config_or_secret/items/oneOf/1", "gid/s mode/s source/s target/s uid/s", ""),
    place("resources", "/definitions/deployment/properties/resources", "limits/m reservations/m", ""),
    place("limits", "/definitions/deployment/properties/resources/properties/limits", "cpus/s memory/s pids/s", ""),
    place(
        "reservations",
        "/definitions/deployment/properties/resources/properties/reservations",
        "cpus/s devices/l generic_resources/l memory/s",
        "",
    ),
    place("restart_policy", "/definitions/deployment/properties/restart_policy", "condition/s delay/s max_attempts/s window/s", ""),
];

/// Which place stands where: the one above, its key, how, and the one below.
pub(super) const NESTED: [(&str, &str, Below, &str); 26] = [
    ("", "services", Below::Each, "service"),
    ("", "networks", Below::Each, "network"),
    ("", "volumes", Below::Each, "volume"),
    ("", "configs", Below::Each, "config"),
    ("", "secrets", Below::Each, "secret"),
    ("service", "build", Below::Value, "build"),
    ("service", "healthcheck", Below::Value, "healthcheck"),
    ("service", "deploy", Below::Value, "deployment"),
    ("service", "logging", Below::Value, "logging"),
    ("service", "depends_on", Below::Each, "dependency"),
    ("service", "ports", Below::Each, "port"),
    ("service", "volumes", Below::Each, "mount"),
    ("service", "networks", Below::Each, "attachment"),
    ("service", "ulimits", Below::Each, "ulimit"),
    ("service", "env_file", Below::Each, "env_file"),
    ("service", "secrets", Below::Each, "reference"),
    ("service", "configs", Below::Each, "reference"),
    ("build", "secrets", Below::Each, "reference"),
    ("build", "ulimits", Below::Each, "ulimit"),
    ("mount", "bind", Below::Value, "bind"),
    ("mount", "volume", Below::Value, "mounted volume"),
    ("mount", "tmpfs", Below::Value, "mounted memory"),
    ("deployment", "resources", Below::Value, "resources"),
    ("resources", "limits", Below::Value, "limits"),
    ("resources", "reservations", Below::Value, "reservations"),
    ("deployment", "restart_policy", Below::Value, "restart_policy"),
];
