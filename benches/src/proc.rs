//! Processor time and memory of processes and cores, read from `/proc`. The times have a resolution of 10 ms, so
//! that differences are worth something over seconds only.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Sub;
use std::time::Duration;

use anyhow::Context;

/// Linux reports times to programs in hundredths of a second on every architecture that we run on (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// A process and everything it has started, itself first.
pub fn tree(root: u32) -> anyhow::Result<Vec<u32>> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // A process may end while we look: then it is nobody's child any more.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        if let Some(parent) = stat_field(&stat, 4) {
            children.entry(parent as u32).or_default().push(pid);
        }
    }
    let mut found = vec![root];
    let mut at = 0;
    while at < found.len() {
        found.extend(children.remove(&found[at]).unwrap_or_default());
        at += 1;
    }
    Ok(found)
}

/// User and system time that these processes, all threads of each, have used so far.
pub fn cpu_time(pids: &[u32]) -> anyhow::Result<Duration> {
    let mut ticks = 0;
    for pid in pids {
        let stat =
            fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid}"))?;
        let user = stat_field(&stat, 14).context("no user time in stat")?;
        let system = stat_field(&stat, 15).context("no system time in stat")?;
        ticks += user + system;
    }
    Ok(TICK * u32::try_from(ticks)?)
}

/// The same of all programs that this process has started and that have ended, with whatever they had started.
pub fn ended_children_cpu_time() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let user = stat_field(&stat, 16).context("no user time of children in stat")?;
    let system = stat_field(&stat, 17).context("no system time of children in stat")?;
    Ok(TICK * u32::try_from(user + system)?)
}

/// A field of `/proc/<pid>/stat` by its number in proc(5); the name in the second may hold anything, so that counting
/// begins behind it.
fn stat_field(stat: &str, number: usize) -> Option<u64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_ascii_whitespace().nth(number - 3)?.parse().ok()
}

/// What a core has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CoreTime {
    pub busy: Duration,
    /// Time in which the hypervisor ran somebody else.
    pub stolen: Duration,
}

impl Sub for CoreTime {
    type Output = Self;
    fn sub(self, earlier: Self) -> Self {
        Self {
            busy: self.busy.saturating_sub(earlier.busy),
            stolen: self.stolen.saturating_sub(earlier.stolen),
        }
    }
}

/// Reads `/proc/stat` for one core.
pub fn core_time(core: usize) -> anyhow::Result<CoreTime> {
    parse_core(&fs::read_to_string("/proc/stat")?, core).with_context(|| format!("there is no core {core}"))
}

fn parse_core(stat: &str, core: usize) -> Option<CoreTime> {
    let line = stat.lines().find_map(|line| line.strip_prefix(&format!("cpu{core} ")))?;
    let ticks: Vec<u32> = line.split_ascii_whitespace().map_while(|field| field.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal guest guest_nice; guests are already in user and nice.
    let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = ticks[..] else { return None };
    Some(CoreTime { busy: TICK * (user + nice + system + irq + softirq), stolen: TICK * steal })
}

/// Memory of several processes together, in KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Resident pages; those that processes share are counted once for each.
    pub resident_kib: u64,
    /// Resident pages, each divided by the number of processes that share it.
    pub proportional_kib: u64,
    /// Of the proportional ones, those that hold no file: what the program has made for itself. The only figure that
    /// other instances of the same program do not change.
    pub own_kib: u64,
}

/// Reads it for all of these processes.
pub fn memory(pids: &[u32]) -> anyhow::Result<Memory> {
    let mut sum = Memory::default();
    for pid in pids {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = fs::read_to_string(&path).with_context(|| path.clone())?;
        sum.resident_kib += kib(&text, "Rss:").with_context(|| path.clone())?;
        sum.proportional_kib += kib(&text, "Pss:").with_context(|| path.clone())?;
        sum.own_kib += kib(&text, "Pss_Anon:").with_context(|| path.clone())?;
    }
    Ok(sum)
}

fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// How many files this process, and so every process it starts, may have open.
pub fn open_files_limit() -> anyhow::Result<u64> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .context("no limit of open files")?;
    let soft = line.split_ascii_whitespace().next().unwrap_or_default();
    Ok(if soft == "unlimited" { u64::MAX } else { soft.parse()? })
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Instant;

    use super::*;

    #[test]
    fn fields_are_counted_behind_a_name_with_spaces_and_brackets() {
        let stat = "42 (a ) (b) S 7 42 42 0 -1 4194304 100 0 0 0 250 31 0 0 20 0 1 0 5 6 7";
        assert_eq!(stat_field(stat, 4), Some(7));
        assert_eq!((stat_field(stat, 14), stat_field(stat, 15)), (Some(250), Some(31)));
    }

    #[test]
    fn a_core_s_line_is_read_without_idle_and_guests() {
        let stat =
            "cpu  1 1 1 1 1 1 1 1 1 1\ncpu0 9 9 9 9 9 9 9 9 9 9\ncpu1 10 2 30 400 5 1 7 3 10 2\nintr 1\n";
        let time = parse_core(stat, 1).unwrap();
        assert_eq!(time, CoreTime { busy: TICK * 50, stolen: TICK * 3 });
        assert_eq!(parse_core(stat, 2), None);
    }

    #[test]
    fn work_done_here_shows_in_our_own_time() {
        let me = [std::process::id()];
        let before = cpu_time(&me).unwrap();
        let (start, mut worked) = (Instant::now(), Duration::ZERO);
        // However busy the machine is: work, and not time, must show.
        while worked < Duration::from_millis(50) && start.elapsed() < Duration::from_secs(30) {
            std::hint::black_box(start);
            worked = cpu_time(&me).unwrap() - before;
        }
        assert!(worked >= Duration::from_millis(50), "{worked:?}");
        let memory = memory(&me).unwrap();
        assert!(memory.own_kib > 100 && memory.own_kib < memory.proportional_kib, "{memory:?}");
        assert!(memory.proportional_kib <= memory.resident_kib, "{memory:?}");
    }

    #[test]
    fn work_of_a_program_shows_once_it_has_ended() {
        let before = ended_children_cpu_time().unwrap();
        let busy = "i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done";
        assert!(Command::new("sh").args(["-c", busy]).status().unwrap().success());
        assert!(ended_children_cpu_time().unwrap() - before >= Duration::from_millis(20));
    }

    #[test]
    fn a_tree_has_children_and_theirs() {
        let mut shell = Command::new("sh").args(["-c", "sleep 60 & sleep 60 & wait"]).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut found = Vec::new();
        while found.len() < 3 && Instant::now() < deadline {
            found = tree(shell.id()).unwrap();
        }
        for pid in found.iter().rev() {
            Command::new("kill").arg(pid.to_string()).status().unwrap();
        }
        shell.wait().unwrap();
        assert_eq!((found.len(), found[0]), (3, shell.id()));
    }
}
