//! Which types there are, by the server's own list, and some of the test's own of each sort.

use engines::Server;

/// Types without values, or without a way for anybody to print or give one, and why. All pseudo types are left out
/// beside these: no column and no value is of one.
pub(crate) const SKIPPED: &[(&str, &str)] = &[
    ("gtsvector", "it has neither values outside an index nor an input function"),
    ("gtsvector[]", "its elements have no values"),
    ("pg_brin_bloom_summary", "it has neither values outside an index nor an input function"),
    ("pg_brin_minmax_multi_summary", "it has neither values outside an index nor an input function"),
    ("pg_ndistinct", "its values are made by ANALYZE alone, and cannot be given"),
    ("pg_dependencies", "its values are made by ANALYZE alone, and cannot be given"),
    ("pg_mcv_list", "its values are made by ANALYZE alone, and cannot be given"),
    // As an element of a bigger one each of these would be refused as well: rows of catalogues are tried with nulls.
];

/// A type of the server.
#[derive(Debug, Clone)]
pub(crate) struct Type {
    pub(crate) oid: u32,
    /// Its name as SQL writes it, without a length that it would be cut to.
    pub(crate) sql: String,
    /// `pg_type.typname`.
    pub(crate) name: String,
    /// What the type of a column is to be told as.
    pub(crate) told_as: String,
    /// `b`, `e`, `d`, `r`, `m` or `c`.
    pub(crate) sort: char,
    /// What it is an array of, or a domain over, or a range of.
    pub(crate) of: Option<u32>,
    pub(crate) is_array: bool,
    /// How many arrays deep the base type stands: two where the elements of an array are a domain over arrays.
    pub(crate) arrays: usize,
    /// The base type of a domain, of its elements for an array: what decides how a value is told.
    pub(crate) base: String,
    /// How many attributes a composite has.
    pub(crate) attributes: usize,
    /// Whether a value can be given: there is an input function that takes some.
    pub(crate) taken: bool,
}

/// Types of the test's own, taken away at its end.
pub(crate) struct Schema {
    server: Server,
    pub(crate) name: String,
}

impl Schema {
    pub(crate) fn create(server: &Server) -> Schema {
        let name = format!("types_{}", std::process::id());
        let _ = server.psql(&format!(
            "SET client_min_messages = warning;
             DROP SCHEMA IF EXISTS {name} CASCADE;
             CREATE SCHEMA {name};
             SET search_path = {name};
             CREATE EXTENSION IF NOT EXISTS hstore SCHEMA public;
             CREATE EXTENSION IF NOT EXISTS citext SCHEMA public;
             CREATE EXTENSION IF NOT EXISTS ltree SCHEMA public;
             CREATE TYPE mood AS ENUM ('glad', 'null', 'so, so', 'a \"word\"', 'ü', '');
             CREATE DOMAIN positive AS int8 CHECK (VALUE > 0);
             CREATE DOMAIN small AS positive CHECK (VALUE < 1000);
             CREATE DOMAIN numbers AS int4[];
             CREATE DOMAIN corner AS box;
             CREATE DOMAIN feeling AS mood;
             CREATE DOMAIN document AS jsonb;
             CREATE TYPE pair AS (a int4, b text, c jsonb);
             CREATE TYPE nest AS (p pair, l text[]);
             CREATE TYPE textrange AS RANGE (subtype = text);"
        ));
        Schema { server: server.clone(), name }
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let _ = self
            .server
            .psql(&format!("SET client_min_messages = warning; DROP SCHEMA {} CASCADE", self.name));
    }
}

/// Every type but pseudo types and those that are skipped. Of other tests' schemas nothing is seen: they come and go.
pub(crate) fn of(server: &Server, schema: &Schema) -> Vec<Type> {
    let own = &schema.name;
    // Servers before 14 know none.
    let multiranges = server.psql("SELECT count(*) FROM pg_attribute WHERE attname = 'rngmultitypid'") != "0";
    let range = if multiranges { "(SELECT rngtypid FROM pg_range WHERE rngmultitypid = s.oid)" } else { "0" };
    let lines = server.psql(&format!(
        "WITH RECURSIVE seen AS (
             SELECT t.*, t.typoutput = 'array_out'::regproc AS is_array FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
             WHERE n.nspname IN ('pg_catalog', 'information_schema', '{own}')
                OR t.typname IN ('hstore', '_hstore', 'citext', '_citext', 'ltree', '_ltree', 'lquery', '_lquery')),
         beneath (oid, at, arrays) AS (
             SELECT oid, oid, 0 FROM pg_type
             UNION ALL
             SELECT b.oid, CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END,
                 arrays + (t.typtype <> 'd')::int
             FROM beneath b JOIN pg_type t ON t.oid = b.at
             WHERE t.typtype = 'd' OR t.typoutput = 'array_out'::regproc),
         base AS (SELECT DISTINCT ON (oid) oid, at, arrays FROM beneath ORDER BY oid, arrays DESC,
             (SELECT typtype = 'd' FROM pg_type WHERE pg_type.oid = at))
         SELECT s.oid, format_type(s.oid, -1), s.typname, s.typtype,
             CASE WHEN s.typtype = 'd' THEN s.typbasetype WHEN s.is_array THEN s.typelem
                  WHEN s.typtype = 'r' THEN (SELECT rngsubtype FROM pg_range WHERE rngtypid = s.oid)
                  WHEN s.typtype = 'm' THEN {range} ELSE 0 END,
             s.is_array AND s.typtype <> 'd', b.typname, base.arrays,
             (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = s.typrelid AND attnum > 0 AND NOT attisdropped)
         FROM seen s JOIN base ON base.oid = s.oid JOIN pg_type b ON b.oid = base.at
         WHERE s.typtype <> 'p' ORDER BY s.oid"
    ));
    let types = lines.lines().map(read).filter(|kind| SKIPPED.iter().all(|(name, _)| *name != kind.told_as));
    types.collect()
}

fn read(line: &str) -> Type {
    let cells: Vec<&str> = line.split('|').collect();
    let number = |at: usize| cells[at].parse::<u32>().unwrap_or_else(|error| panic!("{line}: {error}"));
    Type {
        oid: number(0),
        sql: cells[1].to_owned(),
        name: cells[2].to_owned(),
        told_as: format!("{}{}", cells[6], "[]".repeat(number(7) as usize)),
        sort: cells[3].chars().next().expect("it has a sort"),
        of: Some(number(4)).filter(|of| *of != 0),
        is_array: cells[5] == "t",
        arrays: number(7) as usize,
        base: cells[6].to_owned(),
        attributes: number(8) as usize,
        // What the planner writes cannot be given.
        taken: cells[6] != "pg_node_tree",
    }
}
