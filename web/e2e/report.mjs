// Counts checks and prints them as they end.

export class Report {
  passed = 0;
  failed = 0;

  /** Runs a check; a failure is told and counted, and the flow goes on. @param {string} name @param {() => Promise<void>} check */
  async check(name, check) {
    const began = Date.now();
    try {
      await check();
      this.passed++;
      console.log(`ok ${this.passed + this.failed} - ${name} (${Date.now() - began} ms)`);
      return true;
    } catch (error) {
      this.failed++;
      console.log(`not ok ${this.passed + this.failed} - ${name}`);
      console.log(String(error instanceof Error ? error.message : error).replace(/^/gm, "    "));
      return false;
    }
  }

  close() {
    console.log(`${this.passed} passed, ${this.failed} failed`);
  }
}

/** @param {unknown} condition @param {string} message @returns {asserts condition} */
export function must(condition, message) {
  if (!condition) throw new Error(message);
}

/** Asks until the answer is yes, for a bounded time. @param {string} what @param {number} ms @param {() => Promise<boolean>} ready */
export async function until(what, ms, ready) {
  const end = Date.now() + ms;
  while (!(await ready())) {
    must(Date.now() < end, `${what}: not within ${ms / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
