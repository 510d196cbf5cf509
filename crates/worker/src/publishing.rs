//! Publishes the kinds of this worker, for gateways that do not have them compiled in, and follows what other builds
//! publish about the same kinds.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use atode_jobs::{Definition, PublishedKind, standing};
use atode_queue::{Error, Publication, Publishing};

use crate::outage::Outage;
use crate::worker::Worker;

/// Time between two looks. One is enough to publish again after Redis was emptied.
const POLL: Duration = Duration::from_secs(5);
/// Rounds of one look: other workers may publish at the same time.
const MAX_ROUNDS: usize = 10;

/// Starts with the first connect, and runs until it is aborted.
pub(crate) async fn run(worker: Arc<Worker>) {
    let client = &worker.client;
    let _ = client.connection().connects().wait_for(|connects| *connects > 0).await;
    let started_at = client.now();
    let kinds = worker.registry.kinds().filter_map(|kind| {
        let definition = Definition::of(kind);
        if let Some(why) = definition.schema.obstacle() {
            tracing::error!(kind = %kind.name, why, "the schema of this kind cannot be published: gateways that do not have the kind compiled in refuse its jobs");
            return None;
        }
        let (build, worker) = (worker.me.build.clone(), worker.me.id);
        Some(PublishedKind { definition, build, worker, started_at })
    });
    let kinds: Vec<PublishedKind> = kinds.collect();
    let names: Vec<Arc<str>> = kinds.iter().map(|kind| kind.definition.kind.clone()).collect();
    let news = client.published_kinds().news();
    let (mut told, mut outage) = (HashSet::new(), Outage::default());
    loop {
        match publish(&worker, &kinds, &names, &mut told).await {
            Ok(()) => drop(outage.succeeded()),
            Err(error) => {
                if outage.failed() {
                    tracing::warn!(%error, "cannot publish the kinds of this worker now; retrying");
                }
            }
        }
        worker.catalogue.wait(&news, POLL).await;
    }
}

async fn publish(
    worker: &Worker,
    kinds: &[PublishedKind],
    names: &[Arc<str>],
    told: &mut HashSet<(Arc<str>, String)>,
) -> Result<(), Error> {
    for _ in 0..MAX_ROUNDS {
        worker.catalogue.look_at(&worker.client, names).await?;
        let mut publications = Vec::new();
        for mine in kinds {
            let kind = &mine.definition.kind;
            let known = worker.catalogue.entry(kind);
            let standing = standing(mine, known.as_deref());
            if let Some(refused) = standing.refused
                && told.insert((kind.clone(), refused.difference.clone()))
            {
                tracing::error!(
                    %kind, own_build = %mine.build, other_build = %refused.build, difference = %refused.difference,
                    "the payload of this kind is not compatible with what the other build published: it has more changes than new optional fields. Gateways that do not have the kind compiled in check payloads by the schema of the other build until `atode kinds accept {kind}`; if this worker is of an older build, stop it"
                );
            }
            publications.extend(standing.publish.map(|place| Publication {
                kind: kind.clone(),
                seen: known.map_or(0, |known| known.generation),
                definition: mine.encode().into(),
                place,
            }));
        }
        if publications.is_empty() {
            return Ok(());
        }
        let results = worker.client.published_kinds().publish(&publications).await?;
        let full = std::iter::zip(&publications, &results).filter(|(_, result)| **result == Publishing::Full);
        let mut is_full = false;
        for (publication, _) in full {
            is_full = true;
            if told.insert((publication.kind.clone(), String::new())) {
                tracing::error!(kind = %publication.kind, most = atode_queue::MAX_PUBLISHED_KINDS, "the catalogue of kinds is full: gateways that do not have this kind compiled in refuse its jobs. Remove kinds that are no longer used: atode kinds rm KIND");
            }
        }
        if is_full {
            return Ok(());
        }
    }
    Ok(())
}
