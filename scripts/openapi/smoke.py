"""Enqueues a job with the client that openapi-python-client made, and waits until it has completed."""

import sys

from atode_client import Client
from atode_client.api.jobs import enqueue_job, get_job
from atode_client.models import Job, JobRequest, JobRequestPayload, JobState, Problem

client = Client(base_url=sys.argv[1], timeout=40)

request = JobRequest(
    kind="demo:delay_print",
    payload=JobRequestPayload.from_dict({"message": "from Python"}),
    delay="100ms",
)
enqueued = enqueue_job.sync(client=client, body=request, idempotency_key="python")
assert isinstance(enqueued, Job), enqueued

job = get_job.sync(enqueued.id, client=client, wait="30s")
assert isinstance(job, Job) and job.state == JobState.COMPLETED, job

refused = enqueue_job.sync(client=client, body=JobRequest(kind="no:such"))
assert isinstance(refused, Problem) and refused.errors[0].pointer == "/kind", refused
print(f"Python: job {job.id} has completed")
