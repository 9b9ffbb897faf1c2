//! Advice: what is wrong with how a server is told to archive, and the very lines that mend it. Decides from values.

use super::command::{
    conf_line, expanded_bytes, is_walkeeps, repository_of, shell_syntax, shell_word, sql_line,
};
use super::setup::{Manual, ProgramState, SetupFacts};
use super::{ArchiveCommand, ArchiveMode, Flaw, Problem, Source};

/// What the lines are to call.
#[derive(Clone, Copy, Debug)]
pub struct Tool<'a> {
    /// walkeep's own path.
    pub program: &'a str,
    /// The repository, where one was named.
    pub repository: Option<&'a str>,
}

/// A change of the server's configuration that mends something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edit {
    /// Where.
    pub place: Place,
    /// The lines to write, as they have to stand there; none where what is there has to go.
    pub lines: Vec<String>,
    /// What makes it take effect.
    pub effect: Effect,
    /// The command for that.
    pub then: String,
}

/// Where a setting is changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// In a file.
    File {
        /// The file.
        file: String,
        /// The line that goes; `None` where the new ones come at the end.
        line: Option<u32>,
    },
    /// By a statement: the server alone writes that file.
    Statement,
    /// Where the server is started: its command line is above all files.
    CommandLine {
        /// The file in which the server wrote its last one down.
        file: String,
    },
}

/// What makes a change take effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// A reload is enough.
    Reload,
    /// It takes a restart.
    Restart,
}

/// Finds what is wrong with a server's archiving settings beside what [`super::assess`] finds.
#[must_use]
pub fn diagnose(setup: &SetupFacts, tool: &Tool<'_>) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    if tool.repository.is_none() {
        flaws.push(Flaw::NoRepositoryNamed);
    }
    if setup.archiver.mode.0 != ArchiveMode::Off {
        let minimal = setup.wal_level.iter().filter(|(level, _)| level.eq_ignore_ascii_case("minimal"));
        flaws.extend(minimal.map(|(_, at)| Flaw::WalLevelMinimal(at.clone())));
        flaws.extend(command_flaws(setup));
        if setup.archive_timeout.as_ref().is_none_or(|(timeout, _)| is_zero(timeout)) {
            flaws.push(Flaw::NoArchiveTimeout);
        }
    }
    if setup.is_standby && setup.restore_command.as_ref().is_none_or(|(command, _)| command.trim().is_empty())
    {
        flaws.push(Flaw::NoRestoreCommand);
    }
    flaws
}

fn is_zero(timeout: &str) -> bool {
    let digits = timeout.trim().trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    digits.parse::<u64>() == Ok(0)
}

fn command_flaws(setup: &SetupFacts) -> Vec<Flaw> {
    let (command, at) = &setup.archiver.command;
    let (kind, manual) = (ArchiveCommand::of(command), &setup.manual);
    // What does nothing is told as such.
    if !kind.works() || setup.archiver.library.is_some() {
        return Vec::new();
    }
    let at = || at.clone();
    let mut flaws: Vec<Flaw> = setup
        .program
        .iter()
        .filter_map(|program| {
            let name = program.name.clone();
            match &program.state {
                ProgramState::Unusable(reason) => {
                    Some(Flaw::NoProgram { name, reason: reason.clone(), at: at() })
                }
                ProgramState::AnotherOne if kind == ArchiveCommand::Walkeep => {
                    Some(Flaw::OtherProgram { name, at: at() })
                }
                ProgramState::OnPath if kind == ArchiveCommand::Walkeep => {
                    Some(Flaw::ProgramOnPath { name, at: at() })
                }
                ProgramState::ThisOne | ProgramState::AnotherOne | ProgramState::OnPath => None,
            }
        })
        .collect();
    if let Some(most) = manual.most_command_bytes {
        let bytes = expanded_bytes(command, manual.wal_directory);
        flaws.extend((bytes > most).then(|| Flaw::CommandTooLong { bytes, most, at: at() }));
    }
    if !manual.runs_a_shell {
        flaws.extend(shell_syntax(command).map(|syntax| Flaw::NeedsShell { syntax, at: at() }));
    }
    if kind != ArchiveCommand::Walkeep {
        flaws.extend((kind == ArchiveCommand::Other).then(|| Flaw::NotThroughWalkeep { at: at() }));
        return flaws;
    }
    if let Some(stored_in) = &setup.stored_in {
        let name = stored_in.name.clone();
        if !name.starts_with('/') {
            flaws.push(Flaw::RelativeRepository { name, at: at() });
        } else if stored_in.is_the_named_one == Some(false) {
            flaws.push(Flaw::OtherRepository { stored_in: name, at: at() });
        }
    }
    flaws
}

/// The changes that mend a problem; none where no line can.
#[must_use]
pub fn edits(problem: &Problem, setup: &SetupFacts, tool: &Tool<'_>) -> Vec<Edit> {
    let manual = &setup.manual;
    match problem {
        Problem::ArchiveModeOff(_) => {
            let mode =
                change(manual, "archive_mode", "on", setup.archiver.mode.1.as_ref(), mode_effect(manual));
            let works = ArchiveCommand::of(&setup.archiver.command.0) == ArchiveCommand::Walkeep;
            let command = if works { None } else { archive_command(setup, tool) };
            std::iter::once(mode).chain(command).collect()
        }
        Problem::NoArchiveCommand { .. }
        | Problem::NoOpCommand { .. }
        | Problem::FailingCommand { .. }
        | Problem::MaskedCommand { .. }
        | Problem::CopyCommand { .. }
        | Problem::Flaw(
            Flaw::OtherRepository { .. }
            | Flaw::RelativeRepository { .. }
            | Flaw::NoProgram { .. }
            | Flaw::CommandTooLong { .. }
            | Flaw::NeedsShell { .. },
        ) => archive_command(setup, tool).into_iter().collect(),
        Problem::HiddenNoOp { command, at } => vec![removal(manual, command, at)],
        Problem::ArchiveDest { at, .. } => {
            let dest = change(manual, "archive_dest", "", Some(at), Effect::Reload);
            let works = ArchiveCommand::of(&setup.archiver.command.0).works();
            let command = if works { None } else { archive_command(setup, tool) };
            std::iter::once(dest).chain(command).collect()
        }
        Problem::LibraryAndCommand { at, .. } => {
            vec![change(manual, "archive_library", "", Some(at), Effect::Reload)]
        }
        Problem::Flaw(Flaw::WalLevelMinimal(at)) => vec![wal_level(manual, at)],
        Problem::Flaw(Flaw::NoRestoreCommand) => restore_command(setup, tool).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// The changes that let a server archive into the tool's repository; none where it does.
#[must_use]
pub fn archiving(setup: &SetupFacts, tool: &Tool<'_>) -> Vec<Edit> {
    let (manual, archiver) = (&setup.manual, &setup.archiver);
    let mut edits = Vec::new();
    if archiver.mode.0 == ArchiveMode::Off {
        edits.push(change(manual, "archive_mode", "on", archiver.mode.1.as_ref(), mode_effect(manual)));
    }
    let minimal = setup.wal_level.iter().filter(|(level, _)| level.eq_ignore_ascii_case("minimal"));
    edits.extend(minimal.map(|(_, at)| wal_level(manual, at)));
    let clear = |name: &str, set: &Option<(String, Source)>| {
        set.as_ref().map(|(_, at)| change(manual, name, "", Some(at), Effect::Reload))
    };
    edits.extend(clear("archive_dest", &archiver.dest));
    edits.extend(clear("archive_library", &archiver.library));
    let is_walkeeps = ArchiveCommand::of(&archiver.command.0) == ArchiveCommand::Walkeep;
    let stores_here = setup.stored_in.as_ref().is_some_and(|named| named.is_the_named_one == Some(true));
    if !(is_walkeeps && stores_here) {
        edits.extend(archive_command(setup, tool));
    }
    edits
}

/// The change that lets it restore from there, when it is to recover or to be a standby; `None` where it would.
#[must_use]
pub fn restoring(setup: &SetupFacts, tool: &Tool<'_>) -> Option<Edit> {
    let restores_here = setup.restore_command.as_ref().is_some_and(|(command, _)| {
        is_walkeeps(command) && repository_of(command).as_deref() == tool.repository
    });
    let mut edit = restore_command(setup, tool).filter(|_| !restores_here)?;
    if !setup.is_standby && edit.effect == Effect::Restart && matches!(edit.place, Place::File { .. }) {
        // Nothing reads it before the server is started to recover.
        edit.effect = Effect::Reload;
        edit.then = command_for(&setup.manual, Effect::Reload);
    }
    Some(edit)
}

fn wal_level(manual: &Manual, at: &Source) -> Edit {
    let level = if manual.runs_a_shell { "replica" } else { "hot_standby" };
    change(manual, "wal_level", level, Some(at), Effect::Restart)
}

fn mode_effect(manual: &Manual) -> Effect {
    if manual.reloads_archive_mode { Effect::Reload } else { Effect::Restart }
}

/// `None` where no repository was named, and where the line would be no better: one that the server cuts, or
/// that needs quotes where no shell is.
fn archive_command(setup: &SetupFacts, tool: &Tool<'_>) -> Option<Edit> {
    let manual = &setup.manual;
    // openGauss insists on both placeholders.
    let files = if manual.runs_a_shell { "%p" } else { "%p %f" };
    let (program, repository) = (shell_word(tool.program), shell_word(tool.repository?));
    let value = format!("{program} archive {files} --repo {repository}");
    let fits =
        manual.most_command_bytes.is_none_or(|most| expanded_bytes(&value, manual.wal_directory) <= most);
    let runs = manual.runs_a_shell || shell_syntax(&value).is_none();
    let at = setup.archiver.command.1.as_ref();
    (fits && runs).then(|| change(manual, "archive_command", &value, at, Effect::Reload))
}

fn restore_command(setup: &SetupFacts, tool: &Tool<'_>) -> Option<Edit> {
    let manual = &setup.manual;
    let (program, repository) = (shell_word(tool.program), shell_word(tool.repository?));
    let value = format!("{program} restore %f %p --repo {repository}");
    let effect = if manual.reloads_restore_command { Effect::Reload } else { Effect::Restart };
    let at = setup.restore_command.as_ref().map(|(_, at)| at);
    let mut edit = change(manual, "restore_command", &value, at, effect);
    if let (None, Some(file)) = (at, &manual.recovery_file) {
        edit.place = Place::File { file: file.clone(), line: None };
    }
    (manual.runs_a_shell || shell_syntax(&value).is_none()).then_some(edit)
}

/// The change of one setting where its value that counts stands, else where new ones go.
fn change(manual: &Manual, name: &str, value: &str, at: Option<&Source>, effect: Effect) -> Edit {
    let place = match at {
        None => Place::File { file: manual.file.clone(), line: None },
        Some(Source { file, line: None }) => Place::CommandLine { file: file.clone() },
        Some(Source { file, .. }) if *file == manual.auto_file => Place::Statement,
        Some(Source { file, line }) => Place::File { file: file.clone(), line: *line },
    };
    let (line, effect) = match place {
        Place::File { .. } => (conf_line(name, value), effect),
        Place::Statement => (sql_line(name, value), effect),
        Place::CommandLine { .. } => {
            (format!("-c {}", shell_word(&format!("{name}={value}"))), Effect::Restart)
        }
    };
    Edit { place, lines: vec![line], effect, then: command_for(manual, effect) }
}

/// Takes a hidden command away; the lines behind it keep their numbers.
fn removal(manual: &Manual, command: &str, at: &Source) -> Edit {
    let comment = || vec![format!("# {}", conf_line("archive_command", command))];
    let (place, lines, effect) = match at {
        Source { file, line: None } => {
            (Place::CommandLine { file: file.clone() }, Vec::new(), Effect::Restart)
        }
        Source { file, .. } if *file == manual.auto_file => {
            (Place::Statement, vec!["ALTER SYSTEM RESET archive_command;".to_owned()], Effect::Reload)
        }
        Source { file, line } => (Place::File { file: file.clone(), line: *line }, comment(), Effect::Reload),
    };
    Edit { place, lines, effect, then: command_for(manual, effect) }
}

fn command_for(manual: &Manual, effect: Effect) -> String {
    let verb = match effect {
        Effect::Reload => "reload",
        Effect::Restart => "restart",
    };
    // No server replaces placeholders here.
    let directory = shell_word(&manual.data_directory).replace("%%", "%");
    format!("{} {verb} -D {directory}", manual.control_program)
}

#[cfg(test)]
mod tests {
    use super::super::ArchiverFacts;
    use super::super::setup::{ProgramFacts, RepositoryInCommand};
    use super::*;

    const TOOL: Tool<'_> = Tool { program: "/usr/bin/walkeep", repository: Some("/archive") };

    fn at(file: &str, line: u32) -> Source {
        Source { file: file.to_owned(), line: Some(line) }
    }

    /// A KingbaseES whose es_rep.conf says what to do.
    fn setup(command: &str) -> SetupFacts {
        SetupFacts {
            archiver: ArchiverFacts {
                mode: (ArchiveMode::On, Some(at("/d/es_rep.conf", 1))),
                command: (command.to_owned(), Some(at("/d/es_rep.conf", 2))),
                hidden_commands: Vec::new(),
                library: None,
                dest: None,
                faults: Vec::new(),
            },
            wal_level: None,
            restore_command: None,
            archive_timeout: Some(("5min".to_owned(), at("/d/kingbase.conf", 3))),
            is_standby: false,
            program: None,
            stored_in: None,
            manual: Manual {
                data_directory: "/d".to_owned(),
                file: "/d/es_rep.conf".to_owned(),
                auto_file: "/d/kingbase.auto.conf".to_owned(),
                recovery_file: None,
                control_program: "sys_ctl",
                runs_a_shell: true,
                reloads_archive_mode: false,
                reloads_restore_command: false,
                wal_directory: "sys_wal",
                most_command_bytes: Some(1023),
            },
        }
    }

    const WALKEEP: &str = "/usr/bin/walkeep archive %p --repo /archive";

    fn copies() -> Problem {
        Problem::CopyCommand { command: "cp".to_owned(), at: None }
    }

    fn keys(setup: &SetupFacts) -> Vec<&'static str> {
        diagnose(setup, &TOOL).iter().map(Flaw::key).collect()
    }

    #[test]
    fn a_command_is_changed_in_the_line_that_counts() {
        let found = edits(&copies(), &setup("cp %p /a/%f"), &TOOL);
        let expected = Edit {
            place: Place::File { file: "/d/es_rep.conf".to_owned(), line: Some(2) },
            lines: vec![format!("archive_command = '{WALKEEP}'")],
            effect: Effect::Reload,
            then: "sys_ctl reload -D /d".to_owned(),
        };
        assert_eq!(found, [expected]);
    }

    #[test]
    fn what_nothing_sets_goes_where_the_products_scripts_write() {
        let mut setup = setup("");
        setup.archiver.command.1 = None;
        let found = edits(&Problem::NoArchiveCommand { at: None, mode_at: None }, &setup, &TOOL);
        assert_eq!(found[0].place, Place::File { file: "/d/es_rep.conf".to_owned(), line: None });
    }

    #[test]
    fn what_alter_system_set_is_changed_by_a_statement() {
        let mut setup = setup("cp %p /a/%f");
        setup.archiver.command.1 = Some(at("/d/kingbase.auto.conf", 3));
        let [edit] = &edits(&copies(), &setup, &TOOL)[..] else { panic!() };
        assert_eq!(edit.place, Place::Statement);
        assert_eq!(edit.lines, [format!("ALTER SYSTEM SET archive_command = '{WALKEEP}';")]);
    }

    #[test]
    fn what_the_command_line_says_takes_another_start() {
        let mut setup = setup("cp %p /a/%f");
        setup.archiver.command.1 = Some(Source { file: "/d/kingbase.opts".to_owned(), line: None });
        let [edit] = &edits(&copies(), &setup, &TOOL)[..] else { panic!() };
        assert_eq!(edit.effect, Effect::Restart);
        assert!(edit.lines[0].starts_with("-c 'archive_command="), "{edit:?}");
    }

    #[test]
    fn archive_mode_takes_a_restart_but_on_opengauss() {
        let mut setup = setup(WALKEEP);
        setup.archiver.mode = (ArchiveMode::Off, None);
        let effects = |setup: &SetupFacts| -> Vec<Effect> {
            edits(&Problem::ArchiveModeOff(None), setup, &TOOL).iter().map(|edit| edit.effect).collect()
        };
        assert_eq!(effects(&setup), [Effect::Restart]);
        setup.manual.reloads_archive_mode = true;
        setup.archiver.command.0 = "cp".to_owned();
        assert_eq!(effects(&setup), [Effect::Reload, Effect::Reload]);
    }

    #[test]
    fn a_server_that_archives_elsewhere_or_nowhere_is_told_every_line() {
        let names = |setup: &SetupFacts| -> Vec<String> {
            let edits = archiving(setup, &TOOL).into_iter().chain(restoring(setup, &TOOL));
            edits.map(|edit| edit.lines[0].split(' ').next().unwrap_or_default().to_owned()).collect()
        };
        let mut setup = setup("cp %p /a/%f");
        assert_eq!(names(&setup), ["archive_command", "restore_command"]);
        setup.archiver.mode = (ArchiveMode::Off, None);
        setup.archiver.dest = Some(("/dest".to_owned(), at("/d/kingbase.conf", 7)));
        assert_eq!(names(&setup), ["archive_mode", "archive_dest", "archive_command", "restore_command"]);

        let mut wired = self::setup(WALKEEP);
        let named = |is_the_named_one| RepositoryInCommand { name: "/archive".to_owned(), is_the_named_one };
        wired.stored_in = Some(named(Some(true)));
        wired.restore_command = Some(("walkeep restore %f %p --repo /archive".to_owned(), at("/d/a", 1)));
        assert_eq!(names(&wired), [""; 0]);
        wired.stored_in = Some(named(Some(false)));
        assert_eq!(names(&wired), ["archive_command"]);
    }

    #[test]
    fn restore_command_is_no_reason_to_restart_a_primary() {
        let mut setup = setup(WALKEEP);
        let effect = |setup: &SetupFacts| restoring(setup, &TOOL).map(|edit| edit.effect);
        assert_eq!(effect(&setup), Some(Effect::Reload));
        setup.is_standby = true;
        assert_eq!(effect(&setup), Some(Effect::Restart));
    }

    #[test]
    fn a_hidden_line_becomes_a_comment() {
        let hidden = Problem::HiddenNoOp { command: "exit 0".to_owned(), at: at("/d/kingbase.conf", 9) };
        let [edit] = &edits(&hidden, &setup(WALKEEP), &TOOL)[..] else { panic!() };
        assert_eq!(edit.place, Place::File { file: "/d/kingbase.conf".to_owned(), line: Some(9) });
        assert_eq!(edit.lines, ["# archive_command = 'exit 0'"]);
    }

    #[test]
    fn no_line_is_written_that_the_server_would_not_run() {
        let nowhere = Tool { repository: None, ..TOOL };
        assert_eq!(edits(&copies(), &setup("cp"), &nowhere), []);
        let long = "/a".repeat(600);
        let long = Tool { repository: Some(&long), ..TOOL };
        assert_eq!(edits(&copies(), &setup("cp"), &long), []);
        let mut shellless = setup("cp");
        shellless.manual.runs_a_shell = false;
        let spaced = Tool { repository: Some("/my archive"), ..TOOL };
        assert_eq!(edits(&copies(), &shellless, &spaced), []);
        let [edit] = &edits(&copies(), &shellless, &TOOL)[..] else { panic!() };
        assert_eq!(edit.lines, ["archive_command = '/usr/bin/walkeep archive %p %f --repo /archive'"]);
    }

    #[test]
    fn a_sound_setup_has_no_flaw_and_each_slip_has_its_own() {
        assert_eq!(keys(&setup(WALKEEP)), [""; 0]);
        let with = |change: fn(&mut SetupFacts)| {
            let mut setup = setup(WALKEEP);
            change(&mut setup);
            keys(&setup)
        };
        let program = |state| Some(ProgramFacts { name: "walkeep".to_owned(), state });
        let mut called = setup(WALKEEP);
        for (state, key) in [
            (ProgramState::OnPath, "archive_program_on_path"),
            (ProgramState::AnotherOne, "another_walkeep"),
            (ProgramState::Unusable("it is not there".to_owned()), "archive_program_unusable"),
        ] {
            called.program = program(state);
            assert_eq!(keys(&called), [key]);
        }
        let stored_in = |name: &str, is_the_named_one| {
            let mut setup = setup(WALKEEP);
            setup.stored_in = Some(RepositoryInCommand { name: name.to_owned(), is_the_named_one });
            keys(&setup)
        };
        assert_eq!(stored_in("/archive", Some(true)), [""; 0]);
        assert_eq!(stored_in("/elsewhere", Some(false)), ["archives_into_another_repository"]);
        assert_eq!(stored_in("archive", Some(false)), ["relative_repository"]);
        assert_eq!(with(|setup| setup.is_standby = true), ["no_restore_command"]);
        assert_eq!(with(|setup| setup.archive_timeout = None), ["no_archive_timeout"]);
        assert_eq!(
            with(|setup| setup.wal_level = Some(("minimal".to_owned(), at("/d/kingbase.conf", 4)))),
            ["wal_level_minimal"]
        );
        assert_eq!(
            with(|setup| setup.archiver.command.0 = "pgbackrest push %p".to_owned()),
            ["not_through_walkeep"]
        );
    }

    #[test]
    fn shell_syntax_is_told_where_no_shell_is_and_length_where_it_is_cut() {
        let mut shellless = setup("test ! -f /a/%f && cp %p /a/%f");
        shellless.manual.runs_a_shell = false;
        assert_eq!(keys(&shellless), ["archive_command_needs_shell"]);
        let mut long = setup(&format!("walkeep archive %p --repo /archive {}", "x".repeat(1000)));
        assert_eq!(keys(&long), ["archive_command_too_long"]);
        long.manual.most_command_bytes = None;
        assert_eq!(keys(&long), [""; 0]);
    }
}
