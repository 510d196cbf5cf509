//! The shop's bank: state of the application, made once and used by many jobs. This one only pretends.

use std::fmt::Display;
use std::time::Duration;

pub struct Bank {
    answer: fn() -> anyhow::Result<Answer>,
}

pub enum Answer {
    Charged,
    Declined,
    ClosedFor(Duration),
}

impl Bank {
    /// A real one would open connections here.
    pub async fn connect() -> anyhow::Result<Self> {
        Ok(Bank::fake(|| Ok(Answer::Charged)))
    }

    /// A bank that always gives this answer, for tests.
    pub fn fake(answer: fn() -> anyhow::Result<Answer>) -> Self {
        Bank { answer }
    }

    /// Charges at most once per `id`.
    pub async fn charge(&self, _id: impl Display, _cents: u32) -> anyhow::Result<Answer> {
        (self.answer)()
    }
}
