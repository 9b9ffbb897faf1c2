use std::time::{Duration, SystemTime};

/// The pauses of an archive: stretches of a month and more in which nothing was archived.
///
/// Nobody can tell one from a clock that jumped ahead, so that none counts as time that went by: what was archived
/// before it grows no older by it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pauses(Vec<(SystemTime, Duration)>);

impl Pauses {
    /// What is shorter is a quiet cluster's.
    const SHORTEST: Duration = Duration::from_secs(30 * 86_400);

    /// Those between any two of these times, and up to `end`.
    #[must_use]
    pub fn between(times: impl IntoIterator<Item = SystemTime>, end: SystemTime) -> Self {
        let mut times: Vec<SystemTime> =
            times.into_iter().filter(|time| *time < end).chain(std::iter::once(end)).collect();
        times.sort_unstable();
        let later = times.iter().skip(1);
        let steps = times.iter().zip(later).map(|(from, to)| (*from, to.duration_since(*from)));
        let pauses = steps.filter_map(|(from, step)| Some((from, step.ok()?)));
        Self(pauses.filter(|(_, step)| *step >= Self::SHORTEST).collect())
    }

    /// How long those were together that began at this time or later.
    #[must_use]
    pub fn since(&self, time: SystemTime) -> Duration {
        self.0.iter().filter(|(from, _)| *from >= time).map(|(_, length)| *length).sum()
    }

    /// How long all of them were together.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.0.iter().map(|(_, length)| *length).sum()
    }
}
