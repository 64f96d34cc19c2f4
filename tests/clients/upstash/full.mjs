// What Upstash's client can ask beyond plain values: everything that a Redis behind the gateway knows.
import assert from "node:assert/strict";
import test from "node:test";

export function full(clients, { url, token, key, Redis }) {
  for (const [name, client] of Object.entries(clients)) {
    test(`hashes (${name})`, async () => {
      const h = key(`${name}:hash`);
      assert.equal(await client.hset(h, { a: 1, b: "two", c: { three: [3] } }), 3);
      assert.deepEqual(await client.hgetall(h), { a: 1, b: "two", c: { three: [3] } });
      assert.equal(await client.hget(h, "b"), "two");
      assert.equal(await client.hget(h, "none"), null);
      assert.deepEqual(await client.hmget(h, "a", "none"), { a: 1, none: null });
      assert.equal(await client.hincrby(h, "a", 4), 5);
      assert.equal(await client.hincrbyfloat(h, "a", 0.5), 5.5);
      assert.equal(await client.hexists(h, "a"), 1);
      assert.deepEqual((await client.hkeys(h)).sort(), ["a", "b", "c"]);
      assert.deepEqual(await client.hvals(h), [5.5, "two", { three: [3] }]);
      assert.equal(await client.hlen(h), 3);
      assert.equal(await client.hstrlen(h, "b"), 3);
      assert.equal(await client.hsetnx(h, "a", 1), 0);
      assert.equal(await client.hdel(h, "a", "b"), 2);
      assert.equal(await client.hrandfield(h), "c");
      assert.deepEqual(await client.hscan(h, 0), ["0", ["c", { three: [3] }]]);
      assert.equal(await client.hgetall(key("none")), null);
    });

    test(`lists (${name})`, async () => {
      const [l, m] = [key(`${name}:list`), key(`${name}:moved`)];
      assert.equal(await client.rpush(l, "a", "b", "c"), 3);
      assert.equal(await client.lpush(l, { first: true }), 4);
      assert.deepEqual(await client.lrange(l, 0, -1), [{ first: true }, "a", "b", "c"]);
      assert.deepEqual(await client.lpop(l), { first: true });
      assert.equal(await client.lindex(l, 1), "b");
      assert.equal(await client.linsert(l, "before", "b", "x"), 4);
      assert.equal(await client.lset(l, 0, "A"), "OK");
      assert.equal(await client.lpos(l, "b"), 2);
      assert.equal(await client.lrem(l, 0, "x"), 1);
      assert.equal(await client.lmove(l, m, "left", "right"), "A");
      assert.equal(await client.ltrim(l, 0, 0), "OK");
      assert.deepEqual(await client.rpop(l, 5), ["b"]);
      assert.equal(await client.llen(l), 0);
      assert.equal(await client.lpushx(l, "x"), 0);
      assert.deepEqual(await client.lmpop(1, [m], "LEFT"), [m, ["A"]]);
    });

    test(`sets (${name})`, async () => {
      const [s, t, u] = ["s", "t", "u"].map((one) => key(`${name}:set:${one}`));
      assert.equal(await client.sadd(s, "a", "b", "c"), 3);
      assert.equal(await client.sadd(t, "b", "c", "d"), 3);
      assert.equal(await client.scard(s), 3);
      assert.deepEqual((await client.smembers(s)).sort(), ["a", "b", "c"]);
      assert.equal(await client.sismember(s, "a"), 1);
      assert.deepEqual(await client.smismember(s, ["a", "d"]), [1, 0]);
      assert.deepEqual((await client.sinter(s, t)).sort(), ["b", "c"]);
      assert.deepEqual(await client.sdiff(s, t), ["a"]);
      assert.equal((await client.sunion(s, t)).length, 4);
      assert.equal(await client.sinterstore(u, s, t), 2);
      assert.equal(await client.smove(s, t, "a"), 1);
      assert.equal(await client.srem(t, "a", "none"), 1);
      assert.ok(["b", "c"].includes(await client.srandmember(u)));
      assert.equal((await client.spop(u, 2)).length, 2);
      assert.deepEqual(await client.sscan(key("none"), 0), ["0", []]);
    });

    test(`sorted sets (${name})`, async () => {
      const z = key(`${name}:sorted`);
      assert.equal(await client.zadd(z, { score: 1, member: "a" }, { score: 2.5, member: "b" }, { score: 3, member: "c" }), 3);
      assert.equal(await client.zscore(z, "b"), 2.5);
      assert.equal(await client.zscore(z, "none"), null);
      assert.deepEqual(await client.zmscore(z, ["a", "none"]), [1, null]);
      assert.equal(await client.zincrby(z, 10, "a"), 11);
      assert.deepEqual(await client.zrange(z, 0, -1), ["b", "c", "a"]);
      assert.deepEqual(await client.zrange(z, 0, 0, { withScores: true }), ["b", 2.5]);
      assert.deepEqual(await client.zrange(z, 3, 20, { byScore: true }), ["c", "a"]);
      assert.deepEqual(await client.zrange(z, 0, -1, { rev: true }), ["a", "c", "b"]);
      assert.equal(await client.zrank(z, "a"), 2);
      assert.equal(await client.zrevrank(z, "a"), 0);
      assert.equal(await client.zcount(z, 0, 5), 2);
      assert.equal(await client.zcard(z), 3);
      assert.deepEqual(await client.zpopmin(z), ["b", 2.5]);
      assert.deepEqual(await client.zunion(1, [z], { withScores: true }), ["c", 3, "a", 11]);
      assert.equal(await client.zremrangebyscore(z, 0, 5), 1);
      assert.equal(await client.zrem(z, "a"), 1);
    });

    test(`streams (${name})`, async () => {
      const x = key(`${name}:stream`);
      const first = await client.xadd(x, "*", { n: 1, text: "one" });
      assert.match(first, /^\d+-\d+$/);
      const second = await client.xadd(x, "*", { n: 2 });
      assert.equal(await client.xlen(x), 2);
      assert.deepEqual(await client.xrange(x, "-", "+"), { [first]: { n: 1, text: "one" }, [second]: { n: 2 } });
      assert.equal(await client.xgroup(x, { type: "CREATE", group: "g", id: "0" }), "OK");
      const read = await client.xreadgroup("g", "c", x, ">", { count: 1 });
      assert.equal(read[0][0], x);
      assert.equal(read[0][1][0][0], first);
      assert.equal((await client.xpending(x, "g", "-", "+", 10)).length, 1);
      assert.equal(await client.xack(x, "g", first), 1);
      assert.equal((await client.xread(x, first))[0][1].length, 1);
      assert.equal(await client.xdel(x, second), 1);
      assert.equal(await client.xtrim(x, { strategy: "MAXLEN", threshold: 0, exactness: "=" }), 1);
    });

    test(`scripts (${name})`, async () => {
      const k = key(`${name}:script`);
      const give = "return { KEYS[1], ARGV[1], 7, false, { 'nested' } }";
      assert.deepEqual(await client.eval(give, [k], ["a"]), [k, "a", 7, null, ["nested"]]);
      assert.equal(await client.eval("return redis.call('SET', KEYS[1], ARGV[1])", [k], ["v"]), "OK");
      // Clients take an `OK` in a list for base64, like every text there.
      assert.deepEqual(await client.eval("return { redis.status_reply('OK'), { redis.status_reply('OK') } }", [], []), ["OK", ["OK"]]);
      assert.equal(await client.evalRo("return redis.call('GET', KEYS[1])", [k], []), "v");
      await assert.rejects(client.eval("return redis.error_reply('MINE it failed')", [], []), /MINE it failed/);
      const sha = await client.scriptLoad(give);
      assert.deepEqual(await client.scriptExists(sha, "0".repeat(40)), [1, 0]);
      assert.deepEqual((await client.evalsha(sha, [k], ["b"]))[1], "b");
      await assert.rejects(client.evalsha("0".repeat(40), [], []), /NOSCRIPT/);
      const script = client.createScript("return ARGV[1]");
      assert.equal(await script.exec([], ["said"]), "said");
    });

    test(`places, bits and counts (${name})`, async () => {
      const [g, b, p] = ["geo", "bits", "counts"].map((one) => key(`${name}:${one}`));
      assert.equal(
        await client.geoadd(g, { longitude: 13.361389, latitude: 38.115556, member: "Palermo" }, { longitude: 15.087269, latitude: 37.502669, member: "Catania" }),
        2,
      );
      assert.ok(Math.abs((await client.geodist(g, "Palermo", "Catania", "KM")) - 166.27) < 0.1);
      const near = await client.geosearch(g, { type: "FROMLONLAT", coordinate: { lon: 15, lat: 37 } }, { type: "BYRADIUS", radius: 100, radiusType: "KM" }, "ASC");
      assert.deepEqual(near.map((one) => one.member), ["Catania"]);
      const [place] = await client.geopos(g, "Palermo");
      assert.ok(Math.abs(Number(place.lng) - 13.36) < 0.01);
      assert.equal((await client.geohash(g, "Palermo"))[0].length, 11);

      assert.equal(await client.setbit(b, 7, 1), 0);
      assert.equal(await client.getbit(b, 7), 1);
      assert.equal(await client.bitcount(b, 0, -1), 1);
      assert.equal(await client.bitpos(b, 1), 7);
      assert.equal(await client.bitop("not", key(`${name}:not`), b), 1);
      // The client offers this builder only where it does not gather commands by itself.
      assert.deepEqual(await clients.single.bitfield(b).set("u8", 0, 255).get("u8", 0).incrby("u8", 0, 1).exec(), [1, 255, 0]);

      assert.equal(await client.pfadd(p, "a", "b", "a"), 1);
      assert.equal(await client.pfcount(p), 2);
      assert.equal(await client.pfmerge(key(`${name}:merged`), p), "OK");
    });

    test(`whole keys and numbers with a fraction (${name})`, async () => {
      const [a, b] = ["from", "to"].map((one) => key(`${name}:key:${one}`));
      assert.equal(await client.set(a, 1), "OK");
      assert.equal(await client.incrbyfloat(a, 0.25), 1.25);
      assert.equal(await client.setrange(a, 0, "9"), 4);
      assert.equal(await client.getrange(a, 0, 0), 9);
      assert.equal(await client.rename(a, b), "OK");
      assert.equal(await client.renamenx(b, a), 1);
      assert.equal(await client.copy(a, b), "COPIED");
      assert.equal(await client.touch(a, b), 2);
      assert.equal(await client.expireat(a, Math.floor(Date.now() / 1000) + 100), 1);
      assert.ok((await client.ttl(a)) > 90);
      assert.equal((await client.time()).length, 2);
      assert.equal(typeof (await client.dbsize()), "number");
      assert.equal(await client.publish(key("nobody"), "said"), 0);
    });

    test(`pipelines of everything (${name})`, async () => {
      const [h, l] = [key(`${name}:ph`), key(`${name}:pl`)];
      const done = await client.pipeline().hset(h, { f: { v: 1 } }).hgetall(h).rpush(l, 1, 2).lrange(l, 0, -1).get(key("none")).exec();
      assert.deepEqual(done, [1, { f: { v: 1 } }, 2, [1, 2], null]);
      const kept = await client.pipeline().lpush(h, 1).hlen(h).flushall().llen(l).exec({ keepErrors: true });
      assert.match(kept[0].error, /^WRONGTYPE/);
      assert.equal(kept[1].result, 1);
      assert.match(kept[2].error, /FLUSHALL/i);
      assert.equal(kept[3].result, 2);

      // One that fails in its turn leaves the others; one that may not be asked leaves nothing.
      await assert.rejects(client.multi().rpush(l, 3).incr(h).exec(), /WRONGTYPE/);
      assert.equal(await client.llen(l), 3);
      await assert.rejects(client.multi().rpush(l, 4).flushall().exec(), /FLUSHALL/i);
      assert.equal(await client.llen(l), 3);
    });

    test(`what is not to be asked (${name})`, async () => {
      await assert.rejects(client.flushall(), /FLUSHALL/i);
      const h = key(`${name}:refused`);
      await client.hset(h, { a: 1 });
      await assert.rejects(client.incr(h), /WRONGTYPE/);
      const raw = (command) => fetch(url, { method: "POST", headers: { authorization: `Bearer ${token}` }, body: JSON.stringify(command) });
      for (const [command, status] of [
        [["CONFIG", "GET", "*"], 403],
        [["SUBSCRIBE", "x"], 422],
        [["MONITOR"], 422],
        [["GET"], 400],
        [["NOSUCH", "x"], 422],
      ]) {
        const reply = await raw(command);
        const body = await reply.json();
        assert.equal(reply.status, status, JSON.stringify(body));
        assert.equal(typeof body.error, "string");
      }
    });
  }

  test("values as they are, without a guess at their types", async () => {
    const asIs = new Redis({ url, token, retry: false, automaticDeserialization: false });
    const h = key("as-is");
    await asIs.hset(h, { n: 1, o: { a: 1 } });
    assert.deepEqual(await asIs.hvals(h), ["1", '{"a":1}']);
    assert.deepEqual(await asIs.hmget(h, "n"), ["1"]);
  });

  test("a command that waits is woken", async () => {
    const l = key("waited");
    const ask = (command) => fetch(url, { method: "POST", headers: { authorization: `Bearer ${token}` }, body: JSON.stringify(command) }).then((reply) => reply.json());
    const waiting = ask(["BLPOP", l, "30"]);
    await new Promise((done) => setTimeout(done, 200));
    await clients.redis.rpush(l, "there");
    assert.deepEqual(await waiting, { result: [l, "there"] });
    assert.deepEqual(await ask(["BLPOP", l, "0.1"]), { result: null });
  });

  test("many at once share connections", async () => {
    const h = key("many:hash");
    await Promise.all(Array.from({ length: 300 }, (_, n) => clients.single.hincrby(h, `f${n % 10}`, 1)));
    assert.deepEqual(await clients.redis.hvals(h), Array(10).fill(30));
  });
}
