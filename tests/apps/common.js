// What the programs for Node share: the port, and asking for the server to be killed.
const readline = require("readline");

const port = Number(process.argv[2]);
const lines = readline.createInterface({ input: process.stdin });
const waiting = [];
lines.on("line", () => waiting.shift()?.());

/** The server is killed and started again; resolves when it is up. */
function killServer() {
  console.log("kill");
  return new Promise((resolve) => waiting.push(resolve));
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits for a condition, looking again and again. */
async function until(what, holds, ms = 20000) {
  const end = Date.now() + ms;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`in vain: ${what}`);
    await sleep(20);
  }
}

/** Runs a program; says `ok` when it ends well. */
function main(program) {
  program().then(
    () => {
      console.log("ok");
      process.exit(0);
    },
    (error) => {
      console.log(error);
      process.exit(1);
    },
  );
}

module.exports = { port, killServer, sleep, until, main };
