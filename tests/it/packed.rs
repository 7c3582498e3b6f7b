//! Packed user-data, unpacked by the Python that it carries.

use crate::support::Test;
use julia_bootstrap::distribution::Distribution;
use julia_bootstrap::encode::{self, Encoded, Format};
use julia_bootstrap::plan::{self, File, Plan};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const FORMS: [Format; 3] = [Format::Packed, Format::Lzma, Format::Sh];

/// A plan of nothing but these files, below `root`.
fn plan_of(root: &Path, files: &[(&str, u32, &str)]) -> Plan {
    let file = |(path, mode, content): &(&str, u32, &str)| File {
        path: format!("{}/{path}", root.display()),
        mode: *mode,
        content: (*content).to_owned(),
        section: "test",
        strip: false,
    };
    Plan {
        name: "t".into(),
        hostname: "t".into(),
        distribution: Distribution::Debian13,
        packages: vec![],
        files: files.iter().map(file).collect(),
        stages: vec![],
        ports: vec![],
        secrets: vec![],
    }
}

/// The program in user-data.
fn program_of(user_data: &str) -> String {
    // In a cloud-config all of it is indented.
    let indent = if user_data.starts_with("#cloud-config") { "  " } else { "" };
    let plain: String = user_data.lines().map(|line| format!("{}\n", line.strip_prefix(indent).unwrap_or(line))).collect();
    plain.split_once("<<'{'").expect("a program").1.split_once('\n').expect("a program").1.split_once("\n{\n").expect("its end").0.to_owned() + "\n"
}

/// Runs what cloud-init would run, with the mark below `root`; the end, where the stages would start, only says so.
fn unpack(user_data: &str, root: &Path) -> Output {
    python(&placed(&program_of(user_data), root))
}

/// The program with its mark below `root`, and an end that only says so.
fn placed(program: &str, root: &Path) -> String {
    let own = |text: &str, from: &str, to: &str| {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text.replace(from, to)
    };
    let program = own(program, "'/var/lib/julia-bootstrap/bundle'", &format!("'{}/mark'", root.display()));
    own(&program, "os.execv('/usr/local/lib/julia-bootstrap/start',['start'])", "print('started')")
}

/// What Python makes of a program.
fn python(program: &str) -> Output {
    let mut python = Command::new("python3")
        .args(["-W", "error", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3");
    python.stdin.take().expect("a pipe").write_all(program.as_bytes()).expect("writing");
    python.wait_with_output().expect("python3")
}

/// Its user-data, which is text.
fn written(encoded: &Encoded) -> String {
    String::from_utf8(encoded.user_data.clone()).expect("text")
}

fn started(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, b"started\n");
}

#[test]
fn every_byte_of_every_file_comes_back() {
    let noise: String = (0..4000u32).map(|n| char::from(b' ' + (n.wrapping_mul(2_654_435_761) >> 20) as u8 % 95)).collect();
    let controls: String = (1..160u8).map(char::from).collect();
    let deep = "([{\"'".repeat(300) + &")]}".repeat(500);
    let ascii = [
        ("empty", 0o644, ""),
        ("no-end", 0o600, "x"),
        ("lines", 0o640, "\n\r\n\n \t \n"),
        ("run", 0o755, &"a".repeat(5000)),
        ("noise", 0o400, &noise),
        ("deep", 0o644, &deep),
        ("a/b/c d", 0o644, "'''\\\"\"\"${x} {{ y }} {% z %} `w` <<'{'\n{\n'''if c>32]\n"),
        ("script.py", 0o755, "#!/usr/bin/python3\nif x:\n    print(f\"{x}\")\n"),
    ];
    let text = "\u{feff}é ü 日本語 🦀 \u{85}\u{2028}\u{fffd}\n".repeat(3);
    let mut all = ascii.to_vec();
    all.extend([("controls", 0o644, controls.as_str()), ("text-é", 0o644, text.as_str())]);
    for files in [&ascii[..], &all, &[]] {
        for form in FORMS {
            let root = tempfile::tempdir().expect("a folder");
            let encoded = form.encode(&plan_of(root.path(), files)).expect("encoding");
            assert!(encoded.user_data.is_ascii() && encoded.user_data.split(|byte| *byte == b'\n').all(|line| line.len() < 4096));
            started(&unpack(&written(&encoded), root.path()));
            for (path, mode, content) in files {
                let path = root.path().join(path);
                assert!(fs::read(&path).expect("the file") == content.as_bytes(), "{path:?} by {form:?}");
                assert_eq!(fs::metadata(&path).expect("the file").permissions().mode() & 0o7777, *mode, "{path:?}");
            }
            assert_eq!(fs::read_to_string(root.path().join("mark")).expect("the mark"), encoded.sha256);
        }
    }
}

#[test]
fn a_damaged_payload_writes_nothing() {
    for form in FORMS {
        let root = tempfile::tempdir().expect("a folder");
        let content = "what is said here is said once, or twice\n".repeat(40);
        let encoded = form.encode(&plan_of(root.path(), &[("file", 0o644, &content)])).expect("encoding");
        let user_data = written(&encoded);
        let lines: Vec<_> = user_data.lines().collect();
        let place = lines.iter().position(|line| line.contains("b'''")).expect("the payload") + 1;
        let line = lines[place];
        // One digit exchanged, and the last ones missing.
        let swapped = if line.as_bytes()[60] == b'x' { "y" } else { "x" };
        for damaged in [format!("{}{swapped}{}", &line[..60], &line[61..]), line[..line.len() - 20].to_owned()] {
            let output = unpack(&user_data.replacen(line, &damaged, 1), root.path());
            assert!(!output.status.success());
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(form == Format::Lzma || said.contains("the payload is damaged"), "{said}");
            assert_eq!(fs::read_dir(root.path()).expect("the folder").count(), 0);
        }
    }
}

/// Python compiles a program before it runs it: of all that is left when the end is missing, it must take nothing.
#[test]
fn what_lost_its_end_is_no_program() {
    let root = tempfile::tempdir().expect("a folder");
    let plan = plan_of(root.path(), &[("file", 0o644, &"so it goes\n".repeat(30))]);
    let url = url::Url::parse("https://files.example.com/t.bundle").expect("a URL");
    let stub = encode::remote(&plan, &url, encode::Frame::Script).expect("a stub").0;
    let forms = FORMS.map(|form| form.encode(&plan).expect("encoding"));
    for encoded in forms.iter().chain([&stub]) {
        let program = program_of(&written(encoded));
        let program = program.trim_end();
        let from = program.find("try:").expect("its beginning") + 4;
        let check = format!(
            "p={program:?}\nfor n in range({from},len(p)):\n try:compile(p[:n],'p','exec')\n except SyntaxError:continue\n raise SystemExit(repr(p[:n][-60:]))\ncompile(p,'p','exec')\n"
        );
        let output = python(&check);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// It ends at each of its steps in turn; the next start brings all files, whole.
#[test]
fn an_end_at_any_step_heals() {
    let files = [("a", 0o644, "first\n"), ("b/c", 0o600, "second\n"), ("d", 0o755, "third\n")];
    for step in 0.. {
        let root = tempfile::tempdir().expect("a folder");
        let encoded = Format::Lzma.encode(&plan_of(root.path(), &files)).expect("encoding");
        let user_data = written(&encoded);
        let dies = format!(
            "import os\nleft={step}\ndef counted(f):\n def g(*a,**k):\n  global left\n  left-=1\n  if left<0:os._exit(9)\n  return f(*a,**k)\n return g\nfor n in('fchmod','rename','sync','makedirs'):setattr(os,n,counted(getattr(os,n)))\n"
        );
        let program = placed(&program_of(&user_data), root.path());
        let died = python(&(dies + &program));
        let whole = root.path().join("mark").exists();
        assert_eq!(died.stdout == b"started\n", died.status.success(), "{}", String::from_utf8_lossy(&died.stderr));
        assert!(whole || !died.status.success());
        started(&unpack(&user_data, root.path()));
        for (path, mode, content) in files {
            let path = root.path().join(path);
            assert_eq!(fs::read_to_string(&path).expect("the file"), content, "{path:?} after {step} steps");
            assert_eq!(fs::metadata(&path).expect("the file").permissions().mode() & 0o7777, mode, "{path:?} after {step} steps");
        }
        if died.status.success() {
            assert!(step > 10, "it died {step} times");
            return;
        }
    }
}

#[test]
fn what_is_there_is_not_unpacked_again() {
    let root = tempfile::tempdir().expect("a folder");
    let unpack_with = |content: &str| {
        let encoded = Format::Packed.encode(&plan_of(root.path(), &[("file", 0o644, content)])).expect("encoding");
        started(&unpack(&written(&encoded), root.path()));
        fs::read_to_string(root.path().join("file")).expect("the file")
    };
    assert_eq!(unpack_with("first"), "first");
    fs::write(root.path().join("file"), "changed").expect("writing");
    assert_eq!(unpack_with("first"), "changed");
    assert_eq!(unpack_with("second"), "second");
}

#[test]
fn all_forms_of_a_machine_are_the_same_machine() {
    let profile = Test::new("").load().profile.expect("a profile");
    let mut plan = plan::plan(&profile).expect("a plan");
    let roots: Vec<_> = FORMS.iter().map(|_| tempfile::tempdir().expect("a folder")).collect();
    let paths: Vec<_> = plan.files.iter().map(|file| file.path.clone()).collect();
    let mut found = Vec::new();
    for (form, root) in FORMS.iter().zip(&roots) {
        for (file, path) in plan.files.iter_mut().zip(&paths) {
            file.path = format!("{}{path}", root.path().display());
        }
        started(&unpack(&written(&form.encode(&plan).expect("encoding")), root.path()));
        let read = |path: &String| fs::read_to_string(format!("{}{path}", root.path().display())).expect("the file");
        found.push(paths.iter().map(read).collect::<Vec<_>>());
    }
    assert!(found[0].len() > 30 && found.iter().all(|one| *one == found[0]));
    assert!(found[0].iter().any(|text| text.starts_with("#!/usr/bin/python3\nimport")));
}

#[test]
fn wrapped_forms_are_the_packed_one_to_python() {
    let plan = plan::plan(&Test::new("").load().profile.expect("a profile")).expect("a plan");
    let packed = Format::Packed.encode(&plan).expect("encoding");
    for (form, program) in [
        (Format::Gzip, "import gzip,sys;sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))"),
        (Format::Base64, "import base64,gzip,sys;sys.stdout.buffer.write(gzip.decompress(base64.b64decode(sys.stdin.buffer.read(),validate=True)))"),
    ] {
        let encoded = form.encode(&plan).expect("encoding");
        assert_eq!(encoded.sha256, packed.sha256);
        assert!(encoded.user_data.len() < packed.user_data.len() * 21 / 19, "{form:?}");
        assert_eq!(form.encode(&plan).expect("encoding").user_data, encoded.user_data);
        let mut python = Command::new("python3").args(["-c", program]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3");
        python.stdin.take().expect("a pipe").write_all(&encoded.user_data).expect("writing");
        assert!(python.wait_with_output().expect("python3").stdout == packed.user_data, "{form:?}");
    }
}

/// Runs a script by dash behind lines of another, with everything below `root` and a `systemctl` that notes what it is asked.
fn dash(script: &str, root: &Path) -> Output {
    let bin = root.join("bin");
    fs::create_dir_all(&bin).expect("a folder");
    fs::create_dir_all(root.join("etc/systemd/system")).expect("a folder");
    fs::write(bin.join("systemctl"), format!("#!/bin/sh\necho \"$*\" >>{}/asked\n", root.display())).expect("writing");
    fs::set_permissions(bin.join("systemctl"), fs::Permissions::from_mode(0o755)).expect("permissions");
    let script = script.replace("/var/lib/julia-bootstrap", &format!("{}/var", root.display())).replace("/etc/systemd", &format!("{}/etc/systemd", root.display()));
    fs::write(root.join("script"), format!("#!/bin/sh\nFOREIGN=1\ntrue || exit 1\n{script}")).expect("writing");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("PATH"));
    Command::new("dash").arg(root.join("script")).env("PATH", path).output().expect("dash")
}

#[test]
fn a_script_leaves_a_unit_behind_before_anything_else() {
    let root = tempfile::tempdir().expect("a folder");
    let encoded = Format::Sh.encode(&plan_of(root.path(), &[("file", 0o644, "x")])).expect("encoding");
    let output = dash(&written(&encoded), root.path());
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let program = fs::read_to_string(root.path().join("var/unpack.py")).expect("the program");
    assert!(program.starts_with("import lzma,os\n") && program.ends_with("['start'])]\n"));
    let unit = fs::read_to_string(root.path().join("etc/systemd/system/julia-bootstrap-unpack.service")).expect("the unit");
    assert!(unit.contains("/var/unpack.py\n") && unit.contains("Restart=on-failure"));
    let asked = fs::read_to_string(root.path().join("asked")).expect("what systemctl was asked");
    assert_eq!(asked, "daemon-reload\n-q enable julia-bootstrap-unpack.service\n--no-block start julia-bootstrap-unpack.service\n");
    // Nothing is unpacked by the script itself.
    assert!(!root.path().join("file").exists());
}

#[test]
fn a_stub_runs_no_byte_that_was_not_rendered() {
    let root = tempfile::tempdir().expect("a folder");
    let mut server = mockito::Server::new();
    let url = url::Url::parse(&format!("{}/my.bundle", server.url())).expect("a URL");
    let (stub, bundle) = encode::remote(&plan_of(root.path(), &[("file", 0o644, "x")]), &url, encode::Frame::CloudConfig).expect("encoding");
    assert!(stub.user_data.len() < 2500, "{}", stub.user_data.len());
    let mut longer = bundle.clone();
    longer.push(0);
    let mut flipped = bundle.clone();
    flipped[20] ^= 1;
    for (body, status, good) in [(&bundle[..bundle.len() - 1], 200, false), (&longer, 200, false), (&flipped, 200, false), (&bundle, 404, false), (&bundle, 200, true)] {
        let mock = server.mock("GET", "/my.bundle").with_status(status).with_body(body).create();
        let output = unpack(&written(&stub), root.path());
        mock.assert();
        assert_eq!(output.status.success(), good, "{output:?}");
        assert_eq!(root.path().join("file").exists(), good);
    }
}
