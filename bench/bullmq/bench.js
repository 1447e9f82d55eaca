// BullMQ's side of the benchmarks: a queue, and a worker once it is asked for. The Go program writes one JSON object a line on
// standard input (a call with a number) and reads one a line from standard output: the answer to a call, or deliveries. The end of
// standard input ends this process.
//
//   {"call": 1, "op": "create", "tasks": [{"id": "...", "due": unix ms, "now": false, "payload": "..."}]}
//   {"call": 2, "op": "delete", "ids": ["..."]}      {"call": 3, "op": "consume"}      {"call": 4, "op": "left"}
//   {"call": 1, "error": "...", "n": 0}              {"at": [["id", unix microseconds], ...], "done": jobs completed so far}
import { createInterface } from 'node:readline';
import { performance } from 'node:perf_hooks';
import { Queue, Worker } from 'bullmq';

const config = JSON.parse(process.env.TRIGGERHOOK_BENCH_BULLMQ);
const connection = { host: config.host, port: config.port, maxRetriesPerRequest: null };
// A job that is done is removed, as the other systems do.
const queue = new Queue(config.queue, { connection, defaultJobOptions: { removeOnComplete: true, removeOnFail: false } });
queue.on('error', complain);
let worker;

// complain ends the process: an error that no call returns would make its figures wrong.
function complain(err) {
  console.error('bullmq:', err);
  process.exit(1);
}

const write = (object) => process.stdout.write(JSON.stringify(object) + '\n');

// report collects what happens within one turn of the event loop, and writes it as one line.
let at = [];
let done = 0;
let planned = false;
function report() {
  if (planned) return;
  planned = true;
  setImmediate(() => {
    planned = false;
    write({ at, done });
    at = [];
  });
}

const clock = () => Math.round((performance.timeOrigin + performance.now()) * 1000);

// jobOf is a task as BullMQ takes it: a delay, counted from a time that is named, so that their sum is the task's due time.
function jobOf(task) {
  const opts = { jobId: task.id };
  if (!task.now) {
    opts.timestamp = Date.now();
    opts.delay = Math.max(0, task.due - opts.timestamp);
  }
  return { name: 'bench', data: task.payload, opts };
}

async function create(tasks) {
  const jobs = tasks.map(jobOf);
  if (jobs.length === 1) {
    await queue.add(jobs[0].name, jobs[0].data, jobs[0].opts);
  } else {
    await queue.addBulk(jobs);
  }
}

async function remove(ids) {
  const removed = await Promise.all(ids.map((id) => queue.remove(id)));
  const n = removed.filter((r) => r === 1).length;
  if (n !== ids.length) throw new Error(`of ${ids.length} jobs ${n} were there`);
}

async function consume() {
  worker = new Worker(
    config.queue,
    async (job) => {
      at.push([job.id, clock()]);
      report();
    },
    { connection, concurrency: config.concurrency },
  );
  worker.on('error', complain);
  worker.on('failed', (_, err) => complain(err));
  worker.on('completed', () => {
    done++;
    report();
  });
  await worker.waitUntilReady();
}

const left = () => queue.getJobCountByTypes('waiting', 'active', 'delayed', 'prioritized', 'paused', 'failed');

const ops = {
  create: (m) => create(m.tasks),
  delete: (m) => remove(m.ids),
  consume,
  left,
};

async function answer(line) {
  const message = JSON.parse(line);
  try {
    const n = await ops[message.op](message);
    write({ call: message.call, n: n ?? 0 });
  } catch (err) {
    write({ call: message.call, error: String(err) });
  }
}

const lines = createInterface({ input: process.stdin, crlfDelay: Infinity });
lines.on('line', (line) => void answer(line));
lines.on('close', async () => {
  await worker?.close();
  await queue.close();
  process.exit(0);
});
