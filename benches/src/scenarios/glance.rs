//! All comparisons of one run in two tables: ours, the best peer's, the ratio and its goal. It reads what the other
//! sections say, and measures nothing.

use super::{LOAD_HEAD, latency, routes};
use crate::report::{Section, Table};

/// One line for each comparison of proxies, wherever it stands; `None` where there is none.
#[must_use]
pub fn section(sections: &[Section], subject: &str) -> Option<Section> {
    let head = ["work", subject, "best peer", "which", "against the best peer"];
    let mut cost = Table::new("CPU, microseconds for one exchange", &head);
    let mut delay = Table::new("Latency at half load, p99 in microseconds", &head);
    for section in sections {
        for table in &section.tables {
            let work = if table.caption.is_empty() { &section.title } else { &table.caption };
            let work = work.trim_end_matches(latency::AT_HALF_LOAD);
            if table.head == LOAD_HEAD {
                cost.rows.extend(line(work, &table.rows, subject, [1, 3]));
            } else if table.head == routes::HEAD {
                for (count, rows) in by_count(&table.rows) {
                    cost.rows.extend(line(&format!("{work}: {count}"), &rows, subject, [1, 3]));
                }
            } else if table.head == latency::HEAD {
                delay.rows.extend(line(work, &table.rows, subject, [3, 4]));
            }
        }
    }
    let tables: Vec<Table> = [cost, delay].into_iter().filter(|table| !table.rows.is_empty()).collect();
    (!tables.is_empty()).then(|| Section {
        title: "Proxying at a glance".to_owned(),
        about: "Medians, from the tables further down.".to_owned(),
        tables,
    })
}

/// The first row's figure beside the least of the others; the columns are the figure's and the ratio's. Rows without a
/// ratio or a mark as a peer stand there for orientation.
fn line(work: &str, rows: &[Vec<String>], subject: &str, columns: [usize; 2]) -> Option<Vec<String>> {
    let [figure, ratio] = columns;
    let name = |row: &[String]| row[0].split(',').next().unwrap_or_default().to_owned();
    let (ours, peers) = rows.split_first()?;
    let peers = peers.iter().filter(|row| row[ratio] == "peer");
    let peers = peers.filter_map(|row| Some((row[figure].parse::<f64>().ok()?, row)));
    let (_, best) = peers.min_by(|one, other| one.0.total_cmp(&other.0))?;
    (name(ours) == subject).then(|| {
        vec![work.to_owned(), ours[figure].clone(), best[figure].clone(), name(best), ours[ratio].clone()]
    })
}

/// Rows that are called by a program and a number of routes, in groups of one number.
fn by_count(rows: &[Vec<String>]) -> Vec<(&str, Vec<Vec<String>>)> {
    let mut groups: Vec<(&str, Vec<Vec<String>>)> = Vec::new();
    for row in rows {
        let Some((_, count)) = row[0].split_once(", ") else { continue };
        match groups.iter_mut().find(|(known, _)| *known == count) {
            Some((_, group)) => group.push(row.clone()),
            None => groups.push((count, vec![row.clone()])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(head: &[&str], rows: &[(&str, &str, &str)], columns: [usize; 2]) -> Table {
        let mut table = Table::new("200 B", head);
        for (name, figure, ratio) in rows {
            let mut row = vec![String::new(); head.len()];
            row[0] = (*name).to_owned();
            row[columns[0]] = (*figure).to_owned();
            row[columns[1]] = (*ratio).to_owned();
            table.rows.push(row);
        }
        table
    }

    fn lines(table: Table) -> Vec<Vec<String>> {
        let section = Section { title: "HTTP".to_owned(), about: String::new(), tables: vec![table] };
        super::section(&[section], "throome").unwrap().tables[0].rows.clone()
    }

    #[test]
    fn each_comparison_is_a_line_and_who_is_missing_is_not_in_it() {
        let load =
            [("throome", "15.0", "**0.90**"), ("a", "17.5", "peer"), ("b", "16.7", "peer"), ("c", "–", "–")];
        assert_eq!(lines(table(&LOAD_HEAD, &load, [1, 3])), [["200 B", "15.0", "16.7", "b", "**0.90**"]]);
        let late = [
            ("throome, 9 a second", "80", "**0.8**"),
            ("a, 9 a second", "100", "peer"),
            ("b, 4 a second", "9", ""),
        ];
        assert_eq!(lines(table(&latency::HEAD, &late, [3, 4])), [["200 B", "80", "100", "a", "**0.8**"]]);
        let many = [
            ("throome, 1", "15", "**1**"),
            ("a, 1", "15", "peer"),
            ("throome, 500", "18", "**0.9**"),
            ("a, 500", "20", "peer"),
        ];
        let many = lines(table(&routes::HEAD, &many, [1, 3]));
        assert_eq!(many[1], ["200 B: 500", "18", "20", "a", "**0.9**"]);
        assert!(super::section(&[], "throome").is_none());
    }
}
