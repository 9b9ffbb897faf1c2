use super::super::samples::{fixture, kingbase_control_file, lay_out, row, write};
use super::*;
use std::os::unix::fs::symlink;
use std::process::Command;

/// A data directory whose main file is empty.
struct Scratch {
    dir: tempfile::TempDir,
    key: &'static str,
    version: &'static str,
}

impl Scratch {
    fn new() -> Self {
        Self::of("postgresql", "15", &fixture("15/running/pg_control"))
    }

    fn of(key: &'static str, version: &'static str, control_file: &[u8]) -> Self {
        let scratch = Self { dir: tempfile::tempdir().unwrap(), key, version };
        lay_out(scratch.dir.path(), row(key, version), version, control_file);
        scratch.write(row(key, version).conf_file, "");
        scratch
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        write(&self.path(name), text);
    }

    fn config(&self) -> ServerConfig {
        let cluster = Cluster::find(self.dir.path()).unwrap();
        assert_eq!(cluster.dialect(), row(self.key, self.version));
        cluster.server_config().unwrap()
    }

    /// A name's settings as "value@file:line".
    fn found(&self, name: &str) -> Vec<String> {
        let config = self.config();
        assert_eq!(config.value(name), config.values(name).last());
        config.values(name).map(|setting| self.shown(setting)).collect()
    }

    fn shown(&self, setting: &Setting) -> String {
        let root = format!("{}/", self.dir.path().display());
        format!("{}@{}", setting.value, setting.origin.to_string().replace(&root, ""))
    }

    fn faults(&self) -> Vec<String> {
        let root = format!("{}/", self.dir.path().display());
        self.config().faults().iter().map(|fault| fault.to_string().replace(&root, "")).collect()
    }
}

#[test]
fn the_last_value_counts_and_every_value_is_known_with_its_place() {
    let scratch = Scratch::new();
    scratch.write("postgresql.conf", "archive_command = 'a'\n\nARCHIVE_COMMAND 'b' # again\n");
    scratch.write("postgresql.auto.conf", "# ALTER SYSTEM\narchive_command = 'c''c'\n");
    scratch.write("postmaster.opts", "/bin/postgres \"-D\" \"/x\" \"-c\" \"archive_command=d\"\n");
    let expected = [
        "a@postgresql.conf:1",
        "b@postgresql.conf:3",
        "c'c@postgresql.auto.conf:2",
        "d@the command line in postmaster.opts",
    ];
    assert_eq!(scratch.found("archive_command"), expected);
    assert_eq!(scratch.found("Archive_Command"), expected);
    assert_eq!(scratch.found("restore_command"), [""; 0]);
    assert_eq!(scratch.faults(), [""; 0]);
    assert!(scratch.config().is_certain());
}

#[test]
fn includes_stand_where_they_are_written() {
    let scratch = Scratch::new();
    let nested = scratch.path("conf/deep/abs.conf");
    scratch.write(
        "postgresql.conf",
        "a=1\ninclude = 'conf/one.conf'\na=5\ninclude_if_exists 'gone.conf'\ninclude_if_exists = 'es_rep.conf'\n",
    );
    scratch
        .write("conf/one.conf", format!("a=2\ninclude './deep/../two.conf'\ninclude '{}'", nested.display()));
    scratch.write("conf/two.conf", "a=3");
    scratch.write("conf/deep/abs.conf", "\na=4\n");
    scratch.write("es_rep.conf", "a=6\n");
    assert_eq!(
        scratch.found("a"),
        [
            "1@postgresql.conf:1",
            "2@conf/one.conf:1",
            "3@conf/two.conf:1",
            "4@conf/deep/abs.conf:2",
            "5@postgresql.conf:3",
            "6@es_rep.conf:1"
        ]
    );
    assert_eq!(scratch.faults(), [""; 0]);
    assert_eq!(scratch.config().files().len(), 5);
}

#[test]
fn a_directory_is_included_in_the_order_of_its_names_and_without_others() {
    let scratch = Scratch::new();
    scratch.write("postgresql.conf", "include_dir 'conf.d'\n");
    for name in
        ["10.conf", "9.conf", "B.conf", "a.conf", ".hidden.conf", "x.conf~", ".conf", "conf", "z.CONF"]
    {
        scratch.write(&format!("conf.d/{name}"), format!("a='{name}'\n"));
    }
    std::fs::create_dir(scratch.path("conf.d/dir.conf")).unwrap();
    let values: Vec<String> = scratch.config().values("a").map(|setting| setting.value.clone()).collect();
    assert_eq!(values, ["10.conf", "9.conf", "B.conf", "a.conf"]);
    assert_eq!(scratch.faults(), [""; 0]);
}

#[test]
fn the_way_up_from_a_symbolic_link_is_that_of_the_version() {
    let (new, old) = (Scratch::new(), Scratch::of("postgresql", "12", &fixture("12/running/pg_control")));
    for scratch in [&new, &old] {
        scratch.write("postgresql.conf", "include 'link/../up.conf'\n");
        scratch.write("up.conf", "a = 'by text'\n");
        scratch.write("far/up.conf", "a = 'by kernel'\n");
        scratch.write("far/away/x", "");
        symlink(scratch.path("far/away"), scratch.path("link")).unwrap();
    }
    assert_eq!(new.found("a"), ["by text@up.conf:1"]);
    assert_eq!(old.found("a"), ["by kernel@link/../up.conf:1"]);
}

#[test]
fn what_is_to_be_included_and_is_not_there_is_a_fault() {
    let scratch = Scratch::new();
    scratch.write("postgresql.conf", "include 'gone'\ninclude_dir 'gone.d'\ninclude ' '\na=1\n");
    let gone = |name: &str| format!("'{}' is not there", scratch.path(name).display());
    let root = format!("{}/", scratch.dir.path().display());
    let expected = [
        format!("postgresql.conf:1: {}", gone("gone")),
        format!("postgresql.conf:2: {}", gone("gone.d")),
        "postgresql.conf:3: an include without a name".to_owned(),
    ];
    assert_eq!(scratch.faults(), expected.map(|text| text.replace(&root, "")));
    assert_eq!(scratch.found("a"), ["1@postgresql.conf:4"]);
    assert_eq!(scratch.config().refused_by_the_server().count(), 3);
    assert!(scratch.config().is_certain(), "nothing is hidden");
}

#[test]
fn a_data_directory_without_its_main_file_is_uncertain() {
    let scratch = Scratch::new();
    #[expect(clippy::disallowed_methods, reason = "a scratch file of a test")]
    std::fs::remove_file(scratch.path("postgresql.conf")).unwrap();
    assert_eq!(scratch.faults(), ["postgresql.conf: 'postgresql.conf' is not there"]);
    assert!(!scratch.config().is_certain());
}

#[test]
fn loops_end_where_the_server_ends_them() {
    let scratch = Scratch::new();
    scratch.write("postgresql.conf", "include 'postgresql.conf'\na=1\n");
    assert_eq!(scratch.faults(), ["postgresql.conf:1: it includes itself"]);
    scratch.write("postgresql.conf", "include 'other.conf'\na=1\n");
    scratch.write("other.conf", "include 'postgresql.conf'\n");
    assert_eq!(scratch.faults(), ["postgresql.conf:1: 'other.conf' is included more than 10 files deep"]);
    assert_eq!(scratch.found("a").len(), 6);
    scratch.write("other.conf", "include 'postgresql.conf'\n".repeat(5));
    assert!(scratch.config().files().len() <= MOST_FILES + 1);
    assert!(!scratch.config().is_certain(), "too many files");
}

#[test]
fn what_hides_settings_is_told_however_many_faults_there_are() {
    let scratch = Scratch::new();
    scratch.write("junk.conf", "?\n".repeat(99));
    std::fs::create_dir(scratch.path("no file")).unwrap();
    let junk = "include 'junk.conf'\n".repeat(20);
    scratch.write("postgresql.conf", format!("{junk}include 'no file'\na=1\n"));
    assert!(!scratch.config().is_certain());
    assert!(scratch.config().faults().len() < 1100);
    assert_eq!(scratch.found("a"), ["1@postgresql.conf:22"]);
    scratch.write("postgresql.conf", format!("{}a=1\n", "include_dir 'no file'\n".repeat(5000)));
    assert!(!scratch.config().is_certain(), "too many includes");
    assert_eq!(scratch.faults().len(), 1);
    assert_eq!(scratch.found("a"), ["1@postgresql.conf:5001"]);
}

#[test]
fn ten_files_deep_is_read_and_eleven_are_not() {
    let scratch = Scratch::new();
    for depth in 0..11 {
        scratch.write(&format!("{depth}.conf"), format!("include '{}.conf'\na={depth}\n", depth + 1));
    }
    scratch.write("postgresql.conf", "include '1.conf'\n");
    scratch.write("10.conf", "a=10\n");
    assert_eq!(scratch.faults(), [""; 0]);
    scratch.write("10.conf", "include '11.conf'\na=10\n");
    assert_eq!(scratch.faults(), ["10.conf:1: '11.conf' is included more than 10 files deep"]);
    assert_eq!(scratch.found("a").first().unwrap(), "10@10.conf:2");
}

#[test]
fn syntax_errors_have_their_line_and_the_rest_is_read() {
    let scratch = Scratch::new();
    scratch.write("postgresql.conf", "a = 'x\nb =\n<<<<<<< HEAD\na = 1\n");
    assert_eq!(
        scratch.faults(),
        [
            "postgresql.conf:1: syntax error near '\\''",
            "postgresql.conf:2: syntax error at the end of the line",
            "postgresql.conf:3: syntax error near '<'"
        ]
    );
    assert_eq!(scratch.found("a"), ["1@postgresql.conf:4"]);
    assert!(scratch.config().is_certain());
    assert_eq!(scratch.config().refused_by_the_server().count(), 3);
    scratch.write("postgresql.conf", format!("{}a = 1\n", "?\n".repeat(100)));
    assert_eq!(scratch.faults().len(), 101);
    assert_eq!(scratch.found("a"), [""; 0]);
}

#[test]
fn the_command_line_says_where_the_main_file_is() {
    let scratch = Scratch::new();
    let (data, etc) = (scratch.dir.path().display().to_string(), tempfile::tempdir().unwrap());
    let conf = etc.path().join("15/main.conf");
    scratch.write("postgresql.conf", "a = 'wrong'\n");
    scratch.write("postgresql.auto.conf", "a = 'auto'\n");
    write(&conf, format!("data_directory = '{data}'\na = 'debian'\ninclude_dir = 'conf.d'\n"));
    write(&conf.with_file_name("conf.d/x.conf"), "a = 'dir'\n");
    let opts = |text: String| scratch.write("postmaster.opts", text);
    opts(format!("p \"-D\" \"{data}\" \"-c\" \"config_file={}\"\n", conf.display()));
    let values = || scratch.config().values("a").map(|setting| setting.value.clone()).collect::<Vec<_>>();
    assert_eq!(values(), ["debian", "dir", "auto"]);
    opts(format!("p \"--config-file={}\"\n", conf.display()));
    assert_eq!(values(), ["debian", "dir", "auto"]);
    assert_eq!(scratch.faults(), [""; 0]);

    opts("p \"-c\" \"config_file=main.conf\"\n".to_owned());
    assert_eq!(values(), ["auto"]);
    let told = "postmaster.opts: 'main.conf' is relative to where the server was started";
    assert_eq!(scratch.faults(), [told]);
    assert!(!scratch.config().is_certain());
}

#[test]
fn a_directory_of_configuration_alone_counts_if_it_names_the_data_directory() {
    let scratch = Scratch::new();
    let etc = tempfile::tempdir().unwrap();
    let conf = etc.path().join("postgresql.conf");
    scratch.write("postgresql.conf", "a = 'here'\n");
    scratch.write("postmaster.opts", format!("p \"-D\" \"{}\"\n", etc.path().display()));
    assert_eq!(scratch.found("a"), ["here@postgresql.conf:1"]);
    write(&conf, "a = 'there'\n");
    assert_eq!(scratch.found("a"), ["here@postgresql.conf:1"], "where the data directory lay once");
    write(&conf, format!("data_directory = '{}'\na = 'there'\n", scratch.dir.path().display()));
    assert_eq!(scratch.found("a"), [format!("there@{}:2", conf.display())]);
    assert_eq!(scratch.faults(), [""; 0]);
}

#[test]
fn the_configuration_of_another_data_directory_is_no_answer() {
    let scratch = Scratch::new();
    scratch.write("postgresql.conf", "data_directory = '/nowhere/else'\na = 1\n");
    assert_eq!(scratch.faults(), ["postgresql.conf: it is the configuration of '/nowhere/else'"]);
    assert!(!scratch.config().is_certain());
}

#[test]
fn kingbase_has_its_own_names() {
    let scratch = Scratch::of("kingbase-v8r6", "12", &kingbase_control_file());
    scratch.write("kingbase.conf", "archive_mode=off\ninclude_if_exists = 'es_rep.conf'\n");
    scratch.write("es_rep.conf", "archive_mode='always'\n");
    scratch.write("kingbase.auto.conf", "archive_dest = ''\n");
    scratch.write("kingbase.opts", "/opt/Kingbase/bin/kingbase \"-D\" \"/x\" \"-c\" \"wal_level=logical\"\n");
    for stranger in ["postgresql.conf", "postgresql.auto.conf", "recovery.conf"] {
        scratch.write(stranger, "archive_mode = 'stranger'\n");
    }
    assert_eq!(scratch.found("archive_mode"), ["off@kingbase.conf:1", "always@es_rep.conf:1"]);
    assert_eq!(scratch.found("archive_dest"), ["@kingbase.auto.conf:1"]);
    assert_eq!(scratch.found("wal_level"), ["logical@the command line in kingbase.opts"]);
    assert_eq!(scratch.config().archive_mode(), Some(ArchiveMode::Always));
}

#[test]
fn the_settings_of_recovery_conf_are_found_and_marked() {
    let scratch = Scratch::of("postgresql", "11", &fixture("11/running/pg_control"));
    scratch.write("recovery.conf", "standby_mode = on\nrestore_command = 'x'\n");
    let config = scratch.config();
    let setting = config.value("restore_command").unwrap();
    assert_eq!(scratch.shown(setting), "x@recovery.conf:2");
    assert!(matches!(setting.origin, Origin::RecoveryConf { line: 2, .. }));
    assert_eq!(config.is_on("standby_mode"), Some(true));

    let newer = Scratch::new();
    newer.write("recovery.conf", "restore_command = 'x'\n");
    assert_eq!(newer.found("restore_command"), [""; 0]);
}

#[test]
fn a_file_that_is_too_long_is_a_fault_and_is_not_read_whole() {
    let scratch = Scratch::new();
    let long = std::fs::File::create(scratch.path("long.conf")).unwrap();
    long.set_len(1 << 40).unwrap();
    scratch.write("postgresql.conf", "include 'long.conf'\na=1\n");
    let config = scratch.config();
    assert!(matches!(config.faults().first().unwrap().kind, FaultKind::TooLong { .. }));
    assert!(!config.is_certain());
    assert_eq!(config.value("a").unwrap().value, "1");
    scratch.write("postgresql.conf", "a=1\n".repeat(MOST_SETTINGS + 5));
    assert_eq!(scratch.config().settings().len(), MOST_SETTINGS);
    assert!(!scratch.config().is_certain());
}

#[test]
fn what_is_no_file_is_a_fault_and_nothing_waits_for_it() {
    let scratch = Scratch::new();
    let fifo = scratch.path("fifo.conf");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    std::fs::create_dir(scratch.path("dir.conf")).unwrap();
    scratch
        .write("postgresql.conf", "include 'fifo.conf'\ninclude 'dir.conf'\ninclude_dir 'postgresql.conf'\n");
    let cause = |name: &str| format!("cannot read '{name}': it is not a regular file");
    assert_eq!(
        scratch.faults(),
        [
            format!("postgresql.conf:1: {}", cause("fifo.conf")),
            format!("postgresql.conf:2: {}", cause("dir.conf")),
            "postgresql.conf:3: 'postgresql.conf' is not there".to_owned()
        ]
    );
    assert!(!scratch.config().is_certain());
    scratch.write("postgresql.conf", "");
    symlink("/dev/null", scratch.path("postgresql.auto.conf")).unwrap();
    assert_eq!(scratch.faults(), [""; 0], "left out on purpose");
    symlink("self", scratch.path("self")).unwrap();
    scratch.write("postgresql.conf", "include_if_exists 'self'\n");
    assert!(!scratch.config().is_certain());
}

#[test]
fn bytes_that_are_no_text_leave_lines_and_paths_right() {
    let scratch = Scratch::new();
    scratch.write("postgresql.conf", b"# \xFF\xFE\na = '\xFF'\ninclude '\xFE.conf'\n");
    let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"\xFE.conf");
    write(&scratch.dir.path().join(name), "b = 1\n");
    assert_eq!(scratch.found("a"), ["\u{FFFD}@postgresql.conf:2"]);
    assert_eq!(scratch.config().value("b").unwrap().value, "1");
}

#[test]
fn booleans_and_archive_modes_are_read_as_the_servers_do() {
    for (value, is_on) in [
        ("on", Some(true)),
        ("ON", Some(true)),
        ("t", Some(true)),
        ("Yes", Some(true)),
        ("1", Some(true)),
        ("of", Some(false)),
        ("off", Some(false)),
        ("fal", Some(false)),
        ("n", Some(false)),
        ("0", Some(false)),
        ("o", None),
        ("", None),
        ("onn", None),
        ("2", None),
    ] {
        assert_eq!(parse_bool(value), is_on, "{value}");
        let scratch = Scratch::new();
        scratch.write("postgresql.conf", format!("archive_mode = '{value}'\n"));
        let mode = is_on.map(|on| if on { ArchiveMode::On } else { ArchiveMode::Off });
        assert_eq!(scratch.config().archive_mode(), mode, "{value}");
        assert_eq!(scratch.config().is_on("archive_mode"), is_on, "{value}");
    }
    let scratch = Scratch::new();
    assert_eq!(scratch.config().archive_mode(), Some(ArchiveMode::Off));
    scratch.write("postgresql.conf", "archive_mode = Always\n");
    assert_eq!(scratch.config().archive_mode(), Some(ArchiveMode::Always));
}
