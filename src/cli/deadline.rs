use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

/// Why work has no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfinished {
    /// It takes longer than it may; it is given up.
    #[error("no end after {0:?}: the repository, or the file system of the data directory, does not answer")]
    TooLong(Duration),
    /// It panicked, which is a bug here.
    #[error("an internal error; please report it")]
    Panicked,
    /// No thread could be started for it.
    #[error("cannot start a thread")]
    NoThread(#[source] std::io::Error),
}

/// Does work that may hang on a file system, for as long as it may. Work that is given up ends with the process.
pub(super) fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Unfinished> {
    let (done, result) = sync_channel(1);
    thread::Builder::new()
        .name("work".to_owned())
        .spawn(move || {
            // Nobody listens once the work was given up.
            let _ = done.send(work());
        })
        .map_err(Unfinished::NoThread)?;
    result.recv_timeout(limit).map_err(|error| match error {
        RecvTimeoutError::Timeout => Unfinished::TooLong(limit),
        RecvTimeoutError::Disconnected => Unfinished::Panicked,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_hangs_is_given_up_and_a_panic_is_told() {
        assert!(matches!(within(Duration::from_secs(60), || 7), Ok(7)));
        let forever = || {
            loop {
                thread::park();
            }
        };
        assert!(matches!(within::<()>(Duration::from_millis(10), forever), Err(Unfinished::TooLong(_))));
        let panics = || -> () { panic!("on purpose") };
        assert!(matches!(within(Duration::from_secs(60), panics), Err(Unfinished::Panicked)));
    }
}
