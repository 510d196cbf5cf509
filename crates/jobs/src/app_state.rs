//! The objects that the application makes once and its handlers share: a connection pool, an HTTP client, settings.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::sync::Arc;

/// The application's values, at most one per type.
#[derive(Clone, Default)]
pub(crate) struct AppState {
    values: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

impl AppState {
    /// Adds a value. It replaces an earlier one of the same type.
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        self.values.insert(TypeId::of::<T>(), Arc::new(value));
    }

    pub(crate) fn get<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.values.get(&TypeId::of::<T>())?.downcast_ref()
    }

    pub(crate) fn has(&self, needed: StateType) -> bool {
        self.values.contains_key(&(needed.id)())
    }
}

/// A type of state that a kind needs, as in `StateType::of::<Mailer>()`.
#[derive(Clone, Copy)]
pub struct StateType {
    id: fn() -> TypeId,
    name: fn() -> &'static str,
}

impl PartialEq for StateType {
    fn eq(&self, other: &Self) -> bool {
        (self.id)() == (other.id)()
    }
}

impl StateType {
    pub const fn of<T: Send + Sync + 'static>() -> Self {
        StateType { id: TypeId::of::<T>, name: type_name::<T> }
    }

    pub(crate) fn name(self) -> &'static str {
        (self.name)()
    }
}
