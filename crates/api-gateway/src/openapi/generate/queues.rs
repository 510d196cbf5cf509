//! Operations on queues, and on dead jobs by cause.

use atode_queue::{Failures, Items, Moved, QueueView};
use serde_json::json;

use crate::api::failures::{FailuresQuery, RedriveQuery as FailureQuery};
use crate::api::queues::{PurgeQuery, RedriveQuery};
use crate::api::scale::Scale;
use crate::http::problem_types::Slug;
use crate::openapi::generate::document::Draft;
use crate::openapi::generate::examples::{ID, moved, queue};

pub(super) fn add(draft: &mut Draft) {
    draft.tag("queues");
    draft.add("get /v1/queues", "listQueues", "List queues", |operation| {
        operation
            .about("The configured queues, then others that hold or held jobs.")
            .reply::<Items<QueueView>>(200, "All queues.", json!({"items": [queue()]}))
    });
    draft.add("get /v1/queues/{queue}", "getQueue", "Show a queue", |operation| {
        operation.reply::<QueueView>(200, "The queue.", queue())
    });
    draft.add(
        "post /v1/queues/{queue}/pause",
        "pauseQueue",
        "Stop handing out jobs of a queue",
        |operation| {
            operation.about("Running jobs are not affected.").reply::<QueueView>(200, "The queue.", queue())
        },
    );
    draft.add(
        "post /v1/queues/{queue}/resume",
        "resumeQueue",
        "Hand out jobs of a queue again",
        |operation| operation.reply::<QueueView>(200, "The queue.", queue()),
    );
    draft.add("post /v1/queues/{queue}/redrive", "redriveQueue", "Run the dead jobs of a queue again", |operation| {
        operation
            .about("At most 1,000 jobs per call, those that have been dead longest. Repeat it until `remaining` is 0.")
            .query::<RedriveQuery>()
            .reply::<Moved>(200, "How many jobs were redriven, and how many are left.", moved())
            .errors(&[Slug::Invalid])
    });
    draft.add(
        "post /v1/queues/{queue}/purge",
        "purgeQueue",
        "Delete jobs of a queue in one state",
        |operation| {
            operation
                .about("At most 1,000 jobs per call. Repeat it until `remaining` is 0.")
                .query::<PurgeQuery>()
                .reply::<Moved>(200, "How many jobs were deleted, and how many are left.", moved())
                .errors(&[Slug::Invalid])
        },
    );
    draft.add("get /v1/queues/{queue}/scale", "getQueueScale", "Show the load of a queue to an autoscaler", |operation| {
        operation.about("Every field is always there. It has no rate limit.").reply::<Scale>(
            200,
            "The load.",
            json!({"queue": "default", "paused": false, "scheduled": 120, "ready": 4, "active": 3, "unfinished": 7,
                "oldest_ready_age_seconds": 1.25, "workers": 2, "slots": 128}),
        )
    });
    draft.add("get /v1/failures", "listFailures", "List dead jobs by cause", |operation| {
        operation
            .about("Jobs of one kind whose last errors differ only in numbers, ids, addresses and such have one cause.")
            .query::<FailuresQuery>()
            .reply::<Failures>(
                200,
                "The causes; the latest death comes first.",
                json!({"items": [{
                    "fingerprint": "5b0d4f6c3a1e9872", "kind": "mail:send", "error": "connect to <addr>: timed out after <n>ms",
                    "count": 4812, "first_seen": "2026-11-24T00:06:11.842Z", "last_seen": "2026-11-24T09:41:03.007Z",
                    "builds": ["0.1.0+1a2b3c4d5e6f"], "queues": ["default"],
                    "example": {"id": ID, "queue": "default", "error": "connect to 10.0.0.7:25: timed out after 5000ms"},
                }], "total": 1}),
            )
            .errors(&[Slug::Invalid])
    });
    draft.add(
        "post /v1/failures/{fingerprint}/redrive",
        "redriveFailure",
        "Run the dead jobs of one cause again",
        |operation| {
            operation
                .about("A call looks at 1,000 dead jobs. Repeat it until `remaining` is 0.")
                .query::<FailureQuery>()
                .reply::<Moved>(200, "How many jobs were redriven, and how many are left.", moved())
                .errors(&[Slug::Invalid])
        },
    );
}
