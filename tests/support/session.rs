//! A session: one psql that stays connected to a server. To start a psql and a backend for each statement is what costs the
//! most in a test that polls.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A connected psql.
pub struct Session {
    psql: Child,
    statements: ChildStdin,
    rows: BufReader<ChildStdout>,
}

/// What follows the rows of a statement; no row looks like it.
const END: &str = "-- end of the rows";

impl Session {
    /// Starts psql, which connects at once.
    pub fn start(mut psql: Command) -> Session {
        psql.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1"]);
        psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut psql = psql.spawn().unwrap();
        let (statements, rows) = (psql.stdin.take().unwrap(), psql.stdout.take().unwrap());
        Session { psql, statements, rows: BufReader::new(rows) }
    }

    /// Runs statements; the rows, fields separated by `|`. What psql said if the server refuses one, or the connection is
    /// lost: the session has ended then.
    pub fn run(mut self, sql: &str) -> Result<(String, Session), String> {
        let request = format!("{sql}\n;\n\\echo '{END}'\n");
        // A psql that has ended says why.
        let _ = self.statements.write_all(request.as_bytes());
        let mut rows = String::new();
        loop {
            let mut line = String::new();
            match self.rows.read_line(&mut line) {
                Ok(read) if read > 0 && line.trim_end() == END => {
                    return Ok((rows.trim_end().to_owned(), self));
                }
                Ok(read) if read > 0 => rows.push_str(&line),
                _ => break,
            }
        }
        let mut said = String::new();
        let _ = self.psql.stderr.take().unwrap().read_to_string(&mut said);
        Err(said)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.psql.kill();
        let _ = self.psql.wait();
    }
}
