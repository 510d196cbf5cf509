// A peer of `atode-bench compare`: BullMQ. ../README.md describes the runs and the output.
const { parseArgs } = require('node:util');
const { setTimeout: sleep } = require('node:timers/promises');
const { Queue, Worker } = require('bullmq');
const { version } = require('bullmq/package.json');
const { Runs, now } = require('./runs.js');

const PAYLOAD = { message: 'hello world 000000001', t: 1700000000000 };
const NAME = 'bench';
const A_CALL = 1_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    redis: { type: 'string' },
    jobs: { type: 'string' },
    producers: { type: 'string', default: '64' },
    concurrency: { type: 'string', default: '64' },
    seconds: { type: 'string', default: '15' },
  },
});
const settings = Object.fromEntries(
  ['jobs', 'producers', 'concurrency', 'seconds'].map((name) => [name, Number(values[name])]),
);

main(positionals[0]).then(
  (result) => {
    console.log(JSON.stringify(result));
    process.exit(0);
  },
  (error) => {
    console.error(`bullmq: ${error.message}`);
    process.exit(1);
  },
);

async function main(what) {
  const measure = { enqueue, drain, lateness }[what];
  if (!measure) throw new Error('say what to measure: enqueue, drain or lateness');
  for (const [name, value] of Object.entries(settings)) {
    if (!Number.isInteger(value) || value < 1) throw new Error(`--${name}: a whole number of at least 1`);
  }
  const [host, port] = (values.redis ?? '').split(':');
  if (!port) throw new Error('--redis HOST:PORT is needed');
  const connection = { host, port: Number(port) };
  // Finished jobs are removed at once. Everything else keeps BullMQ's defaults.
  const queue = new Queue(NAME, { connection, defaultJobOptions: { removeOnComplete: true } });
  queue.on('error', () => {}); // the calls fail too
  await queue.waitUntilReady();
  await expectLeft(queue, 0);
  const { seconds, ran, late } = await measure(queue, connection);
  const { jobs } = settings;
  const result = {
    peer: 'bullmq', version, what, jobs, seconds, per_second: jobs / seconds, ran, lost: 0, twice: 0,
  };
  if (late) {
    late.sort((a, b) => a - b);
    const at = (percent) => late[Math.min(Math.floor((late.length * percent) / 100), late.length - 1)];
    result.lateness_percentiles_ms = Array.from({ length: 101 }, (_, percent) => at(percent));
  }
  return result;
}

async function enqueue(queue) {
  const start = now();
  await share(async (_, jobs) => {
    for (let i = 0; i < jobs; i += 1) await queue.add(NAME, PAYLOAD);
  });
  const seconds = (now() - start) / 1e3;
  await expectLeft(queue, settings.jobs);
  return { seconds, ran: 0 };
}

async function drain(queue, connection) {
  for (let left = settings.jobs; left > 0; left -= A_CALL) {
    const batch = Array.from({ length: Math.min(left, A_CALL) }, () => ({ name: NAME, data: PAYLOAD }));
    await queue.addBulk(batch);
  }
  const runs = new Runs(settings.jobs);
  const start = now();
  const worker = work(connection, runs);
  await runs.done;
  await worker.close(); // waits until its handlers have settled their jobs
  runs.once();
  await expectLeft(queue, 0);
  return { seconds: (runs.end - start) / 1e3, ran: runs.count };
}

async function lateness(queue, connection) {
  const runs = new Runs(settings.jobs);
  const start = now();
  const worker = work(connection, runs);
  await worker.waitUntilReady();
  const due = new Map();
  await share(async (_, jobs) => {
    const offsets = Array.from({ length: jobs }, () => Math.random() * settings.seconds * 1e3);
    for (const offset of offsets.sort((a, b) => a - b)) {
      const wait = start + offset - now();
      if (wait > 0) await sleep(wait);
      // BullMQ takes whole milliseconds.
      const timestamp = Date.now();
      const delay = 3_000 + Math.floor(Math.random() * 1_000);
      const job = await queue.add(NAME, PAYLOAD, { delay, timestamp });
      due.set(job.id, timestamp + delay);
    }
  });
  await runs.done;
  await worker.close();
  runs.once();
  await expectLeft(queue, 0);
  const late = [...due].map(([id, at]) => runs.first.get(id) - at);
  if (late.some(Number.isNaN)) throw new Error('a job that was enqueued never ran');
  return { seconds: (runs.end - start) / 1e3, ran: runs.count, late };
}

function work(connection, runs) {
  const handler = async (job) => runs.note(job.id);
  const worker = new Worker(NAME, handler, { connection, concurrency: settings.concurrency });
  worker.on('error', (error) => console.error(`bullmq: worker: ${error.message}`));
  return worker;
}

// Divides the jobs among concurrent producers.
async function share(produce) {
  const { jobs, producers } = settings;
  await Promise.all(
    Array.from({ length: producers }, (_, n) =>
      produce(n, Math.floor(jobs / producers) + (n < jobs % producers ? 1 : 0)),
    ),
  );
}

async function expectLeft(queue, expected) {
  const counts = await queue.getJobCounts('waiting', 'active', 'delayed', 'prioritized', 'failed', 'paused');
  const left = Object.values(counts).reduce((sum, n) => sum + n, 0);
  if (left !== expected) throw new Error(`${expected} jobs should be in the queue: ${JSON.stringify(counts)}`);
}
