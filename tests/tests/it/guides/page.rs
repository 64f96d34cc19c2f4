//! What a page tells its reader to type, and what it shows as the answer.

use super::LEFT_OUT;

/// One thing that a reader does.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Types lines.
    Type {
        /// Where they stand.
        line: usize,
        script: String,
        /// What the page shows as their answer.
        answer: Option<Answer>,
        /// Lines that are not typed here.
        left_out: Vec<String>,
    },
    /// Writes a file.
    Write { name: String, text: String },
}

/// What a page shows as an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Json(String),
    Text(String),
}

/// A fenced block.
struct Block<'p> {
    line: usize,
    language: &'p str,
    text: String,
    /// The line of prose before it; none directly behind another block.
    before: Option<&'p str>,
}

/// Everything to do, in order.
///
/// # Panics
/// At a block of a language that is not known here, and at an answer that belongs to no line.
pub(super) fn steps(page: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for Block { line, language, text, before } in blocks(page) {
        match (language, before) {
            ("sh", _) => steps.push(typed(line, &text)),
            ("console", _) => steps.extend(console(line, &text)),
            ("json", None) => answered(&mut steps, line, Answer::Json(text)),
            ("text" | "http", None) => answered(&mut steps, line, Answer::Text(text)),
            ("yaml" | "js", before) => {
                steps.extend(file_named(before).map(|name| Step::Write { name, text }))
            }
            // It is compiled and run by crates/adapters/tests/guide.rs.
            ("rust", _) => {}
            _ => panic!("line {line}: nobody knows what becomes of this block of `{language}`"),
        }
    }
    steps
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut before = None;
    let mut lines = page.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            before = if line.trim().is_empty() { before } else { Some(line) };
            continue;
        };
        let inner: Vec<&str> =
            lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
        blocks.push(Block { line: at + 1, language, text: inner.join("\n") + "\n", before: before.take() });
    }
    blocks
}

fn typed(line: usize, text: &str) -> Step {
    let (mut script, mut left_out) = (String::new(), Vec::new());
    for one in text.lines() {
        if LEFT_OUT.iter().any(|(begin, _)| one.starts_with(begin)) {
            left_out.push(one.to_owned());
        } else {
            script.push_str(one);
            script.push('\n');
        }
    }
    Step::Type { line, script, answer: None, left_out }
}

/// Lines behind `$ `, each with what is answered below it. A line goes on while a quote is open.
fn console(line: usize, text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let (mut script, mut answer) = (String::new(), String::new());
    let mut end = |script: &mut String, answer: &mut String| {
        if let Step::Type { line, script, left_out, .. } = typed(line, &std::mem::take(script)) {
            let answer = Some(std::mem::take(answer)).filter(|answer| !answer.is_empty()).map(Answer::Text);
            steps.push(Step::Type { line, script, answer, left_out });
        }
    };
    for one in text.lines() {
        if let Some(command) = one.strip_prefix("$ ") {
            if !script.is_empty() {
                end(&mut script, &mut answer);
            }
            script = command.to_owned() + "\n";
        } else if script.matches('\'').count() % 2 == 1 {
            script += &(one.to_owned() + "\n");
        } else {
            answer += &(one.to_owned() + "\n");
        }
    }
    end(&mut script, &mut answer);
    steps
}

fn answered(steps: &mut [Step], line: usize, shown: Answer) {
    match steps.last_mut() {
        Some(Step::Type { answer: answer @ None, .. }) => *answer = Some(shown),
        _ => panic!("line {line}: an answer to nothing"),
    }
}

/// The file that prose such as "… in `mine.yaml`:" says to write.
fn file_named(prose: Option<&str>) -> Option<String> {
    let name = prose?.strip_suffix("`:")?.rsplit('`').next()?;
    [".yaml", ".mjs"].iter().any(|ending| name.ends_with(ending)).then(|| name.to_owned())
}

#[test]
fn a_page_is_read_as_its_reader_reads_it() {
    let page = "Say `x`:\n\n```sh\nmake run\ncurl a   # b\n```\n\n```json\n{}\n```\n\nIn `mine.yaml`:\n\n```yaml\nname: M\n```\n\n\
                ```yaml\nname: N\n```\n\n```console\n$ curl -d '{\n  }'\nHTTP/1.1 200 OK\n…\n$ sleep 1\n```\n";
    let typed = |line, script: &str, answer| {
        let script = script.to_owned();
        Step::Type { line, script, answer, left_out: Vec::new() }
    };
    let first = Step::Type {
        line: 3,
        script: "curl a   # b\n".to_owned(),
        answer: Some(Answer::Json("{}\n".to_owned())),
        left_out: vec!["make run".to_owned()],
    };
    let file = Step::Write { name: "mine.yaml".to_owned(), text: "name: M\n".to_owned() };
    let answer = Some(Answer::Text("HTTP/1.1 200 OK\n…\n".to_owned()));
    let expected = [first, file, typed(22, "curl -d '{\n  }'\n", answer), typed(22, "sleep 1\n", None)];
    assert_eq!(steps(page), expected);
}
