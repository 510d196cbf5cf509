// Enqueues a job with the types that openapi-typescript made, and waits until it has completed.
import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

const client = createClient<paths>({ baseUrl: process.argv[2] ?? "http://127.0.0.1:8080" });

const enqueued = await client.POST("/v1/jobs", {
  params: { header: { "Idempotency-Key": `typescript-${Date.now()}` } },
  body: { kind: "demo:delay_print", payload: { message: "from TypeScript" }, delay: "100ms" },
});
if (!enqueued.data) throw new Error(`refused: ${enqueued.error.detail}`);

const { data: job } = await client.GET("/v1/jobs/{id}", {
  params: { path: { id: enqueued.data.id }, query: { wait: "30s" } },
});
if (job?.state !== "completed") throw new Error(`not completed: ${JSON.stringify(job)}`);

const refused = await client.POST("/v1/jobs", { body: { kind: "no:such" } });
if (refused.error?.errors?.[0]?.pointer !== "/kind") throw new Error(`not refused: ${JSON.stringify(refused)}`);
console.log(`TypeScript: job ${job.id} has completed`);
