//! What README, docs/ and the manual show is run, in a world of its own for each document: the places that it names
//! (`/archive`, `/data`, `/etc/walkeep`, ...) are there under these very names, with a PostgreSQL 15 that runs.
//!
//! A block of `sh` has to succeed, line by line. In a block of `console` what stands behind `$ ` (the servers' user)
//! and `# ` (root) is run, and what follows is what it printed: words have to agree, numbers may differ. The comment
//! before a block says what else there is to know: `<!-- not run: WHY -->`, `<!-- exits N -->`, and `<!-- before: SCRIPT
//! -->`, which runs unseen. `scenes.sh` has what such scripts begin with.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::support::product::POSTGRESQL_15;
use crate::support::scratch::{Scratch, must_succeed};
use crate::support::wait_until;

/// Set to write what commands print into the documents, where its words are others; `all` writes all of it.
const WRITE: &str = "WALKEEP_WRITE_MANUAL";

/// Where a document's commands find what is theirs.
const PLACES: [&str; 8] =
    ["/archive", "/archive-2", "/data", "/backup", "/old", "/etc/walkeep", "/usr/local/bin", "/srv"];

/// Commands that are no business of a server's host, and why.
const NOT_HERE: [(&str, &str); 6] = [
    ("cargo ", "builds"),
    ("install target/", "what was built"),
    ("sh packaging/quickstart.sh", "builds, and is run by CI itself"),
    ("sh packaging/build.sh", "builds"),
    ("sh tests/run.sh", "is what runs this"),
    ("sh benches/", "measures for an hour"),
];

/// What would stand in comments above blocks of README, by how they begin.
const NOTES: [(&str, &[&str]); 1] = [(
    "walkeep gate -D \"$KINGBASE_DATA\" --repo /archive ",
    &["before: until_it nothing_pending; archive_with ''; fill 3", "exits 2 0 1"],
)];

/// A stretch of a document.
enum Part {
    /// What is read and not run.
    Text(String),
    /// A block with commands.
    Block(Block),
}

struct Block {
    is_console: bool,
    lines: Vec<String>,
    not_run: Option<String>,
    /// The exit code of each command; the others succeed.
    exits: Vec<i32>,
    before: Option<String>,
    at_line: usize,
}

/// One command of a block, with what stands below it.
struct Shown {
    is_root: bool,
    command: String,
    printed: Vec<String>,
}

fn parts_of(text: &str) -> Vec<Part> {
    let (mut parts, mut plain) = (Vec::new(), String::new());
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        plain.push_str(line);
        plain.push('\n');
        if !["```sh", "```console"].contains(&line) {
            continue;
        }
        let mut block = Vec::new();
        for (_, line) in lines.by_ref() {
            if line == "```" {
                break;
            }
            block.push(line.to_owned());
        }
        let mut notes = comments_above(&plain);
        let beginning = block.first().map_or("", String::as_str);
        let known = NOTES.iter().find(|(first, _)| beginning.starts_with(first));
        notes.extend(known.iter().flat_map(|(_, notes)| notes.iter().map(|note| (*note).to_owned())));
        let starting = |word: &str| notes.iter().find_map(|note| note.strip_prefix(word)).map(str::trim);
        parts.push(Part::Text(std::mem::take(&mut plain)));
        let exits = starting("exits").unwrap_or_default().split_whitespace();
        parts.push(Part::Block(Block {
            is_console: line == "```console",
            lines: block,
            not_run: starting("not run:").map(str::to_owned),
            exits: exits.map_while(|code| code.parse().ok()).collect(),
            before: starting("before:").map(str::to_owned),
            at_line: at + 1,
        }));
        plain.push_str("```\n");
    }
    parts.push(Part::Text(plain));
    parts
}

/// The comments that stand just above a block's fence.
fn comments_above(text: &str) -> Vec<String> {
    let mut comments = Vec::new();
    let mut above = text.trim_end().rsplit_once('\n').map_or("", |(above, _)| above).trim_end();
    while let Some((rest, comment)) = above.strip_suffix("-->").and_then(|above| above.rsplit_once("<!--")) {
        comments.push(comment.trim().to_owned());
        above = rest.trim_end();
    }
    comments
}

/// The commands of a block; one that ends in a backslash goes on below.
fn commands_of(block: &Block) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    for line in &block.lines {
        let command = match (block.is_console, line.strip_prefix("$ "), line.strip_prefix("# ")) {
            (false, ..) => Some((false, line.as_str())),
            (true, Some(command), _) => Some((false, command)),
            (true, _, Some(command)) => Some((true, command)),
            (true, None, None) => None,
        };
        let goes_on =
            shown.last().is_some_and(|last| last.command.ends_with('\\') && last.printed.is_empty());
        match (command, shown.last_mut()) {
            (_, Some(last)) if goes_on => {
                last.command.push('\n');
                last.command.push_str(line);
            }
            (Some((is_root, command)), _) => {
                shown.push(Shown { is_root, command: command.to_owned(), printed: Vec::new() });
            }
            (None, Some(last)) => last.printed.push(line.clone()),
            (None, None) => panic!("line {}: a console block begins with '$ ' or '# '", block.at_line),
        }
    }
    shown.retain(|shown| !shown.command.trim().is_empty() && !shown.command.trim().starts_with('#'));
    shown
}

/// The words of what was printed, without what differs from run to run: numbers, names made of them, and their units.
fn words(printed: &str) -> Vec<String> {
    const UNITS: [&str; 16] = [
        "B", "KiB", "MiB", "GiB", "TiB", "ms", "s", "min", "h", "d", "second", "seconds", "minute",
        "minutes", "hour", "hours",
    ];
    let masked = |word: &str| -> String {
        let mut masked = String::new();
        for run in word.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
            let (alnum, rest) = match run.char_indices().last() {
                Some((at, c)) if !c.is_ascii_alphanumeric() => run.split_at(at),
                _ => (run, ""),
            };
            masked.push_str(if alnum.chars().any(|c| c.is_ascii_digit()) { "#" } else { alnum });
            masked.push_str(rest);
        }
        masked.replace("#.#", "#")
    };
    let mut words: Vec<String> = printed.split_whitespace().map(masked).collect();
    for at in 1..words.len() {
        let unit = words[at].trim_end_matches([',', ';', '.', ')', ':']).to_owned();
        if words[at - 1].ends_with('#') && UNITS.contains(&unit.as_str()) {
            words[at] = words[at].replacen(&unit, "UNIT", 1);
        }
    }
    // '1 min 5 s' is a duration as '5 s' is.
    for at in (2..words.len().saturating_sub(1)).rev() {
        if words[at - 2..at] == ["#", "UNIT"] && words[at] == "#" && words[at + 1].starts_with("UNIT") {
            words.drain(at - 2..at);
        }
    }
    words
}

/// A host of its own: see `enter.sh`.
struct World {
    scratch: Scratch,
    first: Child,
    pid: String,
    calls: AtomicUsize,
}

impl World {
    fn new(template: &Path) -> World {
        let scratch = Scratch::new();
        fs::create_dir(scratch.path("root")).unwrap();
        for place in PLACES {
            let path = scratch.path(&format!("world{place}"));
            fs::create_dir_all(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        must_succeed(Command::new("cp").arg("-a").arg("-T").arg(template).arg(scratch.path("world/data")));
        let postgres = fs::metadata(template).unwrap();
        let (uid, gid) = {
            use std::os::unix::fs::MetadataExt;
            (Some(postgres.uid()), Some(postgres.gid()))
        };
        for place in ["archive", "archive-2", "backup", "old", "etc/walkeep", "srv"] {
            chown(scratch.path(&format!("world/{place}")), uid, gid).unwrap();
        }
        fs::copy(scratch.walkeep(), scratch.path("world/usr/local/bin/walkeep")).unwrap();
        fs::copy(scratch.walkeep(), scratch.path("world/srv/walkeep")).unwrap();
        let places: String = PLACES.iter().map(|place| format!("{place}\n")).collect();
        scratch.write(&scratch.path("places"), places);
        let beside = |name: &str| source(&format!("tests/servers/documents/{name}"));
        fs::copy(beside("enter.sh"), scratch.path("enter.sh")).unwrap();
        fs::copy(beside("scenes.sh"), scratch.path("scenes.sh")).unwrap();
        let mut unshare = Command::new("setpriv");
        unshare.args(["--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "sh"]);
        unshare.arg(scratch.path("enter.sh")).arg(scratch.path("")).stdin(Stdio::null());
        let first = unshare.spawn().unwrap();
        let ready = scratch.path("ready");
        wait_until("the world is there", || ready.exists());
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", first.id())).unwrap();
        let pid = children.trim().to_owned();
        let world = World { scratch, first, pid, calls: AtomicUsize::new(0) };
        world.must(false, "pg_ctl start -D /data -w -l /data/server.log");
        world
    }

    #[track_caller]
    fn must(&self, is_root: bool, script: &str) {
        let (code, printed) = self.run(is_root, script);
        assert_eq!(code, 0, "{script}\n{printed}");
    }

    /// Runs a script; returns its exit code and what it printed. A file takes that: a pipe would stay open as long as
    /// any server that was started here.
    fn run(&self, is_root: bool, script: &str) -> (i32, String) {
        let turn = self.calls.fetch_add(1, Ordering::SeqCst);
        let out = self.scratch.path(&format!("out.{turn}"));
        let file = fs::File::create(&out).unwrap();
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.pid, "--mount", "--pid", "--root"]);
        // Not by nsenter: it would look for the directory on this side.
        command.args(["env", "-C", "/srv", "timeout", "--kill-after=5", "600"]);
        if !is_root {
            command.args(["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups"]);
        }
        let scenes = self.scratch.path("scenes.sh");
        command.args(["sh", "-c", &format!(". '{}'\n{script}", scenes.display())]);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
        command.stdout(file.try_clone().unwrap()).stderr(file);
        let status = command.status().unwrap();
        (status.code().unwrap_or(-1), String::from_utf8_lossy(&fs::read(&out).unwrap()).into_owned())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.first.kill();
        let _ = self.first.wait();
    }
}

fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A cluster that was never started, as KingbaseES's scripts leave theirs: archive_mode is on, and no command is set.
fn template(scratch: &Scratch, segment_mib: u32) -> PathBuf {
    let data = scratch.path(&format!("template-{segment_mib}"));
    let mut initdb = scratch.command(POSTGRESQL_15.server_program("initdb"));
    initdb.arg("-D").arg(&data).args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "-N"]);
    must_succeed(initdb.arg(format!("--wal-segsize={segment_mib}")));
    let mut conf = fs::OpenOptions::new().append(true).open(data.join("postgresql.conf")).unwrap();
    conf.write_all(SETTINGS.as_bytes()).unwrap();
    data
}

const SETTINGS: &str = "\
listen_addresses = ''
unix_socket_directories = '/srv'
shared_buffers = '16MB'
max_wal_senders = 4
wal_log_hints = on
checkpoint_timeout = 1h
archive_timeout = 5min
fsync = off
timezone = 'UTC'
log_timezone = 'UTC'
archive_mode = on
archive_command = ''
";

/// `walkeep watch` goes on until it is told to end.
fn as_run(command: &str) -> String {
    if command.starts_with("walkeep watch") {
        format!("timeout -s TERM 1 {command}; [ $? = 124 ]")
    } else {
        command.to_owned()
    }
}

fn is_not_here(command: &str) -> bool {
    NOT_HERE.iter().any(|(beginning, _)| command.starts_with(beginning))
}

/// What is wrong with a document, and the text that it should have.
struct Judged {
    wrong: Vec<String>,
    text: String,
}

fn judge(name: &str, template: &Path, begin: &str) -> Judged {
    let text = fs::read_to_string(source(name)).unwrap();
    let world = World::new(template);
    if !begin.is_empty() {
        world.must(false, begin);
    }
    let mut judged = Judged { wrong: Vec::new(), text: String::new() };
    for part in parts_of(&text) {
        match part {
            Part::Text(text) => judged.text.push_str(&text),
            Part::Block(block) => judge_block(name, &world, &block, &mut judged),
        }
    }
    judged
}

fn judge_block(name: &str, world: &World, block: &Block, judged: &mut Judged) {
    let as_it_is =
        |judged: &mut Judged| block.lines.iter().for_each(|line| judged.text.push_str(&format!("{line}\n")));
    if block.not_run.is_some() {
        return as_it_is(judged);
    }
    if let Some(before) = &block.before {
        let (code, printed) = world.run(false, before);
        if code != 0 {
            judged.wrong.push(format!("{name}:{}: its scene failed ({code}): {printed}", block.at_line));
        }
    }
    let shown = commands_of(block);
    let last = shown.len().saturating_sub(1);
    for (turn, Shown { is_root, command, printed }) in shown.into_iter().enumerate() {
        if is_not_here(&command) {
            continue;
        }
        let (code, out) = world.run(is_root, &as_run(&command));
        let expected = block.exits.get(turn).copied().unwrap_or(0);
        if code != expected {
            judged.wrong.push(format!("{name}:{}: '{command}' exits {code}: {out}", block.at_line));
        }
        if !block.is_console {
            continue;
        }
        let before = printed.iter().map(|line| format!("{line}\n")).collect::<String>();
        let is_same = words(&before) == words(&out);
        let stays = is_same && std::env::var(WRITE).as_deref() != Ok("all");
        if !is_same {
            judged
                .wrong
                .push(format!("{name}:{}: '{command}' printed\n{out}--- and not\n{before}", block.at_line));
        }
        let prompt = if is_root { '#' } else { '$' };
        judged.text.push_str(&format!("{prompt} {command}\n"));
        judged.text.push_str(if stays { &before } else { &out });
        if !stays && !out.is_empty() && turn != last {
            judged.text.push('\n');
        }
    }
    if !block.is_console {
        as_it_is(judged);
    }
}

/// Every document, by its path.
fn documents() -> Vec<String> {
    let mut names: Vec<String> = vec!["README.md".to_owned(), "SECURITY.md".to_owned()];
    for entry in fs::read_dir(source("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        names.extend(name.ends_with(".md").then(|| format!("docs/{name}")));
    }
    names.retain(|name| source(name).exists());
    if let Ok(only) = std::env::var("WALKEEP_TEST_DOCUMENT") {
        names.retain(|name| name.contains(&only));
    }
    names.sort();
    names
}

#[test]
fn every_command_that_a_document_shows_does_what_it_says() {
    let uid = must_succeed(Command::new("id").arg("-u"));
    assert_eq!(uid.trim(), "0", "this test makes worlds of its own: run it as root");
    let scratch = Scratch::new();
    // A queue of many files is a queue of small files.
    let [usual, small] = [16, 1].map(|segment_mib| template(&scratch, segment_mib));
    let names = documents();
    let next = AtomicUsize::new(0);
    let judge_some = || {
        let mut wrong = Vec::new();
        while let Some(name) = names.get(next.fetch_add(1, Ordering::SeqCst)) {
            let begins_fresh = name.ends_with("first-hour.md");
            let template = if name.ends_with("incidents.md") { &small } else { &usual };
            let judged = judge(name, template, if begins_fresh { "" } else { "archiving" });
            let is_other = fs::read_to_string(source(name)).unwrap() != judged.text;
            if is_other && std::env::var_os(WRITE).is_some() {
                fs::write(source(name), judged.text).unwrap();
            }
            wrong.extend(judged.wrong);
        }
        wrong
    };
    let wrong: Vec<String> = thread::scope(|scope| {
        let others = [scope.spawn(judge_some), scope.spawn(judge_some)];
        others.into_iter().flat_map(|other| other.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}\n{WRITE}=1 writes what is printed into the documents", wrong.join("\n"));
}

/// What an example of the manual answers in its scene, where it is not 0.
const ANSWERS: [(&str, i32); 4] = [
    // Nothing is lost there.
    ("--acknowledge-lost", 1),
    // An archiver lives there, and the server runs.
    ("--mark-done", 1),
    ("--final", 2),
    // There is no third timeline; tests/cli/set_aside.rs sets one aside.
    ("set-aside --timeline 3", 1),
];

/// What the help of every verb shows before its options, which the manual shows as well.
fn examples_of_the_help() -> Vec<(String, String)> {
    let help = |arguments: &[&str]| {
        must_succeed(Command::new(env!("CARGO_BIN_EXE_walkeep")).arg("help").args(arguments))
    };
    let all = help(&[]);
    let verbs = all.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let verbs =
        verbs.lines().filter_map(|line| line.split_whitespace().next()).filter(|verb| *verb != "help");
    verbs
        .flat_map(|verb| {
            let told = help(&[verb]);
            let lines =
                told.split("Usage:").next().unwrap().lines().filter_map(|line| line.strip_prefix("  "));
            let commands = lines.filter(|line| line.starts_with("walkeep ")).map(str::to_owned);
            commands.map(|command| (format!("walkeep help {verb}"), command)).collect::<Vec<_>>()
        })
        .collect()
}

/// Lines of the manual that begin with the program; servers' configuration and other programs are left to those.
fn examples() -> Vec<(String, String)> {
    let mut examples = Vec::new();
    let mut files: Vec<PathBuf> =
        fs::read_dir(source("man/sections")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&file).unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix("    "));
        let commands = lines.filter(|line| line.starts_with("walkeep "));
        examples.extend(commands.map(|command| (name.clone(), command.to_owned())));
    }
    examples
}

#[test]
fn every_example_of_the_manual_is_run() {
    let scratch = Scratch::new();
    let template = template(&scratch, 16);
    let mut wrong = Vec::new();
    // Much of it is done once: each has a world of its own.
    for (mut examples, at_least) in [(examples(), 30), (examples_of_the_help(), 10)] {
        // What is set aside is missed from then on.
        examples.sort_by_key(|(_, command)| command.contains("set-aside"));
        let world = World::new(&template);
        world.must(false, "manual");
        assert!(examples.len() > at_least);
        for (name, command) in examples {
            // The server runs archive_command in its data directory; and this host's /tmp is not the world's own.
            let command = command.replace(" /tmp/", " /srv/");
            let (code, printed) = world.run(false, &format!("cd /data\n{}", as_run(&command)));
            let answers = ANSWERS.iter().find(|(fragment, _)| command.contains(fragment));
            if code != answers.map_or(0, |(_, code)| *code) {
                wrong.push(format!("{name}: '{command}' exits {code}: {printed}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_documents_do_not_run_says_why_and_is_little() {
    let mut run = 0;
    let mut left_out = Vec::new();
    for name in documents() {
        for part in parts_of(&fs::read_to_string(source(&name)).unwrap()) {
            let Part::Block(block) = part else { continue };
            let commands = commands_of(&block).len();
            match &block.not_run {
                Some(why) => {
                    assert!(why.len() > 10, "{name}:{}: it does not say why it is not run", block.at_line);
                    left_out.push(format!("{name}:{}: {why}", block.at_line));
                }
                None => run += commands,
            }
        }
    }
    assert!(
        left_out.len() * 3 < run,
        "{run} commands are run, and these blocks are not:\n{}",
        left_out.join("\n")
    );
}

/// What is shown in Chinese, and where it comes from.
const IN_CHINESE: [(&str, &str); 2] =
    [("README.zh-CN.md", "README.md"), ("docs/zh-CN/incidents.md", "docs/incidents.md")];

/// The blocks of a document, with what is known of them.
fn blocks_of(name: &str) -> Vec<Vec<String>> {
    let parts = parts_of(&fs::read_to_string(source(name)).unwrap()).into_iter();
    parts.filter_map(|part| if let Part::Block(block) = part { Some(block.lines) } else { None }).collect()
}

/// So they need not be run a second time.
#[test]
fn the_chinese_documents_show_the_same_commands_with_the_same_answers() {
    for (chinese, english) in IN_CHINESE {
        let mut originals = blocks_of(english).into_iter();
        let (mut text, mut is_same) = (String::new(), true);
        for part in parts_of(&fs::read_to_string(source(chinese)).unwrap()) {
            match part {
                Part::Text(prose) => text.push_str(&prose),
                Part::Block(block) => {
                    let original = originals.next().unwrap_or_default();
                    is_same &= original == block.lines;
                    original.iter().for_each(|line| text.push_str(&format!("{line}\n")));
                }
            }
        }
        assert_eq!(originals.next(), None, "{chinese} lacks a block of {english}");
        if std::env::var_os(WRITE).is_some() {
            fs::write(source(chinese), text).unwrap();
        } else {
            assert!(
                is_same,
                "{chinese} shows other commands or answers than {english}; {WRITE}=1 copies them"
            );
        }
    }
}
