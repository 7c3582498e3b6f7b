//! The keys themselves: those that the Compose of Debian 13 takes (2.26, by the schema in its program; a test
//! compares), each with what may stand there: a text (`s`), a number (`n`), true or false (`b`), a list (`l`), one of texts
//! alone (`t`), a mapping (`m`), nothing (`0`).

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

const SERVICE: &str = "annotations/tm attach/sb blkio_config/m build/sm cap_add/t cap_drop/t cgroup/s cgroup_parent/s command/st0 configs/l \
    container_name/s cpu_count/sn cpu_percent/sn cpu_period/sn cpu_quota/sn cpu_rt_period/sn cpu_rt_runtime/sn cpu_shares/sn cpus/sn \
    cpuset/s credential_spec/m depends_on/tm deploy/m0 develop/m0 device_cgroup_rules/t devices/l dns/st dns_opt/t dns_search/st \
    domainname/s entrypoint/st0 env_file/sl environment/tm expose/l extends/sm external_links/t extra_hosts/tm gpus/sl group_add/l \
    healthcheck/m hostname/s image/s init/sb ipc/s isolation/s label_file/st labels/tm links/t logging/m mac_address/s mem_limit/sn \
    mem_reservation/sn mem_swappiness/sn memswap_limit/sn network_mode/s networks/tm oom_kill_disable/sb oom_score_adj/sn pid/s0 \
    pids_limit/sn platform/s ports/l post_start/l pre_stop/l privileged/sb profiles/t pull_policy/s read_only/sb restart/s runtime/s \
    scale/sn secrets/l security_opt/t shm_size/sn stdin_open/sb stop_grace_period/s stop_signal/s storage_opt/m sysctls/tm tmpfs/st \
    tty/sb ulimits/m user/s userns_mode/s uts/s volumes/l volumes_from/t working_dir/s";
const BUILD: &str = "additional_contexts/tm args/tm cache_from/t cache_to/t context/s dockerfile/s dockerfile_inline/s entitlements/t extra_hosts/tm \
    isolation/s labels/tm network/s no_cache/sb platforms/t privileged/sb pull/sb secrets/l shm_size/sn ssh/tm tags/t target/s \
    ulimits/m";

/// The places.
pub(super) const PLACES: [Place; 26] = [
    place("", "", "configs/m include/l name/s networks/m secrets/m services/m version/s volumes/m", "models/m"),
    place("service", "/definitions/service", SERVICE, "models/lm provider/m use_api_socket/sb"),
    place("build", "/definitions/service/properties/build/oneOf/1", BUILD, "no_cache_filter/st provenance/sb sbom/sb"),
    place("healthcheck", "/definitions/healthcheck", "disable/sb interval/s retries/sn start_interval/s start_period/s test/st timeout/s", ""),
    place(
        "deployment",
        "/definitions/deployment",
        "endpoint_mode/s labels/tm mode/s placement/m replicas/sn resources/m restart_policy/m rollback_config/m update_config/m",
        "",
    ),
    place(
        "network",
        "/definitions/network",
        "attachable/sb driver/s driver_opts/m enable_ipv4/sb enable_ipv6/sb external/sbm internal/sb ipam/m labels/tm name/s",
        "",
    ),
    place("volume", "/definitions/volume", "driver/s driver_opts/m external/sbm labels/tm name/s", ""),
    place("config", "/definitions/config", "content/s environment/s external/sbm file/s labels/tm name/s template_driver/s", ""),
    place("secret", "/definitions/secret", "driver/s driver_opts/m environment/s external/sbm file/s labels/tm name/s template_driver/s", ""),
    place("dependency", "/definitions/service/properties/depends_on/oneOf/1/patternProperties/^[a-zA-Z0-9._-]+$", "condition/s required/b restart/sb", ""),
    place("logging", "/definitions/service/properties/logging", "driver/s options/m", ""),
    place(
        "port",
        "/definitions/service/properties/ports/items/oneOf/2",
        "app_protocol/s host_ip/s mode/s name/s protocol/s published/sn target/sn",
        "",
    ),
    place("mount", "/definitions/service/properties/volumes/items/oneOf/1", "bind/m consistency/s read_only/sb source/s target/s tmpfs/m type/s volume/m", "image/m"),
    place("bind", "/definitions/service/properties/volumes/items/oneOf/1/properties/bind", "create_host_path/sb propagation/s recursive/s selinux/s", ""),
    place("mounted volume", "/definitions/service/properties/volumes/items/oneOf/1/properties/volume", "nocopy/sb subpath/s", "labels/lm"),
    place("mounted memory", "/definitions/service/properties/volumes/items/oneOf/1/properties/tmpfs", "mode/sn size/sn", ""),
    place(
        "attachment",
        "/definitions/service/properties/networks/oneOf/1/patternProperties/^[a-zA-Z0-9._-]+$/oneOf/0",
        "aliases/t driver_opts/m gw_priority/n ipv4_address/s ipv6_address/s link_local_ips/t mac_address/s priority/n",
        "interface_name/s",
    ),
    place("ulimit", "/definitions/ulimits/patternProperties/^[a-z]+$/oneOf/1", "hard/sn soft/sn", ""),
    place("env_file", "/definitions/env_file/oneOf/1/items/oneOf/1", "format/s path/s required/sb", ""),
    place("reference", "/definitions/service_config_or_secret/items/oneOf/1", "gid/s mode/sn source/s target/s uid/s", ""),
    place("resources", "/definitions/deployment/properties/resources", "limits/m reservations/m", ""),
    place("limits", "/definitions/deployment/properties/resources/properties/limits", "cpus/sn memory/s pids/sn", ""),
    place(
        "reservations",
        "/definitions/deployment/properties/resources/properties/reservations",
        "cpus/sn devices/l generic_resources/l memory/s",
        "",
    ),
    place("restart_policy", "/definitions/deployment/properties/restart_policy", "condition/s delay/s max_attempts/sn window/s", ""),
    place("update_config", "/definitions/deployment/properties/update_config", UPDATING, ""),
    place("rollback_config", "/definitions/deployment/properties/rollback_config", UPDATING, ""),
];

/// How Swarm goes on to other containers; Compose reads it, and nothing comes of it.
const UPDATING: &str = "delay/s failure_action/s max_failure_ratio/sn monitor/s order/s parallelism/sn";

/// Which place stands where: the one above, its key, how, and the one below.
pub(super) const NESTED: [(&str, &str, Below, &str); 28] = [
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
    ("deployment", "update_config", Below::Value, "update_config"),
    ("deployment", "rollback_config", Below::Value, "rollback_config"),
];
