// Neon's own client against a gateway: what an application does with a database. URL and TOKEN say where.
import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { neon, neonConfig, NeonDbError, Pool, types } from "@neondatabase/serverless";

const { URL: url, TOKEN: token, WRONG: wrong } = process.env;
assert.ok(url && token, "set URL to the door of a service, and TOKEN to a token for it");

// The one thing that an application sets: where statements are sent.
neonConfig.fetchEndpoint = url;

// The password is the token; user, host and database are not looked at.
const connection = `postgresql://app:${encodeURIComponent(token)}@gateway/db`;
const sql = neon(connection);
const table = `neon_client_${process.pid}`;
const t = sql.unsafe(table);

before(() => sql`CREATE TABLE ${t} (id int PRIMARY KEY, title text, tags text[], data jsonb, at timestamptz)`);
after(() => sql`DROP TABLE ${t}`);

test("a tagged template is a statement with parameters", async () => {
  const [row] = await sql`SELECT ${1}::int AS a, ${"it's"} AS b, ${null}::text AS c, ${true}::bool AS d`;
  assert.deepEqual(row, { a: 1, b: "it's", c: null, d: true });
  assert.deepEqual(await sql`SELECT 1 AS a WHERE false`, []);
});

test("templates compose", async () => {
  const where = sql`WHERE n > ${2}`;
  const rows = await sql`SELECT n FROM generate_series(1, ${4}::int) AS n ${where}`;
  assert.deepEqual(rows, [{ n: 3 }, { n: 4 }]);
});

test("a statement in a variable has its parameters beside it", async () => {
  const rows = await sql.query("SELECT $1::int + $2::int AS sum", [20, 22]);
  assert.deepEqual(rows, [{ sum: 42 }]);
});

test("rows may be lists", async () => {
  assert.deepEqual(await sql.query("SELECT 1 AS a, 2 AS a", [], { arrayMode: true }), [[1, 2]]);
  assert.deepEqual(await neon(connection, { arrayMode: true })`SELECT 1 AS a, 'x' AS b`, [[1, "x"]]);
  assert.deepEqual(await sql`SELECT 1 AS a, 2 AS a`, [{ a: 2 }], "as node-postgres has it, the last one counts");
});

test("full results have what node-postgres tells", async () => {
  const full = neon(connection, { fullResults: true });
  const result = await full`SELECT id, 'x'::varchar(7) AS v FROM ${t} WHERE false`;
  assert.equal(result.command, "SELECT");
  assert.equal(result.rowCount, 0);
  assert.equal(result.rowAsArray, false);
  assert.equal(result.viaNeonFetch, true);
  const [id, v] = result.fields;
  assert.equal(id.name, "id");
  assert.equal(id.dataTypeID, types.builtins.INT4);
  assert.ok(id.tableID > 0 && id.columnID === 1 && id.dataTypeSize === 4 && id.dataTypeModifier === -1);
  assert.equal(id.format, "text");
  assert.deepEqual([v.dataTypeID, v.dataTypeModifier], [types.builtins.VARCHAR, 11]);
  const inserted = await full`INSERT INTO ${t} (id) VALUES (900), (901)`;
  assert.deepEqual([inserted.command, inserted.rowCount, inserted.rows], ["INSERT", 2, []]);
  const deleted = await full`DELETE FROM ${t} WHERE id >= 900 RETURNING id`;
  assert.deepEqual([deleted.command, deleted.rowCount, deleted.rows.length], ["DELETE", 2, 2]);
  const created = await full`CREATE TEMPORARY TABLE neon_gone (a int)`;
  assert.deepEqual([created.command, created.rowCount], ["CREATE", null]);
});

test("values are what the client makes of PostgreSQL's text", async () => {
  const [row] = await sql`SELECT
    9007199254740993::int8 AS int8, 1.10::numeric AS numeric, 0.1::float8 AS float8, 'NaN'::float8 AS nan,
    '{"a": [1, null]}'::jsonb AS jsonb, '\\x00ff'::bytea AS bytea, '{1,NULL,3}'::int[] AS ints,
    ARRAY['a "b"', NULL, 'c,d'] AS texts, '{{1,2},{3,4}}'::int[] AS nested, true AS yes,
    '2026-01-31 12:00:00.5+00'::timestamptz AS at, '1 day 02:00'::interval AS span,
    'ü 世界 🚀' AS unicode, '00000000-0000-0000-0000-000000000001'::uuid AS uuid, 'infinity'::timestamptz AS never`;
  assert.equal(row.int8, "9007199254740993");
  assert.equal(row.numeric, "1.10");
  assert.equal(row.float8, 0.1);
  assert.ok(Number.isNaN(row.nan));
  assert.deepEqual(row.jsonb, { a: [1, null] });
  assert.deepEqual([...row.bytea], [0, 255]);
  assert.deepEqual(row.ints, [1, null, 3]);
  assert.deepEqual(row.texts, ['a "b"', null, "c,d"]);
  assert.deepEqual(row.nested, [[1, 2], [3, 4]]);
  assert.equal(row.yes, true);
  assert.ok(row.at instanceof Date);
  assert.equal(row.at.toISOString(), "2026-01-31T12:00:00.500Z");
  assert.equal(row.span.days, 1);
  assert.equal(row.unicode, "ü 世界 🚀");
  assert.equal(row.uuid, "00000000-0000-0000-0000-000000000001");
  assert.equal(row.never, Infinity);
});

test("parameters are what the client makes of JavaScript", async () => {
  const at = new Date("2026-01-31T12:00:00.125Z");
  const data = { a: [1, "x", null], b: { c: 'a "quoted" \\ name' } };
  const tags = ["a", 'b "c" \\', null, "NULL", "d,e"];
  await sql`INSERT INTO ${t} VALUES (${1}, ${"it's; -- fine"}, ${tags}, ${data}, ${at})`;
  const [row] = await sql`SELECT * FROM ${t} WHERE id = ${1}`;
  assert.deepEqual(row, { id: 1, title: "it's; -- fine", tags, data, at });
  const [values] = await sql`SELECT ${Buffer.from([0, 92, 255])}::bytea AS bytes, ${"abcd"}::bytea AS plain,
    ${[[1, 2], [3, 4]]}::int[] AS nested, ${12345678901234567890n}::numeric AS big, ${"[1, 2]"}::jsonb AS json,
    ${JSON.stringify("text")}::jsonb AS text, ${1.5}::float8 AS float`;
  assert.deepEqual([...values.bytes], [0, 92, 255]);
  assert.equal(values.plain.toString(), "abcd", "a text for bytea is the server's text, as everywhere");
  assert.deepEqual(values.nested, [[1, 2], [3, 4]]);
  assert.equal(values.big, "12345678901234567890");
  assert.deepEqual(values.json, [1, 2]);
  assert.equal(values.text, "text");
  assert.equal(values.float, 1.5);
});

test("types may be read by functions of one's own", async () => {
  const own = { getTypeParser: (oid, format) => (oid === types.builtins.NUMERIC ? parseFloat : types.getTypeParser(oid, format)) };
  const rows = await sql.query("SELECT 1.5::numeric AS n, 1 AS i", [], { types: own });
  assert.deepEqual(rows, [{ n: 1.5, i: 1 }]);
});

test("a transaction is all or nothing", async () => {
  const [, counted] = await sql.transaction([
    sql`INSERT INTO ${t} (id) VALUES (${10})`,
    sql`SELECT count(*)::int AS n FROM ${t} WHERE id = ${10}`,
  ]);
  assert.deepEqual(counted, [{ n: 1 }]);
  const twice = sql.transaction((txn) => [
    txn`INSERT INTO ${t} (id) VALUES (11)`,
    txn`INSERT INTO ${t} (id) VALUES (11)`,
  ]);
  await assert.rejects(twice, (error) => {
    assert.ok(error instanceof NeonDbError);
    assert.equal(error.code, "23505");
    assert.match(error.message, /^duplicate key value violates unique constraint/);
    assert.equal(error.constraint, `${table}_pkey`);
    return true;
  });
  assert.deepEqual(await sql`SELECT id FROM ${t} WHERE id = 11`, []);
  assert.deepEqual(await sql.transaction([]), []);
});

test("a transaction has options", async () => {
  const ask = (options) =>
    sql.transaction(
      [
        sql`SELECT current_setting('transaction_isolation') AS isolation`,
        sql`SELECT current_setting('transaction_read_only') AS read_only, current_setting('transaction_deferrable') AS deferrable`,
      ],
      options,
    );
  for (const [isolationLevel, isolation] of [
    ["ReadUncommitted", "read uncommitted"],
    ["ReadCommitted", "read committed"],
    ["RepeatableRead", "repeatable read"],
    ["Serializable", "serializable"],
  ]) {
    assert.deepEqual((await ask({ isolationLevel }))[0], [{ isolation }]);
  }
  assert.deepEqual((await ask({ readOnly: true }))[1], [{ read_only: "on", deferrable: "off" }]);
  const all = await ask({ isolationLevel: "Serializable", readOnly: true, deferrable: true });
  assert.deepEqual(all[1], [{ read_only: "on", deferrable: "on" }]);
  const one = await sql.transaction([sql`SELECT current_setting('transaction_read_only') AS r`], { readOnly: true });
  assert.deepEqual(one, [[{ r: "on" }]]);
  await assert.rejects(
    sql.transaction([sql`INSERT INTO ${t} (id) VALUES (12)`], { readOnly: true }),
    (error) => error.code === "25006",
  );
  assert.deepEqual(await sql.transaction([sql`SELECT 1 AS a`, sql`SELECT 2 AS a`], { arrayMode: true }), [[[1]], [[2]]]);
});

test("an error is the server's", async () => {
  await assert.rejects(sql`SELECT * FROM nowhere_at_all`, (error) => {
    assert.ok(error instanceof NeonDbError);
    assert.equal(error.code, "42P01");
    assert.equal(error.severity, "ERROR");
    assert.equal(error.message, 'relation "nowhere_at_all" does not exist');
    assert.equal(error.position, "15");
    assert.ok(error.routine);
    return true;
  });
  await sql`INSERT INTO ${t} (id) VALUES (20)`;
  await assert.rejects(sql`INSERT INTO ${t} (id) VALUES (20)`, (error) => {
    assert.deepEqual([error.code, error.table, error.schema], ["23505", table, "public"]);
    assert.equal(error.detail, "Key (id)=(20) already exists.");
    return true;
  });
  await assert.rejects(sql.query("SELECT 1; SELECT 2"), (error) => error.code === "42601");
  await assert.rejects(sql.query("SELECT $1::int", ["x"]), (error) => error.code === "22P02");
  await assert.rejects(sql.query("DO $$ BEGIN RAISE EXCEPTION 'no' USING HINT = 'do', DETAIL = 'why'; END $$"), (error) => {
    assert.deepEqual([error.code, error.message, error.hint, error.detail], ["P0001", "no", "do", "why"]);
    assert.match(error.where, /PL\/pgSQL/);
    return true;
  });
});

test("a token may be given beside the connection string", async () => {
  const other = neon("postgresql://app:not-this@gateway/db", { authToken: token });
  assert.deepEqual(await other`SELECT 1 AS a`, [{ a: 1 }]);
  const late = neon("postgresql://app@gateway/db", { authToken: async () => token });
  assert.deepEqual(await late`SELECT 1 AS a`, [{ a: 1 }]);
  const parts = neon({ user: "app", password: async () => token, host: "gateway", database: "db" });
  assert.deepEqual(await parts`SELECT 1 AS a`, [{ a: 1 }]);
});

test("a wrong token opens nothing", { skip: !wrong && "the door asks for no token" }, async () => {
  for (const bad of [neon("postgresql://app:wrong@gateway/db"), neon("postgresql://app@gateway/db")]) {
    await assert.rejects(bad`SELECT 1`, (error) => {
      assert.match(error.message, /^Server error \(HTTP status 401\)/);
      assert.ok(!error.message.includes("wrong"));
      return true;
    });
  }
});

test("a pool may ask by fetch", async () => {
  neonConfig.poolQueryViaFetch = true;
  const pool = new Pool({ connectionString: connection });
  const result = await pool.query("SELECT $1::int AS a", [7]);
  assert.deepEqual(result.rows, [{ a: 7 }]);
  await pool.end();
  neonConfig.poolQueryViaFetch = false;
});

test("many at once are each answered with their own", async () => {
  const asked = Array.from({ length: 100 }, (_, n) => n);
  const answers = await Promise.all(asked.map((n) => sql`SELECT ${n}::int AS n`));
  assert.deepEqual(answers, asked.map((n) => [{ n }]));
});

test("a fetch that is given up ends", async () => {
  const signal = AbortSignal.timeout(200);
  await assert.rejects(sql.query("SELECT pg_sleep(30)", [], { fetchOptions: { signal } }), /Error connecting to database/);
});

