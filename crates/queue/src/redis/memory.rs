//! The memory of Redis.

use std::collections::HashMap;

/// Percent of `maxmemory` from which operators get a warning. Finished jobs make room long before.
const NEARLY_FULL: u64 = 90;

/// Bytes, from `INFO`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) used: u64,
    /// 0: no limit.
    pub(crate) limit: u64,
}

impl Memory {
    pub(crate) fn from_info(facts: &HashMap<&str, &str>) -> Self {
        let number = |name: &str| facts.get(name).and_then(|value| value.trim().parse().ok()).unwrap_or(0);
        Memory { used: number("used_memory"), limit: number("maxmemory") }
    }

    pub(crate) fn warning(self) -> Option<String> {
        let percent = (100 * self.used).checked_div(self.limit)?;
        (percent >= NEARLY_FULL).then(|| {
            format!(
                "Redis' memory is {percent} % full ({} of {} MiB): at 100 % it refuses new jobs. Finished jobs make \
                 room by themselves while a worker lives; purge dead ones, or raise maxmemory.",
                self.used >> 20,
                self.limit >> 20
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_that_is_nearly_full_is_a_warning() {
        let warning = |used, limit| Memory { used, limit }.warning();
        assert_eq!(warning(1 << 30, 0), None);
        assert_eq!(warning(89 << 20, 100 << 20), None);
        let text = warning(90 << 20, 100 << 20).unwrap_or_default();
        assert!(text.contains("90 % full (90 of 100 MiB)"), "{text}");
    }
}
