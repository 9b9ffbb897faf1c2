//! What walkeep reads of a server's configuration, against what the server itself says that it read.

use std::path::Path;

use walkeep::cluster::{ArchiveMode, Cluster, ConfigFault, FaultKind, Origin, ServerConfig, Setting};

use crate::support::node::Node;
use crate::support::product::Product;
use crate::support::scratch::Scratch;
use crate::support::wait_until;

on_every_server!(
    a_configuration_is_read_as_the_server_reads_it,
    a_configuration_that_lies_elsewhere_is_found,
    faults_of_a_configuration_are_found_where_the_server_finds_them
);

/// Every form that the servers' grammar takes; the last lines count.
const NASTY: &str = r"
archive_mode on # no equals sign
ARCHIVE_COMMAND = 'first'
archive_command='cp %p ''/a b/%f'' # \'no\' comment \\ \101\tx'
	Archive_Timeout	=	1h	# a unit
wal_level=replica
checkpoint_completion_target = .5
work_mem = 0x1000kB
my_extension.quite_new = 'ümlaut'
search_path = pg-catalog.x:y/z
cluster_name = 'cluster'
include_if_exists = 'gone.conf'
include = '../node/one.conf'
include_dir 'conf.d'
archive_timeout = 2min
";

fn config(node: &Node) -> ServerConfig {
    Cluster::find(&node.data).unwrap().server_config().unwrap()
}

/// A path under PostgreSQL's name.
fn plain(path: &Path) -> String {
    path.display().to_string().replace("/kingbase.", "/postgresql.")
}

/// A setting as the server shows one of pg_file_settings.
fn row(setting: &Setting) -> Option<String> {
    match &setting.origin {
        Origin::File { file, line } => {
            Some(format!("{}|{line}|{}|{}", plain(file), setting.name, setting.value))
        }
        Origin::RecoveryConf { .. } | Origin::CommandLine { .. } => None,
    }
}

fn rows(answer: &str) -> Vec<String> {
    answer.lines().map(str::to_owned).collect()
}

fn write_nasty(scratch: &Scratch, node: &Node) {
    scratch.make_directory(&format!("{}/conf.d", node.data.file_name().unwrap().to_str().unwrap()));
    scratch.write(&node.data.join("one.conf"), "archive_command 'one'\nrestore_command = 'one'\n");
    for name in ["10.conf", "9.conf", "B.conf", "a.conf", ".hidden.conf", "x.conf.bak"] {
        let text = format!("\n\nrestore_command = 'of {name}'\nwork_mem = 5MB # last line has no end");
        scratch.write(&node.data.join("conf.d").join(name), text);
    }
    node.append(NASTY);
}

fn a_configuration_is_read_as_the_server_reads_it(product: Product) {
    let scratch = Scratch::new();
    let mut node = Node::initdb_with_segments(&scratch, "node", product, 1);
    write_nasty(&scratch, &node);
    node.add_argument("-c");
    node.add_argument("archive_mode=always");
    node.add_argument("--archive-cleanup-command=echo \"%r\" 'x y'");
    node.start();
    node.sql(r"ALTER SYSTEM SET archive_command = E'it''s \\ \'last\' %p'");
    node.sql("ALTER SYSTEM SET archive_timeout = 61");
    node.sql("SELECT pg_reload_conf()");
    let shown = |column: &str, name: &str| {
        node.sql(&format!("SELECT {column} FROM pg_settings WHERE name = '{name}'"))
    };
    wait_until("the server has read its files again", || shown("setting", "archive_timeout") == "61");

    let config = config(&node);
    assert_eq!(config.faults(), []);
    let read: Vec<String> = config.settings().iter().filter_map(row).collect();
    let every = "SELECT sourcefile, sourceline, lower(name), setting FROM pg_file_settings ORDER BY seqno";
    assert_eq!(read, rows(&node.sql(every)));

    // What counts of them; names that are a unit's number in pg_settings are left to the list above.
    let mut names = vec!["archive_command", "archive_mode", "archive_cleanup_command", "wal_level"];
    names.extend(["restore_command", "cluster_name", "log_directory", "search_path"]);
    for name in names {
        let value = config.value(name);
        let place = value.and_then(|setting| match &setting.origin {
            Origin::File { file, line } => Some(format!("{}|{line}", plain(file))),
            _ => None,
        });
        if let Some(value) = value {
            assert_eq!(value.value, shown("setting", name), "{name}");
        }
        assert_eq!(place.unwrap_or("|".to_owned()), shown("sourcefile, sourceline", name), "{name}");
    }
    assert_eq!(config.archive_mode(), Some(ArchiveMode::Always));
    assert_eq!(config.value("restore_command").unwrap().value, "of a.conf");
    let started = |name: &str| matches!(config.value(name).unwrap().origin, Origin::CommandLine { .. });
    assert!(started("archive_mode") && started("archive_cleanup_command"));
    assert_eq!(shown("source", "archive_mode"), "command line");
}

/// As Debian keeps it: the main file is named on the command line, and names the data directory.
fn a_configuration_that_lies_elsewhere_is_found(product: Product) {
    let scratch = Scratch::new();
    let mut node = Node::initdb_with_segments(&scratch, "node", product, 1);
    let etc = scratch.make_directory("etc");
    scratch.make_directory("etc/conf.d");
    scratch.copy(&node.data.join("postgresql.conf"), &etc.join("main.conf"));
    node.append("archive_command = 'not read'\n");
    scratch.write(&etc.join("conf.d/a.conf"), "archive_command = 'read'\n");
    let data = node.data.display().to_string();
    let more =
        format!("\ndata_directory = '{data}'\nhba_file = '{data}/pg_hba.conf'\ninclude_dir = 'conf.d'\n");
    let mut main = std::fs::read_to_string(etc.join("main.conf")).unwrap();
    main.push_str(&format!("{more}ident_file = '{data}/pg_ident.conf'\n"));
    scratch.write(&etc.join("main.conf"), main);
    node.add_argument(&format!("--config-file={}", etc.join("main.conf").display()));
    node.start();
    node.sql("ALTER SYSTEM SET restore_command = 'by ALTER SYSTEM'");

    for running in [true, false] {
        let config = config(&node);
        assert_eq!(config.faults(), [], "running: {running}");
        let read: Vec<String> = config.settings().iter().filter_map(row).collect();
        assert!(read.contains(&format!("{}/conf.d/a.conf|1|archive_command|read", etc.display())));
        assert!(read.contains(&format!("{data}/postgresql.auto.conf|3|restore_command|by ALTER SYSTEM")));
        assert_eq!(config.value("archive_command").unwrap().value, "read");
        if running {
            let every = "SELECT sourcefile, sourceline, name, setting FROM pg_file_settings ORDER BY seqno";
            assert_eq!(read, rows(&node.sql(every)));
            node.stop();
        }
    }
}

/// Lines that no server understands, or cannot follow.
const BROKEN: [&str; 15] = [
    "archive_command = 'no end",
    "archive_command =",
    "archive_command",
    "include es_rep.conf",
    "work_mem = 16 MB",
    "a.b.c = d",
    "work_mem = 1.5MB",
    "archive_mode = on off",
    "?",
    "= x",
    "include 'gone.conf'",
    "include_dir 'gone.d'",
    "archive_command = 'it''s'' no end",
    r"archive_command = 'x\'",
    "include 'loop.conf'",
];

/// The server shows the first fault of its files, so that each is asked for alone; and then all are there.
fn faults_of_a_configuration_are_found_where_the_server_finds_them(product: Product) {
    let scratch = Scratch::new();
    let mut node = Node::initdb_with_segments(&scratch, "node", product, 1);
    node.append("include_if_exists = 'broken.conf'\n");
    node.start();
    scratch.write(&node.data.join("loop.conf"), "include 'pool.conf'\n");
    scratch.write(&node.data.join("pool.conf"), "work_mem = 4MB\n\ninclude 'loop.conf'\n");
    let place = |fault: &ConfigFault| format!("{}|{}", plain(&fault.file), fault.line.unwrap());
    let broken = |lines: &str| {
        scratch.write(
            &node.data.join("broken.conf"),
            format!("# such as\n\narchive_command = 'good'\n{lines}\n"),
        );
    };
    for line in BROKEN {
        broken(line);
        let theirs = "SELECT sourcefile, sourceline FROM pg_file_settings WHERE name IS NULL";
        let config = config(&node);
        let found: Vec<String> = config.faults().iter().map(place).collect();
        assert_eq!(found, rows(&node.sql(theirs)), "<{line}> {:#?}", config.faults());
        assert_eq!(config.refused_by_the_server().count(), 1, "{line}");
    }

    broken(&BROKEN.join("\n"));
    let config = config(&node);
    let (last, others) = config.faults().split_last().unwrap();
    assert!(matches!(last.kind, FaultKind::TooDeep { .. }));
    let lines: Vec<u32> = others.iter().map(|fault| fault.line.unwrap()).collect();
    assert_eq!(lines, (4..=17).collect::<Vec<u32>>());
    // And the server takes nothing from them.
    node.sql("SELECT pg_reload_conf()");
    wait_until("the server has refused its files", || node.log().contains("no changes were applied"));
    assert_eq!(config.value("archive_command").unwrap().value, "good");
    assert_ne!(node.sql("SHOW archive_command"), "good");
}
