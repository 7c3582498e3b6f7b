//! Rejects: a bad input and exactly what is said of it.

use crate::support::{KEY, Test};

/// Findings in a profile with these lines after the fifth.
fn said(more: &str) -> String {
    Test::new(more).findings()
}

/// Findings in a profile with these lines in its one service, which begin at line 11.
fn service(more: &str) -> String {
    Test::service(more).findings()
}

macro_rules! rejects {
    ($( $name:ident: $said:expr => $wanted:literal; )*) => { $(
        #[test]
        fn $name() {
            assert_eq!($said, $wanted);
        }
    )* };
}

rejects! {
    unknown_field: said("ssh: {max_auth_trys: 3}") =>
        "5:7 error[unknown-field] unknown field `max_auth_trys` | did you mean `max_auth_tries`?";
    unknown_field_with_no_near_one: said("fail2ban: {colour: red}") =>
        "5:12 error[unknown-field] unknown field `colour` | known fields: max_retry, find_time, ban_time, ignore";
    unknown_section: said("hosts: {}") => "5:1 error[unknown-field] unknown field `hosts` | did you mean `host`?";
    all_at_once: said("ssh: {port: 0}\nhost: {hostname: A}\nfail2ban: []") =>
        "5:13 error[invalid-value] 0 is not between 1 and 65535 | write a number between 1 and 65535\n\
         6:18 error[invalid-value] `A` is not a host name | use lower-case letters, digits and inner dashes, at most 63 between dots, 64 in all\n\
         7:11 error[wrong-type] a mapping is expected here, and this is a list | write it as in `fail2ban: {ban_time: 1h}`";
    missing_fields: Test::raw("version: 1\n").findings() =>
        "1:1 error[missing-field] the field `name` is missing here | add `name: agent`\n\
         1:1 error[missing-field] the field `distribution` is missing here | add `distribution: debian-13`\n\
         1:1 warning[placeholder] no SSH key is written, so nobody can log in | add the line of your `.pub` file under `admin.ssh_keys`";
    compose_version: Test::new("").set("version=\"3.8\"").findings() =>
        "1:9 error[invalid-value] `version: 3.8` is Compose's, and this is a profile | begin a profile with `version: 1`, and let it name your Compose file: `compose: compose.yaml`";
    distribution: Test::raw("version: 1\nname: t\ndistribution: debian13\n").findings() =>
        "1:1 warning[placeholder] no SSH key is written, so nobody can log in | add the line of your `.pub` file under `admin.ssh_keys`\n\
         3:15 error[invalid-value] `debian13` is not a supported distribution | did you mean `debian-13`?";
    not_a_mapping: Test::raw("- a\n").findings() => "1:1 error[wrong-type] a profile is a mapping, and this is a list | begin with `version: 1` and `name: …`, one field a line";
    duplicate_key: said("ssh: {port: 1, port: 2}") =>
        "5:16 error[duplicate-key] the key `port` stands here a second time | keep one of the two";
    quoted_number: said("ssh: {port: \"22\"}") =>
        "5:13 error[invalid-value] a number is expected here, and this is quoted text | remove the quotes";
    yes_is_not_true: said("updates: {security: yes}") =>
        "5:21 error[invalid-value] `yes` is neither true nor false | write `true` or `false`, without quotes";
    duration_without_unit: said("ssh: {idle_timeout: 10}") =>
        "5:21 error[invalid-value] `10` is not a duration | add a unit: `10s`, `10m`, `10h` or `10d`";
    size: said("host: {swap: 2G}") =>
        "5:14 error[invalid-value] `2G` is not a size | write it as `512MiB` or `2GiB`, at most 1024GiB";
    time_of_day: said("updates: {reboot: \"24:00\"}") =>
        "5:19 error[invalid-value] `24:00` is not a time of day | write it as `\"04:30\"`, or `never`";
    timezone: said("host: {timezone: Sao Paulo}") =>
        "5:18 error[invalid-value] `Sao Paulo` is not a time zone | write it as `UTC` or `America/Sao_Paulo`";
    no_such_timezone: said("host: {timezone: America/Sao_Paolo}") =>
        "5:18 error[invalid-value] `America/Sao_Paolo` is not a time zone that there is | did you mean `America/Sao_Paulo`?";
    no_time_at_all: said("fail2ban: {find_time: 0s}") =>
        "5:23 error[invalid-value] nothing can happen within no time | write at least `1s`";
    reserved_user: said("ssh: {allow_users: [root]}") =>
        "5:21 error[invalid-value] `root` is a user or group of the system | choose a name of your own, as `deploy`";
    reserved_name: Test::raw(&format!("version: 1\nname: systemd-x\ndistribution: debian-13\nadmin: {{ssh_keys: [{KEY}]}}")).findings() =>
        "2:7 error[invalid-value] `systemd-x` begins like the system's own `systemd` | choose a name of your own";
    port_without_protocol: said("firewall: {allow: [8883]}") =>
        "5:20 error[invalid-value] `8883` is not a port with its protocol | write `8883/tcp` or `8883/udp`";
    host_bits: said("fail2ban: {ignore: [10.0.0.5/8]}") =>
        "5:21 error[invalid-value] `10.0.0.5/8` has bits set beyond its prefix | write `10.0.0.0/8`";
    whole_internet: said("domain: a.dev\ntrusted_proxies: [0.0.0.0/0]") =>
        "6:19 error[invalid-value] `0.0.0.0/0` is every address there is | name the ranges you mean";
    url_with_login: said("apt: {mirror: \"https://u:p@m.dev/debian\"}") =>
        "5:15 error[invalid-value] this carries a login | take user and password out of the URL";
    mirror_with_path: said("docker: {registry_mirrors: [\"https://m.dev/v2\"]}") =>
        "5:29 error[invalid-value] `https://m.dev/v2` has a path, and Docker takes mirrors without one | write scheme, host and port alone";
    domain_is_url: said("domain: https://a.dev/") =>
        "5:9 error[invalid-value] `https://a.dev/` is not a domain | write the host name alone, without `https://` and path";
    wildcard: said("domain: \"*.a.dev\"") =>
        "5:9 error[invalid-value] `*.a.dev` is a wildcard, which HTTP-01 certificates do not cover | name each host under `aliases`";
    line_break_in_text: said("docker: {logins: [{registry: r.dev, username: \"a\\nb\", password: P}]}\nsecrets: {P: {file: p.yaml}}").lines().next().unwrap_or_default() =>
        "5:47 error[invalid-value] `a\u{fffd}b` is not one line of text | write 1 to 500 bytes without line breaks and control characters";
    not_a_key: said("admin2: {}") => "5:1 error[unknown-field] unknown field `admin2` | did you mean `admin`?";
    no_compose: Test::raw(&format!("version: 1\nname: t\ndistribution: debian-12\nadmin: {{ssh_keys: [{KEY}]}}\ndocker: {{source: distribution}}")).findings() =>
        "5:18 error[no-compose] Debian 12 has no Compose v2 among its packages | write `docker: {source: docker}`";
    unknown_secret: said("docker: {logins: [{registry: r.dev, username: a, password: TOKN}]}\nsecrets: {TOKEN: {env: T}}\n") =>
        "5:60 error[no-secret] there is no secret `TOKN` | did you mean `TOKEN`?\n\
         6:24 error[no-variable] the variable `T` is not set | set it in the environment, or give a file with it by --env-file";
    secret_written_out: said("secrets: {A: hunter2}") =>
        "5:14 error[invalid-value] a secret is made or fetched, never written in the profile | write `generate`, `{env: VARIABLE}`, `{file: PATH}` or `{command: [WORDS]}`";
    secret_too_short: said("secrets: {A: {generate: 8}}") =>
        "5:25 error[invalid-value] 8 is not between 32 and 1024 | write a number between 32 and 1024";
    secret_two_sources: said("secrets: {A: {generate: 32, env: B}}") =>
        "5:11 error[secret-source] the secret `A` has more than one source | write one of `generate`, `env`, `file`, `command` and `later`";
    fingerprint: said("docker: {source: docker, repository: \"https://m.dev/d\", fingerprint: 9DC85822}") =>
        "5:70 error[invalid-value] `9DC85822` is no fingerprint of an OpenPGP key | write its 40 hexadecimal digits, as `gpg --show-keys FILE` prints them";
    secret_name: said("secrets: {a.b: generate}") =>
        "5:11 error[secret-name] `a.b` is not a variable's name, so it cannot stand in `.env` | use letters, digits and `_`, or add `as: credential` to make it a file";
    secret_steers_compose: said("secrets: {COMPOSE_FILE: generate}") =>
        "5:11 error[secret-name] `COMPOSE_FILE` steers Compose or the shell itself | choose another name and pass it on under `environment`";
    not_a_certificate: said("tls: {ca: \"x\"}") =>
        "5:11 error[certificate] these are not PEM certificates: there is text outside `-----BEGIN CERTIFICATE-----` and `-----END CERTIFICATE-----` | in YAML, write them as a block: `ca: |` and the lines indented below";
    unknown_deploy_key: service("x-bootstrap: {source: {git: \"git@g.dev:me/a.git\", tag: v1, deploy_key: KEZ}}\nbuild: .") =>
        "11:76 error[no-secret] this must be the name of a secret, and there is none of this name | write a name, and add it under `secrets`: `{env: VARIABLE}` or `{file: PATH}`";
    deploy_key_in_env: Test::service("x-bootstrap: {source: {git: \"git@g.dev:me/a.git\", tag: v1, deploy_key: KEY}}\nbuild: .")
        .set("secrets={KEY: {env: K}}").env("K", PEM).findings() =>
        "11:76 error[deploy-key] the deploy key `KEY` would lie in `.env`, and ssh reads keys from files | write `as: credential` beside the secret's `env` or `file`\n\
         1:10 note[embedded-secret] `KEY` is embedded in user-data, which the provider keeps and the machine's metadata service shows | `sealed: true` beside `env`, `file` or `command` keeps it out of there; rotate it if it is ever exposed";
    deploy_key_made_here: deploy_key("{generate: 32, as: credential}", "") =>
        "11:76 error[deploy-key] `KEY` is made on the machine from letters and digits, which is no SSH key | write the secret as `{file: …, as: credential}`";
    deploy_key_without_its_end: deploy_key("{env: K, as: credential}", PEM.trim_end()).lines().next().unwrap_or_default() =>
        "11:76 error[deploy-key] `KEY` has lost its last line break, without which ssh cannot read a key; a shell's `$(…)` takes it away | make one by `ssh-keygen -t ed25519 -N '' -f deploy_key`, and name the file: `{file: deploy_key, as: credential}`";
    deploy_key_is_something_else: deploy_key("{env: K, as: credential}", "hello\n").lines().next().unwrap_or_default() =>
        "11:76 error[deploy-key] `KEY` is no SSH private key | make one by `ssh-keygen -t ed25519 -N '' -f deploy_key`, and name the file: `{file: deploy_key, as: credential}`";
    login_made_here: said("docker: {logins: [{registry: r.dev, username: a, password: P}]}\nsecrets: {P: generate}") =>
        "5:60 error[generated] the registry cannot know the password `P`, which the machine makes for itself | write the secret as `{env: …}` or `{file: …}`";
    docker_hub_by_another_name: said("docker: {logins: [{registry: index.docker.io, username: a, password: P}]}\nsecrets: {P: {file: p.yaml}}").lines().next().unwrap_or_default() =>
        "5:30 error[invalid-value] `index.docker.io` is an address of Docker Hub | write `docker.io`, as images name it";

    published_to_everybody: service("ports: [\"8080:80\"]") =>
        "11:13 error[published-port] `a` publishes port 8080 to everybody, past the firewall | write `127.0.0.1:8080:80`; or, if it must be public, list `8080/tcp` under `x-bootstrap.public_ports`";
    published_long_and_v6: service("ports: [{target: 80, published: 81}, \"[::]:82:82/udp\"]") =>
        "11:13 error[published-port] `a` publishes port 81 to everybody, past the firewall | write `127.0.0.1:81:80`; or, if it must be public, list `81/tcp` under `x-bootstrap.public_ports`\n\
         11:42 error[published-port] `a` publishes port 82 to everybody, past the firewall | write `127.0.0.1:82:82/udp`; or, if it must be public, list `82/udp` under `x-bootstrap.public_ports`";
    published_twice: service("ports: [\"127.0.0.1:8080:80\", \"127.0.0.1:8079-8081:79-81\"]") =>
        "11:34 error[port-conflict] port 8080 is published by `a` already | publish it once";
    published_on_both_loopbacks: service("ports: [\"127.0.0.1:8080:80\", \"[::1]:8080:80\"]") => "";
    ports_is_no_list: service("ports: 80") =>
        "11:12 error[wrong-type] `ports` is a list to Compose, and this is a number | write it as `ports: […]`, or one line each with a dash before it";
    published_anywhere: service("ports: [3000]") =>
        "11:13 error[published-port] `a` publishes its port 3000 to everybody, on a port that Docker chooses | remove it: services reach each other without, and a route publishes on 127.0.0.1";
    published_on_a_variable: service("ports: [\"${P:-80}:80\"]") =>
        "11:13 error[published-port] where this port is published hangs on a variable | write it as `127.0.0.1:8080:80`, or let a route publish it";
    public_but_ssh: service("ports: [\"22:22\"]\nx-bootstrap: {public_ports: [\"22/tcp\"]}") =>
        "11:13 error[port-conflict] port 22 belongs to the machine itself | it is SSH's: choose another one\n\
         12:34 error[port-conflict] port 22 belongs to the machine itself | lead a route to the service instead";
    public_not_published: service("x-bootstrap: {public_ports: [\"8883/tcp\"]}") =>
        "11:34 warning[unused] `8883/tcp` may be public, but the service does not publish it | add `ports: [\"8883:8883\"]`, or remove it";
    extension_field: service("x-bootstrap: {rout: {path: /, port: 1}}") =>
        "11:19 error[unknown-field] unknown field `rout` | did you mean `route`?";
    route_path: service("x-bootstrap: {route: {path: /webhook, port: 1}}") =>
        "11:33 error[invalid-value] `/webhook` does not end with `/` | write `/webhook/`";
    route_twice: service("x-bootstrap: {routes: [{path: /, port: 1}, {path: /, port: 2}]}") =>
        "11:48 error[route-conflict] the path `/` leads to `a` already | give each path once for each host";
    route_port_missing: service("x-bootstrap: {route: {path: /}}") =>
        "11:26 error[missing-field] the field `port` is missing here | add `port: 8000`";
    route_to_another_port: service("expose: [8000]\nx-bootstrap: {route: {port: 8001}}") =>
        "12:26 warning[unknown-port] the route leads to port 8001, which the service `a` does not name | name the port that the process in the container listens on";
    health_without_route: service("x-bootstrap: {health: /health}") =>
        "11:27 error[health-route] a health path is asked through a route, and there is none | add a route, or use Compose's `healthcheck` alone";
    closed_without_route: service("x-bootstrap: {closed: [/signup]}") =>
        "11:28 error[closed-route] this is asked through a route, and there is none | add a route; without one nobody reaches the service from outside";
    closed_is_no_request: service("x-bootstrap: {route: {path: /, port: 1}, closed: [\"DELETE /a\", \"POST a b\"]}") =>
        "11:55 error[invalid-value] `DELETE /a` is not a request | write a path, with `POST` or `PUT` before it where that is meant, as `POST /signup`\n\
         11:68 error[invalid-value] `POST a b` is not a request | write a path, with `POST` or `PUT` before it where that is meant, as `POST /signup`";
    source_without_reference: service("x-bootstrap: {source: {git: \"https://g.dev/a.git\"}}") =>
        "11:27 error[git-reference] neither `branch` nor `tag` is written | say what to build: `branch: main` or `tag: v1.0.0`";
    ssh_without_a_key: service("x-bootstrap: {source: {git: \"git@g.dev:me/a.git\", branch: main}}\nbuild: .") =>
        "11:33 error[deploy-key] by SSH nobody gets in without a key, and the machine has none | add `deploy_key: DEPLOY_KEY` beside it, and the secret as `{file: deploy_key, as: credential}`; or write `https://…`, if the repository is public";
    ssh_by_its_url: service("x-bootstrap: {source: {git: \"ssh://git@g.dev/me/a.git\", branch: main, deploy_key: [a]}}\nbuild: .").lines().filter(|line| line.contains("by SSH")).collect::<String>() => "";
    git_option: service("x-bootstrap: {source: {git: \"--upload-pack=x\", branch: main}}") =>
        "11:33 error[invalid-value] `--upload-pack=x` is not a git URL | write `git@host:owner/project.git`, `ssh://…` or `https://…`";
    variable: service("environment: {A: \"${TOKN}\"}").replace("t.dev", "") =>
        "11:22 warning[unset-variable] `${TOKN}` is neither a secret nor has a default, so it is empty | add `TOKN` to `secrets`, write a default as `${TOKN:-value}`, or `$$TOKN` for the text itself";
    required_variable: service("environment: {A: \"${TOKN:?no}\"}") =>
        "11:22 error[unset-variable] `${TOKN}` must be set, and is no secret | add `TOKN` to `secrets`: Compose starts nothing without it";
    broken_variable: service("environment: {A: \"${é}\"}") =>
        "11:22 error[interpolation] Compose cannot read the `${` in this text | write it as `${NAME}`, or `$$` for a dollar sign";
    a_dollar_sign_is_one: service("labels: {rule: \"PathRegexp(`^/v[0-9]+$`)\", price: US$ 5}") => "";
    an_image_that_is_empty: Test::raw("version: 1\nname: t\ndistribution: debian-13\nservices:\n  a: {image: \"${IMG}\", restart: always, healthcheck: {test: x}}\n").set(&format!("admin.ssh_keys=[{KEY}]")).findings() =>
        "5:14 warning[unset-variable] `${IMG}` is neither a secret nor has a default, so it is empty | add `IMG` to `secrets`, write a default as `${IMG:-value}`, or `$$IMG` for the text itself\n\
         5:14 error[no-image] `${IMG}` is empty, and Compose starts nothing without an image's name | write the image, or add `IMG` to `secrets`";
    a_variable_in_a_text_of_several_lines: service("environment:\n  A: |\n    one\n    two ${NOPE} https://shop.example.com/") =>
        "14:13 warning[unset-variable] `${NOPE}` is neither a secret nor has a default, so it is empty | add `NOPE` to `secrets`, write a default as `${NOPE:-value}`, or `$$NOPE` for the text itself\n\
         14:29 warning[placeholder] `shop.example.com` is an example domain | write your own; `${DOMAIN}` stands for the profile's domain";
    a_compose_file: Test::raw("services:\n  a: {image: \"x:1\"}\nvolumes: {data: {}}\nx-more: 1\n").findings() =>
        "1:1 error[compose-file] this is a Compose file, and what is read here is a profile, which may name one | write a file beside it: `version: 1`, `name: …`, `admin: {ssh_keys: [\"…\"]}` and `compose: FILE`, a line each";
    services_as_a_list: said("services: [a, b]") =>
        "5:11 error[wrong-type] a mapping is expected here, and this is a list | write it as in `services: {api: {image: \"nginx:1.27\"}}`";
    an_empty_overlay: Test::new("").overlay("").findings() =>
        "1:1 error[wrong-type] an overlay is a mapping, and this is nothing | write what is to be other than in the profile, as `host: {hostname: web1}`";
    near_variable: Test::service("environment: {A: \"${TOKN}\", B: $TOKEN}").set("secrets.TOKEN=generate").findings() =>
        "11:22 warning[unset-variable] `${TOKN}` is neither a secret nor has a default, so it is empty | did you mean `${TOKEN}`?";
    relative_mount: service("volumes: [\"./conf:/etc/conf\"]") =>
        "11:15 warning[relative-path] nothing puts `./conf` on the machine: Docker makes an empty folder there, of which no backup is made | for data use a named volume; for files `configs` with `content`, a secret with `as: credential`, or the image";
    docker_socket: service("volumes: [\"/var/run/docker.sock:/var/run/docker.sock\"]") =>
        "11:15 warning[docker-socket] with Docker's socket `a` is root on the machine | put a read-only socket proxy between them";
    what_only_docker_refuses: service("container_name: a b\nexpose: [a, 70000, null]\nnetwork_mode: bogus") =>
        "11:21 error[wrong-value] `a b` is no name for a container to Docker | use two letters, digits, `.`, `_` and `-` or more, and begin with a letter or digit; or leave it out\n\
         12:14 error[wrong-value] `expose` is a list of ports, and this is `a` | write the number of a port, `3000`, or a range, `\"3000-3005\"`; or take it out, for services reach each other without\n\
         12:17 error[wrong-value] `expose` is a list of ports, and this is `70000` | write the number of a port, `3000`, or a range, `\"3000-3005\"`; or take it out, for services reach each other without\n\
         12:24 error[wrong-value] `expose` is a list of ports, and this is nothing | write the number of a port, `3000`, or a range, `\"3000-3005\"`; or take it out, for services reach each other without\n\
         13:19 error[wrong-value] there is no network `bogus`, and Docker makes no container without it | write `none`, `host`, `bridge` or `service:NAME`; a network of the stack stands under `networks`";
    what_is_never_started: said("services:\n  a: {image: \"x:1\", restart: always, healthcheck: {test: x}, depends_on: [t]}\n  b: {image: \"x:1\", restart: always, healthcheck: {test: x}, depends_on: [t], profiles: [q]}\n  t: {image: \"x:1\", restart: always, healthcheck: {test: x}, profiles: [p], network_mode: \"service:b\"}\n  c: {image: \"x:1\", restart: always, healthcheck: {test: x}, pid: \"service:t\"}") =>
        "6:75 error[optional-service] `t` is started only for a Compose profile of its own, and Compose starts nothing while `a` waits for it | take `profiles` out of `t`, or write `t: {condition: service_started, required: false}` here\n\
         9:67 error[optional-service] `t` is started only for a Compose profile of its own, and `c` cannot be without it | take `profiles` out of `t`, or this out";
    configs_that_stand_nowhere: Test::service("configs: [mott, {source: other}]").set("configs={motd: {content: x}}").findings() =>
        "11:15 error[undeclared] the config `mott` is not declared under `configs` | did you mean `motd`?\n\
         11:30 error[undeclared] the config `other` is not declared under `configs` | add `configs: {other: {content: …}}`";
    secrets_that_stand_nowhere: Test::new("compose: c.yaml\nsecrets: {T: generate}\n").file("c.yaml", "services: {a: {image: \"x:1\", restart: always, healthcheck: {test: x}, secrets: [t, other]}}\nsecrets: {t: {environment: T}}\n").findings().lines().filter(|line| line.contains("[undeclared]")).collect::<String>() =>
        "1:84 error[undeclared] the secret `other` is not declared under `secrets` | add it there, as `other: {environment: NAME}` with the name of one of the profile's";
    mounts_that_are_none: service("volumes: [5, {source: /a, target: /a}, {type: volume, source: v}, \":/x\"]") =>
        "11:15 error[wrong-type] a mount is a text or a mapping to Compose, and this is a number | write it as `NAME:/PLACE`, and `NAME` under `volumes`\n\
         11:18 error[missing-field] this does not say of what type the mount is | add `type: bind`, or write it in short, as `NAME:/PLACE`\n\
         11:44 error[missing-field] this does not say where in the container the mount is | add `target: /PLACE`\n\
         11:44 error[undeclared] the volume `v` is not declared under `volumes` | add `volumes: {v: {}}`\n\
         11:71 error[wrong-value] `:/x` does not say what is mounted where | write it as `NAME:/PLACE`, and `NAME` under `volumes`";
    undeclared_volume: service("volumes: [\"data:/data\"]") =>
        "11:15 error[undeclared] the volume `data` is not declared under `volumes` | add `volumes: {data: {}}`";
    network_past_the_firewall: said("services: {b: {image: \"x:1\", restart: always, healthcheck: {test: x}, networks: [m, n]}}\nnetworks: {m: {driver: macvlan}, n: {driver_opts: {com.docker.network.bridge.name: web0}}}") =>
        "6:24 error[network-driver] a network of the driver `macvlan` goes past the firewall | use a bridge: leave `driver` out\n\
         6:84 error[bridge-name] the firewall knows Docker's bridges by names that begin with `br-` | begin the name with `br-`, or leave it out";
    misspelt_extension: service("x-bootstap: {route: {port: 1}}") =>
        "11:5 error[unknown-field] `x-bootstap` means nothing here | did you mean `x-bootstrap`?";
    no_services: said("services: {}") =>
        "5:11 error[no-services] there is no service in `services`, so there is nothing to start | add one, or take the stack out of the profile";
    a_job_needs_no_restart: said("services:\n  a: {image: \"x:1\", restart: always, healthcheck: {test: x}, depends_on: {j: {condition: service_completed_successfully}}}\n  j: {image: \"x:1\"}") => "";
    two_at_once: service("container_name: cc\nports: [\"127.0.0.1:1:1\"]\ndeploy: {replicas: 2}\nx-bootstrap: {deploy: blue-green}") =>
        "11:5 error[blue-green] with `container_name` there cannot be two of `a`, as for `deploy: blue-green` | take it out, or write `deploy: recreate`\n\
         12:5 error[blue-green] with `ports` there cannot be two of `a`, as for `deploy: blue-green` | take it out: routes publish on 127.0.0.1; or write `deploy: recreate`\n\
         13:14 error[blue-green] with `replicas` there cannot be one of `a` at a time, as for `deploy: blue-green` | take it out, or write `deploy: recreate`";
    several_behind_one_route: service("deploy: {replicas: 2}\nx-bootstrap: {route: {port: 1}}").lines().next().unwrap_or_default() =>
        "11:14 error[replicas] with `replicas` there are several of `a`, and one alone can be where its route leads: 127.0.0.1 has the port once | take `replicas` out, and let the process itself have several workers, or give each container a service of its own";
    several_that_publish_one_port: service("scale: 0x2\nports: [\"127.0.0.1:8080-8081:80-81\"]") =>
        "11:5 error[replicas] with `scale` there are several of `a`, and one alone can publish its `ports`: the machine has each once | take `scale` out, and let the process itself have several workers, or give each container a service of its own";
    several_of_one_name: service("scale: 2\ncontainer_name: app") =>
        "11:5 error[replicas] with `scale` there are several of `a`, and one alone can bear its `container_name` | take `scale` out, and let the process itself have several workers, or give each container a service of its own";
    several_that_meet_nowhere: service("scale: 2\nports: [\"127.0.0.1:8080-8081:80\"]") => "";
    one_behind_a_route: service("scale: 1\nx-bootstrap: {route: {port: 1}}") => "";
    two_under_one_address: service("networks: {default: {ipv4_address: 10.0.0.2}}\nx-bootstrap: {deploy: blue-green}") =>
        "11:26 error[blue-green] with `ipv4_address` the new `a` would be asked before it is live | take it out: the live one bears the service's name";
    two_that_others_share: said("services:\n  a: {image: \"x:1\", restart: always, healthcheck: {test: x}, x-bootstrap: {deploy: blue-green}}\n  b: {image: \"x:1\", restart: always, healthcheck: {test: x}, network_mode: \"service:a\"}\n  a-green: {image: \"x:1\", restart: always, healthcheck: {test: x}, links: [a]}\n") =>
        "7:76 error[blue-green] `a` is one of two, and not always the same | take this out, or write `deploy: recreate` there\n\
         8:3 error[blue-green] `a` is one of two, and not always the same | take this out, or write `deploy: recreate` there\n\
         8:76 error[blue-green] `a` is one of two, and not always the same | take this out, or write `deploy: recreate` there";
    nothing_tells_that_it_is_well: said("services: {a: {image: \"x:1\", restart: always, x-bootstrap: {deploy: blue-green}}}").lines().next_back().unwrap_or_default() =>
        "5:69 error[blue-green] nothing tells when a new `a` may take over | add Compose's `healthcheck`, or write `deploy: recreate`";
    hooks_of_nothing: service("x-bootstrap: {before: migrate}") =>
        "7:3 error[deploy-hook] the hooks of `a` would never be run | add `deploy: recreate` or `deploy: blue-green` beside them";
    deploys_of_nothing: Test::service("").set("deploy={keep: 1, windows: [\"Mon-Xyz 09:00-17:00\", \"9:00-17:00\", \"09:00-09:00\"]}").findings() =>
        "1:1 warning[unused] no service says how it is deployed | write `x-bootstrap: {deploy: blue-green}` at the service that answers requests\n\
         1:15 error[invalid-value] 1 is not between 2 and 50 | write a number between 2 and 50\n\
         1:28 error[invalid-value] `Mon-Xyz 09:00-17:00` is not a window of time | write it as `\"Mon-Fri 09:00-17:00\"`, `\"Sun 22:00-02:00\"` or `\"09:00-17:00\"`\n\
         1:51 error[invalid-value] `9:00-17:00` is not a window of time | write it as `\"Mon-Fri 09:00-17:00\"`, `\"Sun 22:00-02:00\"` or `\"09:00-17:00\"`\n\
         1:65 error[invalid-value] `09:00-09:00` is not a window of time | write it as `\"Mon-Fri 09:00-17:00\"`, `\"Sun 22:00-02:00\"` or `\"09:00-17:00\"`";
    deploys_that_no_service_asks_for: Test::service("").set("deploy={poll: 5m}").findings() =>
        "1:1 warning[unused] no service says how it is deployed | write `x-bootstrap: {deploy: blue-green}` at the service that answers requests";
    a_way_that_is_none: service("x-bootstrap: {deploy: bluegreen}") =>
        "11:27 error[invalid-value] `bluegreen` is not a way to deploy | did you mean `blue-green`?";
    receivers_without_a_secret: Test::service("x-bootstrap: {metrics: {port: 1}}").set("monitoring=lite").set("alerts.receivers={webhook_configs: [{url: \"${NOPE}\"}]}").findings() =>
        "1:43 error[no-secret] this must be the name of a secret, and there is none of this name | write a name, and add it under `secrets`: `{env: VARIABLE}` or `{file: PATH}`";
    receivers_that_are_none: Test::service("x-bootstrap: {metrics: {port: 1}}").set("monitoring=lite").set("alerts.receivers={email_configs: [a@b.dev]}").findings() =>
        "1:19 error[invalid-value] `email_configs` is no list of receivers | write as Alertmanager does: `email_configs: [{to: …}]`, `webhook_configs: [{url: …}]`";
    a_password_in_alerts: Test::service("x-bootstrap: {metrics: {port: 1}}").set("monitoring=lite").set("alerts.receivers={email_configs: [{to: a, auth_password: hunter2}]}").findings().lines().next().unwrap_or_default() =>
        "1:58 error[invalid-value] a secret is made or fetched, never written in the profile | add it under `secrets`, and write `${NAME}` here";
    a_token_among_variables: Test::service("").set("variables={ANON: eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYW5vbiJ9.c2ln, VIEWER: eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYW5vbiJ9.c2ln}").findings().lines().next_back().unwrap_or_default() =>
        "1:74 error[invalid-value] a secret is made or fetched, never written in the profile | add `VIEWER` under `secrets`: `{env: VIEWER}`";
    a_password_of_what_runs_elsewhere: Test::service("").set("external={a: {host: h, password: hunter2}}").findings().lines().next_back().unwrap_or_default() =>
        "1:34 error[invalid-value] a secret is made or fetched, never written in the profile | add `A_PASSWORD` under `secrets`: `{env: A_PASSWORD}`";
    metrics_that_everybody_would_see: service("x-bootstrap: {metrics: {port: 1, path: \"/metrics?a=1\"}}") =>
        "11:44 error[invalid-value] `/metrics?a=1` is not a path for metrics | write it as `/metrics`";
    optional_with_a_route: service("profiles: [debug]\nx-bootstrap: {route: {port: 1}}").lines().next().unwrap_or_default() =>
        "7:3 error[optional-service] `a` is started only for a Compose profile of its own, which the machine never names | take `profiles` out, or its routes and metrics";
    the_port_of_the_dashboards: Test::service("ports: [\"127.0.0.1:3001:80\"]").set("monitoring=lite").set("alerts={}").findings() =>
        "11:13 error[port-conflict] port 3001 belongs to the monitoring | choose another port, or write `monitoring: none`";
    monitoring_of_nothing: said("monitoring: full").lines().next().unwrap_or_default() =>
        "5:13 warning[unused] monitoring runs beside a stack, and there is none | add `services` or `compose`, or write `monitoring: none`";
    published_on_both_families: service("ports: [\"0.0.0.0:8883:8883\", \"[::]:8883:8883\"]\nx-bootstrap: {public_ports: [\"8883/tcp\"]}") => "";
    unknown_condition: service("depends_on: {a: {condition: service_completed}}") =>
        "11:33 error[depends-on] `service_completed` is no condition to wait for `a` by | did you mean `service_completed_successfully`?";
    a_domain_that_leads_nowhere: said("domain: t.dev\nservices:\n  a: {image: \"x:1\", restart: always, healthcheck: {test: x}}") =>
        "5:9 warning[no-route] nothing leads from the domain to a service | add `x-bootstrap: {route: {port: 8080}}` to the service, with the port it listens on";
    who_asks_for_what_runs_elsewhere: said("services:\n  a: {image: \"x:1\", restart: always, healthcheck: {test: x}, environment: {U: \"p://u@db:5432/x\", H: db, V: \"p://dbx/\"}}\n  db: {image: \"x:1\"}\nexternal: {db: {host: h}}") =>
        "6:79 warning[external] this still asks for `db`, which runs elsewhere | write `${DB_HOST}` instead of the name\n\
         6:101 warning[external] this still asks for `db`, which runs elsewhere | write `${DB_HOST}` instead of the name";
    a_key_that_compose_does_not_know: service("restrat: always\ncolour: red\ndeploy: {tests: x}\nmodels: [m]") =>
        "11:5 error[unknown-field] Compose knows no `restrat` here | did you mean `restart`?\n\
         12:5 error[unknown-field] Compose knows no `colour` here | take it out; what begins with `x-` Compose passes over\n\
         13:14 error[unknown-field] Compose knows no `tests` here | take it out; what begins with `x-` Compose passes over\n\
         14:5 error[unknown-field] `models` is newer than the Compose of this distribution | leave it out, or write `docker: {source: docker}`";
    a_newer_key_with_dockers_own_compose: Test::service("models: [m]").set("docker.source=docker").findings() => "";
    what_nobody_makes: said("services:\n  a: {image: \"x:1\", restart: always, healthcheck: {test: x}}\nnetworks: {n: {external: true}, h: {name: host, external: true}}\nvolumes: {v: {external: true}}\nconfigs: {c: {file: ./c.json}}") =>
        "7:26 error[external-resource] nothing makes the network `n` on a new machine | take `external` out: the stack then makes its own\n\
         8:25 error[external-resource] nothing makes the volume `v` on a new machine | take `external` out: the stack then makes its own\n\
         9:21 error[relative-path] nothing puts this file on the machine, and Compose starts nothing without it | write its text as `content`, or make it a secret of the profile with `as: credential`";
    what_is_taken_from_another: service("extends: {file: base.yaml, service: b}") => "11:21 error[extends] nothing puts this file on the machine, and Compose starts nothing without it | write here what the service takes from there";
    what_is_included: Test::new("compose: c.yaml")
        .file("c.yaml", "include: [b.yaml]\nservices: {a: {image: \"x:1\", restart: always, healthcheck: {test: x}}}\n")
        .file("b.yaml", "services: {b: {image: \"x\", restart: always, healthcheck: {test: x}}}\n")
        .findings() => "1:23 warning[unpinned-image] `x` names no version | add a tag, or better a digest: what runs tomorrow should be what was tried today";
    what_is_taken_from_nobody: service("extends: appp") => "11:14 error[no-service] there is no service `appp` | name a service that stands here";
    keys_further_down: service("ports: [{target: 80, publishd: 8080, host_ip: 127.0.0.1}]\nlogging: {driver: json-file, option: {max-size: 1m}}\ndeploy: {resources: {limit: {memory: 1g}}}") =>
        "11:26 error[unknown-field] Compose knows no `publishd` here | did you mean `published`?\n\
         12:34 error[unknown-field] Compose knows no `option` here | did you mean `options`?\n\
         13:26 error[unknown-field] Compose knows no `limit` here | did you mean `limits`?";
    what_stands_where_another_thing_should: service("environment: A=1\ncap_add: NET_ADMIN\nuser: [a]\nulimits: [a]") =>
        "11:18 error[wrong-type] `environment` is a list or a mapping to Compose, and this is text | write it as `environment: […]`, or one line each with a dash before it\n\
         12:14 error[wrong-type] `cap_add` is a list to Compose, and this is text | write it as `cap_add: […]`, or one line each with a dash before it\n\
         13:11 error[wrong-type] `user` is a text to Compose, and this is a list | write it as `user: …`, in one line\n\
         14:14 error[wrong-type] `ulimits` is a mapping to Compose, and this is a list | write it as `ulimits: {…}`, or one `name: value` a line";
    what_is_left_empty: service("environment:\ncommand:\ndeploy:\nlabels: !reset null\nworking_dir: ~") =>
        "11:16 error[wrong-type] `environment` is a list or a mapping to Compose, and this is nothing | leave `environment` out, or write what belongs there\n\
         15:18 error[wrong-type] `working_dir` is a text to Compose, and this is nothing | leave `working_dir` out, or write what belongs there";
    numbers_and_words_for_texts: service("user: 1000\nstop_grace_period: 10\nhostname: !!str 1\ndomainname: \"1\"\ncommand: [sleep, 10]\nprivileged: \"${P:-true}\"\ncpus: true\nlogging: {driver: local, options: {max-size: 1m, max-file: 3}}") =>
        "11:11 error[wrong-type] `user` is a text to Compose, and this is a number | write it in quotes: `user: \"1000\"`\n\
         12:24 error[wrong-type] `stop_grace_period` is a text to Compose, and this is a number | write its unit as well: `stop_grace_period: 10s`\n\
         15:22 error[wrong-type] `command` is a list of texts to Compose, and this is a number | write it in quotes: `\"10\"`\n\
         17:11 error[wrong-type] `cpus` is a text or a number to Compose, and this is true or false | write it as `cpus: …`, in one line";
    a_policy_that_is_true: Test::raw(&format!("version: 1\nname: t\ndistribution: debian-13\nadmin: {{ssh_keys: [{KEY}]}}\nservices: {{a: {{image: \"x:1\", healthcheck: {{test: x}}, restart: true}}}}")).findings() =>
        "5:63 error[wrong-type] `restart` is a text to Compose, and this is true or false | write `restart: unless-stopped`, `always` or `on-failure`; or `\"no\"`, in quotes";
    numbers_where_mappings_should_be: said("backup: 5\nmonitoring: none\ndocker: true") =>
        "5:9 error[wrong-type] a mapping is expected here, and this is a number | write it as in `backup: {at: \"03:00\", keep: 7d}`\n\
         7:9 error[wrong-type] a mapping is expected here, and this is true or false | write it as in `docker: {source: distribution}`";
    a_text_that_is_appended: Test::new("aliases: [www.t.dev]\ndomain: t.dev").overlay("aliases+: b.t.dev").findings().lines().next_back().unwrap_or_default() =>
        "1:1 error[append] `aliases+` appends to a list, and this is text | write `aliases+: […]`, or `aliases: …` to replace it";
    a_text_that_is_appended_in_a_service: service("ports+: x") => "11:5 error[append] `ports+` appends to a list, and this is text | write `ports+: […]`, or `ports: …` to replace it";
    files_that_need_not_be_there: service("env_file: [{path: ./more.env, required: false}]") => "";
    nothing_is_included: Test::new("compose: c.yaml").file("c.yaml", "include: []\nservices: {a: {image: \"x:1\", restart: always, healthcheck: {test: x}}}\n").findings() => "";
    not_external: said("services:\n  a: {image: \"x:1\", restart: always, healthcheck: {test: x}}\nvolumes: {v: {external: \"false\"}, w: {external: false}}") => "";
    what_is_built_from_nothing: said("services:\n  a: {build: {dockerfile_inline: \"FROM x:1\"}, restart: always, healthcheck: {test: x}}") => "";
    an_external_config: said("services:\n  a: {image: \"x:1\", restart: always, healthcheck: {test: x}}\nconfigs: {c: {external: true}}") =>
        "7:25 error[external-resource] nothing makes the config `c` on a new machine | write its text here, as `content`";
    variables_that_are_passed_on: said("secrets: {KNOWN: generate}\nservices:\n  a: {image: \"x:1\", restart: always, healthcheck: {test: x}, environment: [KNOWN, KNOWM, A=1]}\n  b: {image: \"x:1\", restart: always, healthcheck: {test: x}, environment: {KNOWN: , OTHER: , C: d}}") =>
        "7:83 warning[unset-variable] `KNOWM` has no value here and is no secret, so `a` does not get it | did you mean `KNOWN`?\n\
         8:85 warning[unset-variable] `OTHER` has no value here and is no secret, so `b` does not get it | add `OTHER` to `secrets`, or write its value";
    a_port_that_a_variable_chooses_beside_a_route: Test::service("ports: [\"127.0.0.1:${P:-2368}:2368\", \"127.0.0.1:9000:${Q:-9000}\"]\nx-bootstrap: {routes: [{path: /, port: 2368}]}").set("domain=a.de").findings() => "";
    the_webs_own_ports: service("ports: [\"80:8080\"]") =>
        "11:13 error[port-conflict] port 80 belongs to the machine itself | lead a route to the service instead: `x-bootstrap: {routes: [{path: /, port: 8080}]}`";
    the_machines_own_env_file: service("env_file: [{path: .env}]") => "11:23 warning[env-file] your own `.env` stays here: on the machine `.env` holds every secret of the profile, and `a` gets all of them | name what it needs: `environment: {NAME: ${NAME}}`, and under `secrets` what is secret";
    nobodys_key: Test::new("").set("admin.ssh_keys=[\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPuBXTSvcXQmxo9ZT1pYwq1owWKY8R6qDCJ7W5WYaWEJ nobody@example\"]").findings() => "1:17 warning[placeholder] this SSH key is an example's: you cannot log in with it | write the line of your own `.pub` file";
    placeholder_in_the_runbook: said("runbook: ask ops@example.com") => "5:10 warning[placeholder] `example.com` is an example domain | write your own; `${DOMAIN}` stands for the profile's domain";
    a_range_of_public_ports: service("ports: [\"8000-8002:9000-9002\"]") => "11:13 error[published-port] `a` publishes port 8000-8002 to everybody, past the firewall | write `127.0.0.1:8000-8002:9000-9002`; or, if it must be public, list `8000/tcp` and each of the others under `x-bootstrap.public_ports`";
    what_compose_cannot_find: service("env_file: app.env\nbuild: .\nx-bootstrap: {route: {port: 1}}") =>
        "11:15 error[relative-path] nothing puts this file on the machine, and Compose starts nothing without it | write the values under `environment`, and those that are secret under `secrets`\n\
         12:12 error[relative-path] nothing puts this folder on the machine, so there is nothing to build | let the machine fetch it: `x-bootstrap: {source: {git: …, branch: main}}`, or name an image";
    build_without_image: Test::new("services:\n  a: {build: ., restart: always, healthcheck: {test: x}}").findings() =>
        "6:14 error[relative-path] nothing puts this folder on the machine, so there is nothing to build | let the machine fetch it: `x-bootstrap: {source: {git: …, branch: main}}`, or name an image";
    unknown_dependency: service("depends_on: {b: {condition: service_healthy}}") =>
        "11:18 error[no-service] there is no service `b` | did you mean `a`?";
    privileged: service("privileged: true\nnetwork_mode: host") =>
        "11:17 warning[privileged] `a` is privileged: it can do anything to the machine | name the capabilities or devices it needs: `cap_add`, `devices`\n\
         12:19 warning[host-network] `a` shares the machine's network: it reaches what listens on 127.0.0.1 and the metadata service | use a network of the stack; routes publish on 127.0.0.1";
    bare_service: said("services:\n  b: {image: redis}\n") =>
        "6:3 warning[no-healthcheck] nothing asks whether `b` is well | add Compose's `healthcheck`; deploys and alerts wait for it\n\
         6:3 warning[no-restart] `b` stays down when it dies | add `restart: unless-stopped`; for what ends when its work is done, let a service wait by `service_completed_successfully`\n\
         6:14 warning[unpinned-image] `redis` names no version | add a tag, or better a digest: what runs tomorrow should be what was tried today";
    no_image: said("services: {b: {restart: always, healthcheck: {test: x}}}") =>
        "5:12 error[no-image] the service `b` has neither an image nor a source | add `image: …`, or `x-bootstrap: {source: {git: …, branch: main}}`";
    route_without_domain: said("services: {b: {image: \"x:1\", restart: always, healthcheck: {test: x}, x-bootstrap: {route: {port: 1}}}}") =>
        "5:92 error[no-domain] the service `b` has a route, and the profile has no domain | add `domain: …`, or take the route out";
    compose_and_services: Test::new("compose: c.yaml\nvolumes: {a: {x-bootstrap: {backup: none}}}\nservices: {a: {healthcheck: {test: x}, ports: null}}\n").file("c.yaml", "services: {a: {image: \"x:1\", restart: always, ports: [\"80:80\"], volumes: [\"a:/a\"]}}\nvolumes: {a: }\n").findings() =>
        "";
    compose_is_missing: said("compose: c.yaml").replace(std::env::temp_dir().to_str().unwrap_or_default(), "").split_once("cannot").map_or(String::new(), |(_, end)| end.into()) =>
        " be read: No such file or directory (os error 2) | check the path and its permissions";
    set_without_value: Test::new("").set("ssh.port").findings() =>
        "1:1 error[set] --set takes `path=value` | as in `--set host.hostname=web1`";
    set_bad_value: Test::new("").set("ssh.port=0").findings() =>
        "1:10 error[invalid-value] 0 is not between 1 and 65535 | write a number between 1 and 65535";
    set_bad_path: Test::new("").set("name.x=1").findings() =>
        "1:1 error[set] `x` would be a key of text, not of a mapping | as in `--set host.hostname=web1` or `--set 'aliases+=[www.example.com]'`";
    set_unknown: Test::new("").set("ssh.prt=22").findings() =>
        "1:1 error[unknown-field] unknown field `prt` | did you mean `port`?";
    env_file_without_end: Test::new("").env_file(&"A=1\n".repeat(300_000)).findings().split(" is ").skip(1).collect::<String>() => "larger than 1 MiB | name the file with the `NAME=value` lines";
    env_file_line: Test::new("").env_file("A=1\nnonsense\n").findings() =>
        "2:1 error[env-file] this line is not NAME=value | write NAME=value, with quotes around values that have spaces";
    no_key: Test::raw("version: 1\nname: t\ndistribution: debian-13\n").findings() =>
        "1:1 warning[placeholder] no SSH key is written, so nobody can log in | add the line of your `.pub` file under `admin.ssh_keys`";
    embedded_secret: Test::service("environment: {T: $T}").set("secrets.T={env: E}").env("E", "v").findings() =>
        "1:1 warning[embedded-secret] `T` is embedded in user-data, which the provider keeps and the machine's metadata service shows | use `generate` where the machine may choose the value; else `sealed: true` beside `env`, `file` or `command`, or `later: true` alone, keep it out of there; rotate this one if it is ever exposed";
    unused_secret: said("secrets: {A: generate}") =>
        "5:11 warning[unused] nothing uses the secret `A` | pass it to a service, as `environment: {A: ${A}}`, or remove it";
}

/// Looks like a key of the older form, which only ssh itself could judge.
const PEM: &str = "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n";

/// Findings where the secret of a deploy key is this.
fn deploy_key(secret: &str, value: &str) -> String {
    Test::service("x-bootstrap: {source: {git: \"git@g.dev:me/a.git\", tag: v1, deploy_key: KEY}}\nbuild: .")
        .set(&format!("secrets={{KEY: {secret}}}"))
        .env("K", value)
        .findings()
}

#[test]
fn what_may_be_a_secret_is_not_repeated() {
    for (lines, secret) in [
        ("secrets: {A: hunter2}", "hunter2"),
        ("secrets: {A: {env: \"-----BEGIN OPENSSH PRIVATE KEY-----\\nb3BlbnNz\"}}", "b3BlbnNz"),
        ("apt: {mirror: \"https://u:hunter2@m.dev/debian\"}", "hunter2"),
        ("docker: {logins: [{registry: r.dev, username: a, password: hunter2}]}", "hunter2"),
        ("docker: {logins: [{registry: r.dev, username: a, password: \"hunter2 !\"}]}", "hunter2"),
        ("domain: t.dev\nservices: {a: {image: x, x-bootstrap: {source: {git: \"https://hunter2@g.dev/a/b.git\"}}}}", "https://hunter2@"),
        ("secrets:\n  A: |\n -----BEGIN OPENSSH PRIVATE KEY-----\n b3BlbnNz", "b3BlbnNz"),
    ] {
        let loaded = Test::new(lines).load();
        assert!(loaded.report.has_errors(), "{lines}");
        let shown = loaded.report.render_human(false, 200);
        assert!(!shown.contains(secret), "{lines}:\n{shown}");
        assert!(!loaded.report.to_json().to_string().contains(secret), "{lines}");
    }
}

#[test]
fn every_finding_says_how_to_mend_it() {
    for lines in [
        "host: 1", "ssh: {port: [1]}", "aliases: a", "trusted_proxies: 5", "tls: {acme: {}}", "secrets: []", "services: []", "compose: [a]",
        "a: [1", "a: @x", "\tb: 1", "a: *x", "a: b: c", "a: &x [*x]", "services: {a: 5}", "firewall: {allow: [{}]}", "host: {swap: {}}",
        "admin: {ssh_keys: [[]]}",
    ] {
        for finding in Test::new(lines).load().report.findings() {
            assert!(finding.help.is_some(), "{lines}: {}", finding.message);
        }
    }
}

const RSA_1024: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQCuOnqw9JwfE2bl4ikG4p++wo06cdM31qbhdk0kWjLnQXf63rt6SyzMM7ZrERoms6ys2t1Ii5jh968l3ekAvsBOKlferQj9LvWUxgygZGl1TTaECiMJ9WmK+FpaZzGvxhczEgS80cRSIsRRaqbgl3oD3jvYCd7mWqFMC40Mj8f1Xw== r";
const DSA: &str = "ssh-dss AAAAB3NzaC1kc3MAAACBAOOlXM6tA3Cfcq/F+oUXf/mQSlVTwqKKuVjob0ZdzNcz64sW0ebZC9VPk8n9LYe2iXskUf4EzeKUP06xYoxM4bJh02RqDGcKbFjURgEk91O/rI4dPdonKk/rSP7tZk0QjyKOPwLOqmqMybyQaAlYNHG2nkYI9q9uFZbVClI6XdOlAAAAFQD7IDhW5fxF8u5c5vPz5/k7lsgzvwAAAIAK/zumvfN4UerhDyT/he9Mp9treaN3MAMXqxhTHrbx39m80k1YoCzW9RmMSD0vFVrOkrl4UMOC3ueDFIwxXWj6MZ/g3COIPYBBAnQ16Cf0alGfssko7C7lpDAUSD8JUa88/Kt6IukBtuzbZgMQfaLEh/PjMxa3JKO+ASvPiofbyQAAAIEAl490pho4MRJVA4iCwH6QBFDA5KsrWd6fcMum1PdNV79iXryWP9mPEL/3XURtb92Dtq7nopEfOFf0MHX5pkdlZQ4yCh63uS5mSnvVsrws40e86vhglmQQUt/b0tXJZx9JR8e2EPfrXeBH9/CmJPluE/TSMYJ4IlheTI3M0xCt38M= d";

/// What is said of a list with this one key in it.
fn key(text: &str) -> String {
    Test::raw("version: 1\nname: t\ndistribution: debian-13\n")
        .set(&format!("admin.ssh_keys=[{}]", serde_json::json!(text)))
        .findings()
}

#[test]
fn keys_are_checked_as_keys() {
    for (bad, wanted) in [
        ("ssh-ed25519 AAAA", "error[ssh-key] `ssh-ed25519 AAAA` is not an OpenSSH public key"),
        ("ssh-ed25519", "is not an OpenSSH public key"),
        (&format!("{KEY}\n"), "an SSH key is one line without line breaks"),
        (&format!("command=\"x\" {KEY}"), "is not an OpenSSH public key"),
        (RSA_1024, "error[ssh-key] this RSA key has 1024 bits, fewer than 2048"),
        (DSA, "error[ssh-key] this is a DSA key, which OpenSSH no longer accepts"),
        (&KEY.replace("IEF75", "IEF7"), "is not an OpenSSH public key"),
    ] {
        assert!(key(bad).contains(wanted), "{bad}: {}", key(bad));
    }
}

#[test]
fn a_private_key_is_refused_and_never_shown() {
    let private = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH PRIVATE KEY-----\n";
    let loaded = Test::new("").set(&format!("admin.ssh_keys=[{}]", serde_json::json!(private))).load();
    let shown = loaded.report.render_human(false, 200);
    assert!(shown.contains("PRIVATE key") && !shown.contains("b3BlbnNzaC1rZXk"), "{shown}");
    assert!(!loaded.report.to_json().to_string().contains("b3BlbnNzaC1rZXk"));
}

#[test]
fn a_secret_that_is_written_out_is_told_and_not_shown() {
    for line in ["environment: {DB_PASSWORD: hunter2}", "environment: [\"API_TOKEN=hunter2\"]", "environment: {DATABASE_URL: \"postgresql://u:hunter2@db/x\"}"] {
        let test = Test::service(line);
        let loaded = test.load();
        let said = loaded.report.render_human(false, 100);
        assert!(said.contains("[open-secret]") && !said.contains("hunter2"), "{line}:\n{said}");
    }
    for line in ["environment: {DB_PASSWORD_FILE: /run/secrets/db}", "environment: {ALLOW_EMPTY_PASSWORD: \"yes\", COMPASS: north}", "environment: {URL: \"https://t.dev/\"}"] {
        assert!(!Test::service(line).load().report.render_human(false, 100).contains("open-secret"), "{line}");
    }
}

#[test]
fn no_finding_shows_a_line_with_a_secret_on_it() {
    for line in ["environment: {SMTP_PASS: hunter2, URL: \"https://shop.example.com\"}", "environment: {SMTP_PASS: hunter2, B: \"${é}\"}", "environment: {SMTP_PASS: hunter2}\nenvironmen: {SMTP_PASS: hunter2}"] {
        let loaded = Test::service(line).load();
        assert!(loaded.report.findings().len() > 1, "{line}");
        // Not even where the finding that would hide it is left out.
        for only in [false, true] {
            let mut report = loaded.report.clone();
            if only { report.only_errors() }
            let said = report.render_human(false, 100);
            assert!(!said.contains("hunter2"), "{line}:\n{said}");
        }
    }
}

#[test]
fn what_is_no_image_is_refused() {
    for image in ["Foo:1", "acme/shop:1:2", "acme/shop: 1", "acme/shop:", "https://ghcr.io/a/b:1", "a/b@sha256:12"] {
        let said = Test::service("").set(&format!("services.a.image={image:?}")).findings();
        assert!(said.contains("[bad-image]"), "{image}:\n{said}");
    }
    for image in ["x:1", "localhost:5000/x:1", "ghcr.io/a/b/c:v1.2-rc", "a/b@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"] {
        let said = Test::service("").set(&format!("services.a.image={image:?}")).findings();
        assert!(!said.contains("bad-image"), "{image}:\n{said}");
    }
}

#[test]
fn a_redis_with_a_password_lets_its_backup_in() {
    let service = |more: &str| format!("command: redis-server --requirepass ${{PW}}\n{more}\nx-bootstrap: {{backup: redis}}");
    let with = |more: &str| Test::service(&service(more)).set("secrets={PW: generate}").set("backup={}").findings();
    assert!(with("").contains("[redis-password]"), "{}", with(""));
    for good in ["environment: {REDISCLI_AUTH: \"${PW}\"}", "environment: [\"REDISCLI_AUTH=${PW}\"]"] {
        assert!(!with(good).contains("redis-password"), "{}", with(good));
    }
    let said = Test::service("command: [redis-server, --requirepass, hunter2]").findings();
    assert!(said.contains("[open-secret]") && !said.contains("hunter2"), "{said}");
}
