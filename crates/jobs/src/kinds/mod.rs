//! The kinds of this build: one file each, and one line below.

use crate::registry::{DuplicateKind, Registry};

/// Declares the module of each kind and enters it in the registry.
macro_rules! kinds {
    ($($module:ident::$job:ident),+ $(,)?) => {
        $(pub mod $module;)+

        /// All kinds of this build.
        pub fn registry() -> Result<Registry, DuplicateKind> {
            let mut registry = Registry::default();
            $(registry.register::<$module::$job>()?;)+
            Ok(registry)
        }
    };
}

kinds! {
    delay_print::DelayPrint,
    flaky::Flaky,
    mail::Mail,
    report::Report,
    slow::Slow,
}
