// Upstash's own client against a gateway: what an application does with a cache. URL and TOKEN say where, and MODE what
// stands there: `memory`, which knows plain values, or `redis`, which knows everything.
import assert from "node:assert/strict";
import test, { after } from "node:test";
import { Redis } from "@upstash/redis";
import { full } from "./full.mjs";

const { URL: url, TOKEN: token, MODE: mode } = process.env;
assert.ok(url && token, "set URL to the door of a service, and TOKEN to a token for it");
assert.ok(["memory", "redis"].includes(mode), "set MODE to memory or redis");

const prefix = `client:${process.pid}:`;
const key = (name) => prefix + name;

// As it comes: base64 results, and commands of one turn of the loop gathered into a pipeline.
const redis = new Redis({ url, token, enableTelemetry: false, retry: false });
const single = new Redis({ url, token, retry: false, enableAutoPipelining: false });
const plain = new Redis({ url, token, retry: false, responseEncoding: false });

after(async () => {
  let cursor = "0";
  do {
    const [next, keys] = await redis.scan(cursor, { match: `${prefix}*`, count: 500 });
    if (keys.length > 0) await redis.del(...keys);
    cursor = next;
  } while (cursor !== "0");
});

for (const [name, client] of Object.entries({ redis, single, plain })) {
  test(`values (${name})`, async () => {
    const a = key(`${name}:a`);
    assert.equal(await client.get(a), null);
    assert.equal(await client.set(a, "hello"), "OK");
    assert.equal(await client.get(a), "hello");
    assert.equal(await client.set(a, "other", { nx: true }), null);
    assert.equal(await client.set(a, "grüße, 世界 🚀", { xx: true, get: true }), "hello");
    assert.equal(await client.get(a), "grüße, 世界 🚀");
    assert.equal(await client.set(a, "OK"), "OK");
    assert.equal(await client.get(a), "OK");
    assert.equal(await client.append(a, "!"), 3);
    assert.equal(await client.strlen(a), 3);
    assert.equal(await client.type(a), "string");
    assert.equal(await client.exists(a, a, key("none")), 2);
    assert.equal(await client.getdel(a), "OK!");
    assert.equal(await client.del(a), 0);
    assert.equal(await client.ping(), "PONG");
    assert.equal(await client.echo("hello"), "hello");
  });

  test(`numbers (${name})`, async () => {
    const n = key(`${name}:n`);
    assert.equal(await client.incr(n), 1);
    assert.equal(await client.incrby(n, 41), 42);
    assert.equal(await client.decr(n), 41);
    assert.equal(await client.decrby(n, 51), -10);
    assert.equal(await client.get(n), -10);
  });

  test(`objects (${name})`, async () => {
    const o = key(`${name}:o`);
    const value = { id: 7, name: "a \"quoted\" name", tags: ["x", null, 1.5], nested: { yes: true } };
    assert.equal(await client.set(o, value, { ex: 100 }), "OK");
    assert.deepEqual(await client.get(o), value);
    assert.equal(await client.ttl(o), 100);
    assert.equal(await client.mset({ [key(`${name}:1`)]: 1, [key(`${name}:2`)]: value }), "OK");
    const many = await client.mget(key(`${name}:1`), key("none"), key(`${name}:2`));
    assert.deepEqual(many, [1, null, value]);
    assert.equal(await client.msetnx({ [key(`${name}:1`)]: 2, [key(`${name}:3`)]: 3 }), 0);
    assert.equal(await client.getset(key(`${name}:1`), "x"), 1);
  });

  test(`times (${name})`, async () => {
    const t = key(`${name}:t`);
    assert.equal(await client.ttl(t), -2);
    await client.set(t, "v");
    assert.equal(await client.ttl(t), -1);
    assert.equal(await client.expire(t, 60), 1);
    assert.ok((await client.pttl(t)) > 59_000);
    assert.equal(await client.getex(t, { px: 20_000 }), "v");
    assert.equal(await client.ttl(t), 20);
    assert.equal(await client.persist(t), 1);
    assert.equal(await client.pexpire(t, 5), 1);
    await new Promise((done) => setTimeout(done, 30));
    assert.equal(await client.get(t), null);
    assert.equal(await client.setex(t, 60, "v"), "OK");
    assert.equal(await client.unlink(t), 1);
  });

  test(`pipelines and transactions (${name})`, async () => {
    const p = key(`${name}:p`);
    assert.deepEqual(await client.pipeline().set(p, 1).incr(p).get(p).mget(p, key("none")).exec(), ["OK", 2, 2, [2, null]]);
    assert.deepEqual(await client.multi().incr(p).incrby(p, 10).get(p).exec(), [3, 13, 13]);
    await client.set(p, "text");
    const kept = await client.pipeline().incr(p).get(p).exec({ keepErrors: true });
    assert.match(kept[0].error, /^ERR value is not an integer/);
    assert.equal(kept[1].result, "text");
    if (mode === "memory") {
      await assert.rejects(client.multi().set(p, "lost").hset(p, { a: 1 }).exec(), /EXECABORT.*unknown command/);
      assert.equal(await client.get(p), "text");
    }
  });

  test(`failures (${name})`, async () => {
    const f = key(`${name}:f`);
    await client.set(f, "text");
    await assert.rejects(client.incr(f), /ERR value is not an integer or out of range/);
    await assert.rejects(client.hget(f, "field"), mode === "memory" ? /ERR unknown command/ : /WRONGTYPE/);
  });
}

test("scan", async () => {
  const wanted = new Set();
  const filling = redis.pipeline();
  for (let n = 0; n < 300; n++) {
    wanted.add(key(`scan:${n}`));
    filling.set(key(`scan:${n}`), n);
  }
  await filling.exec();
  const seen = new Set();
  let cursor = "0";
  do {
    const [next, keys] = await redis.scan(cursor, { match: key("scan:*"), count: 100 });
    keys.forEach((one) => seen.add(one));
    cursor = next;
  } while (cursor !== "0");
  assert.deepEqual(seen, wanted);
  assert.equal((await redis.keys(key("scan:1*"))).length, 111);
});

test("many at once lose nothing", async () => {
  const n = key("many");
  await Promise.all(Array.from({ length: 200 }, () => single.incr(n)));
  assert.equal(await redis.get(n), 200);
});

if (mode === "redis") {
  full({ redis, single, plain }, { url, token, key, Redis });
}
