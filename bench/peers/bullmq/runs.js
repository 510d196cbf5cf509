// Which jobs ran, when, and how often.

// No run for so long: the rest will never come.
const PATIENCE_MS = 60_000;

// The machine's wall clock in ms, with more digits than Date.now().
const now = () => performance.timeOrigin + performance.now();

class Runs {
  constructor(jobs) {
    this.jobs = jobs;
    this.count = 0;
    this.first = new Map();
    this.last = now();
    this.done = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.watch = setInterval(() => {
        if (now() - this.last > PATIENCE_MS) {
          clearInterval(this.watch);
          reject(new Error(`${this.count} of ${jobs} jobs ran, then none for ${PATIENCE_MS / 1000} s`));
        }
      }, 1_000);
    });
    // Whoever awaits it gets the error; until then it is not an unhandled one.
    this.done.catch(() => {});
  }

  note(id) {
    this.last = now();
    this.count += 1;
    if (!this.first.has(id)) this.first.set(id, this.last);
    if (this.count === this.jobs) {
      clearInterval(this.watch);
      this.end = this.last;
      this.resolve();
    }
  }

  // Throws unless each job ran exactly once. To be asked once the worker is down.
  once() {
    if (this.count !== this.jobs || this.first.size !== this.jobs) {
      throw new Error(`${this.count} runs of ${this.first.size} different jobs, of ${this.jobs}`);
    }
  }
}

module.exports = { Runs, now };
