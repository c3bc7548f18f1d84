// Express with express-session and connect-redis: a site with logins, asked over HTTP.
const assert = require("assert");
const express = require("express");
const session = require("express-session");
const { RedisStore } = require("connect-redis");
const { createClient } = require("redis");
const { port, killServer, sleep, main } = require("./common");

/** The site, on a free port. */
async function serve(client) {
  const site = express();
  const store = new RedisStore({ client, prefix: "shop:", ttl: 60 });
  site.use(session({ store, secret: "only for tests", resave: false, saveUninitialized: false, rolling: true, cookie: { maxAge: 60000 } }));
  site.get("/login/:name", (request, response, next) =>
    request.session.regenerate((error) => {
      if (error) return next(error);
      request.session.user = request.params.name;
      request.session.cart = [];
      response.send("welcome");
    }),
  );
  site.get("/add/:item", (request, response) => {
    if (!request.session.user) return response.status(401).send("who?");
    request.session.cart.push(request.params.item);
    response.json(request.session.cart);
  });
  site.get("/me", (request, response) => response.json({ user: request.session.user ?? null, cart: request.session.cart ?? [] }));
  site.get("/logout", (request, response) => request.session.destroy((error) => response.send(String(error ?? "bye"))));
  site.get("/short", (request, response) => {
    request.session.cookie.maxAge = 1000;
    response.send("in a hurry");
  });
  const listening = await new Promise((resolve) => {
    const server = site.listen(0, "127.0.0.1", () => resolve(server));
  });
  return { store, at: `http://127.0.0.1:${listening.address().port}` };
}

/** A browser: it keeps its cookie. */
class Browser {
  constructor(at) {
    this.at = at;
    this.cookie = "";
  }

  async get(path) {
    const answer = await fetch(this.at + path, { headers: { cookie: this.cookie } });
    const set = answer.headers.get("set-cookie");
    if (set) this.cookie = set.split(";")[0];
    const text = await answer.text();
    return { status: answer.status, body: text.startsWith("{") || text.startsWith("[") ? JSON.parse(text) : text };
  }
}

main(async () => {
  const client = createClient({ socket: { port, host: "127.0.0.1", reconnectStrategy: () => 50 } });
  client.on("error", () => {});
  await client.connect();
  const { store, at } = await serve(client);
  const call = (name, ...words) => new Promise((resolve, reject) => store[name](...words, (error, value) => (error ? reject(error) : resolve(value))));
  const [ann, bob, guest] = [new Browser(at), new Browser(at), new Browser(at)];
  assert.strictEqual((await guest.get("/add/pen")).status, 401);
  assert.strictEqual(await client.dbSize(), 0, "who is nobody leaves nothing");

  await ann.get("/login/ann");
  await bob.get("/login/bob");
  for (const item of ["pen", "ink", "paper"]) await ann.get(`/add/${item}`);
  assert.deepStrictEqual((await ann.get("/me")).body, { user: "ann", cart: ["pen", "ink", "paper"] });
  assert.deepStrictEqual((await bob.get("/me")).body, { user: "bob", cart: [] });
  const names = await client.keys("shop:*");
  assert.strictEqual(names.length, 2);
  assert.strictEqual(await call("length"), 2);
  assert.deepStrictEqual((await call("all")).map((one) => one.user).sort(), ["ann", "bob"]);
  assert.strictEqual((await call("ids")).length, 2);

  // Each use prolongs the life of a session.
  for (const name of names) await client.expire(name, 10);
  await ann.get("/me");
  const left = await Promise.all(names.map((name) => client.ttl(name)));
  assert.ok(Math.max(...left) > 50 && Math.min(...left) <= 10, String(left));

  // A new login has a new session, and the old one is gone.
  const old = ann.cookie;
  await ann.get("/login/ann");
  assert.notStrictEqual(ann.cookie, old);
  const thief = new Browser(at);
  thief.cookie = old;
  assert.strictEqual((await thief.get("/me")).body.user, null);
  await ann.get("/add/pen");

  const many = [...Array(100)].map(() => new Browser(at));
  await Promise.all(many.map((one, n) => one.get(`/login/user${n}`)));
  await Promise.all(many.flatMap((one) => [one.get("/me"), one.get("/me")]));
  assert.strictEqual(await call("length"), 102);

  await killServer();
  assert.deepStrictEqual((await ann.get("/me")).body, { user: "ann", cart: ["pen"] });
  const still = await Promise.all(many.map(async (one, n) => (await one.get("/me")).body.user === `user${n}`));
  assert.ok(still.every(Boolean), "a login is lost");

  await bob.get("/logout");
  assert.strictEqual((await bob.get("/me")).body.user, null);
  await many[0].get("/short");
  await sleep(1300);
  assert.strictEqual((await many[0].get("/me")).body.user, null, "a session that is over");
  await call("clear");
  assert.strictEqual(await call("length"), 0);
});
