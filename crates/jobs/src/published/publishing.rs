//! Compares a worker's definition of a kind with that of the catalogue, and decides what the worker does.

use atode_queue::PublishedAs;

use crate::published::catalogue::CatalogueKind;
use crate::published::compatibility::difference;
use crate::published::definition::PublishedKind;

/// The relation of a worker's definition to the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The place to publish it; `None` if the catalogue has it already.
    pub publish: Option<PublishedAs>,
    /// The reason why it is not in force: the first difference of the schemas that is not compatible, and the build
    /// whose definition is in force.
    pub refused: Option<Refused>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub difference: String,
    pub build: String,
}

/// The newer start wins if its schema is compatible; otherwise its definition is held.
pub fn standing(mine: &PublishedKind, known: Option<&CatalogueKind>) -> Standing {
    let publish = |place| Standing { publish: Some(place), refused: None };
    let nothing = Standing { publish: None, refused: None };
    if known.is_some_and(|known| known.is_unreadable) {
        return nothing;
    }
    let Some(current) = known.and_then(|known| known.current.as_ref()) else {
        return publish(PublishedAs::Current);
    };
    let held = known.and_then(|known| known.held.as_ref());
    let is_current = current.definition == mine.definition && current.build == mine.build;
    if is_current || current.start() > mine.start() {
        return nothing;
    }
    let (old, new) = (&current.definition.schema, &mine.definition.schema);
    let Some(difference) = difference(old.json(), new.json()) else {
        let is_accepted = held.is_some_and(|held| held.definition.schema == *new);
        return publish(if is_accepted { PublishedAs::CurrentAndAccepted } else { PublishedAs::Current });
    };
    let is_held = held.is_some_and(|held| {
        held.definition == mine.definition && held.build == mine.build || held.start() > mine.start()
    });
    Standing {
        publish: (!is_held).then_some(PublishedAs::Held),
        refused: Some(Refused { difference, build: current.build.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use atode_queue::WorkerId;
    use serde_json::{Value, json};

    use super::*;
    use crate::published::definition::Definition;

    fn definition(build: &str, started_at: i64, schema: Value) -> PublishedKind {
        let registry = crate::registry().unwrap();
        let kind = registry.get("demo:delay_print").unwrap();
        PublishedKind {
            definition: Definition { schema: std::sync::Arc::new(schema.into()), ..Definition::of(kind) },
            build: build.to_owned(),
            worker: WorkerId::new(started_at),
            started_at,
        }
    }

    fn with(field: &str, required: &[&str]) -> Value {
        json!({"type": "object", "properties": {"message": {"type": "string"}, field: {"type": "string"}}, "required": required})
    }

    fn standing_of(mine: &PublishedKind, current: &PublishedKind, held: Option<&PublishedKind>) -> Standing {
        let (current, held) = (Some(current.clone()), held.cloned());
        standing(mine, Some(&CatalogueKind { generation: 1, current, held, is_unreadable: false }))
    }

    #[test]
    fn the_newer_start_wins_if_its_schema_is_compatible() {
        let old = definition("1", 10, with("message", &[]));
        let new = definition("2", 20, with("cc", &[]));
        assert_eq!(standing(&new, None).publish, Some(PublishedAs::Current));
        assert_eq!(
            standing_of(&new, &old, None),
            Standing { publish: Some(PublishedAs::Current), refused: None }
        );
        // The old worker sees the newer definition, and leaves it there.
        assert_eq!(standing_of(&old, &new, None), Standing { publish: None, refused: None });
        // Workers of one build publish once.
        let twin = PublishedKind { started_at: 30, worker: WorkerId::new(30), ..new.clone() };
        assert_eq!(standing_of(&twin, &new, None).publish, None);
        assert_eq!(standing_of(&new, &twin, None).publish, None);
    }

    #[test]
    fn an_incompatible_definition_is_held_once_until_it_is_accepted() {
        let old = definition("1", 10, with("message", &[]));
        let new = definition("2", 20, with("cc", &["cc"]));
        let refused = standing_of(&new, &old, None);
        assert_eq!(refused.publish, Some(PublishedAs::Held));
        let reason = refused.refused.unwrap();
        assert_eq!((&*reason.difference, &*reason.build), ("/required differs", "1"));
        let again = standing_of(&new, &old, Some(&new));
        assert!(again.publish.is_none() && again.refused.is_some(), "{again:?}");
        // An older build that starts again lacks a field, and is refused too.
        let restarted = definition("1", 30, with("message", &[]));
        assert!(standing_of(&restarted, &definition("2", 20, with("cc", &[])), None).refused.is_some());
        // Accepted: it is in force, and the old worker leaves it there.
        assert_eq!(standing_of(&new, &new, None), Standing { publish: None, refused: None });
        assert_eq!(standing_of(&old, &new, None), Standing { publish: None, refused: None });
    }
}
