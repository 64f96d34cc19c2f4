//! Arguments and their placeholders: `$1` means the first argument wherever it stands, `?1` and `?` are SQLite's own.

use disk::{Session, SqlError, Statement};
use model::{Code, Failure};

use super::failure::Stop;
use crate::sql::Argument;

/// How a statement names its placeholders.
enum Names {
    /// `?` and `?1`: SQLite's number is the argument's.
    ByPlace,
    /// `$1`, which to SQLite are names: for each of its numbers, that of the argument.
    ByNumber(Vec<usize>),
}

/// Binds all of them; wrong counts are told with both numbers.
pub(super) fn bind(
    session: &Session<'_>,
    statement: &mut Statement<'_>,
    arguments: &[Argument],
) -> Result<(), Stop> {
    let (names, expected) = names(statement)?;
    if expected != arguments.len() {
        return Err(Stop::refused(count(expected, arguments.len())));
    }
    let places = statement.parameter_count();
    for place in 1..=places {
        let number = match &names {
            Names::ByPlace => place,
            Names::ByNumber(numbers) => numbers[place - 1],
        };
        let bound = bind_one(statement, place, &arguments[number - 1]);
        bound.map_err(|error| Stop::from(session.explain(error)))?;
    }
    Ok(())
}

fn count(expected: usize, given: usize) -> String {
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let were = if given == 1 { "was" } else { "were" };
    format!(
        "The statement has {} and {} {were} given.",
        plural(expected, "placeholder"),
        plural(given, "argument")
    )
}

/// How the placeholders are named, and how many arguments they ask for.
fn names(statement: &Statement<'_>) -> Result<(Names, usize), Stop> {
    let places = statement.parameter_count();
    let mut numbers = Vec::new();
    let mut by_place = false;
    for place in 1..=places {
        match statement.parameter_name(place) {
            Some(name) if name.starts_with('?') => by_place = true,
            None => by_place = true,
            Some(name) => numbers.push(number(name)?),
        }
    }
    if numbers.is_empty() {
        return Ok((Names::ByPlace, places));
    }
    if by_place {
        return Err(Stop::refused("The statement mixes `$1` with `?`: use one of them."));
    }
    let most = numbers.iter().copied().max().unwrap_or(0);
    Ok((Names::ByNumber(numbers), most))
}

/// The number of `$1`. Anything else has no argument that belongs to it.
fn number(name: &str) -> Result<usize, Stop> {
    let number = name.strip_prefix('$').and_then(|digits| digits.parse().ok());
    if let Some(number) = number.filter(|number| (1..=32_766).contains(number)) {
        return Ok(number);
    }
    let cast = if name.contains("::") { " A cast is written `CAST($1 AS integer)`." } else { "" };
    Err(Stop::refused(format!("The placeholder `{name}` is not known: use `$1`, `$2` or `?`.{cast}")))
}

fn bind_one(statement: &mut Statement<'_>, place: usize, argument: &Argument) -> Result<(), SqlError> {
    match argument {
        Argument::Null => statement.raw_bind_parameter(place, Option::<i64>::None),
        Argument::Bool(value) => statement.raw_bind_parameter(place, i64::from(*value)),
        Argument::Integer(value) => statement.raw_bind_parameter(place, *value),
        Argument::Number(text) => match text.parse::<f64>() {
            // As SQLite keeps such numbers: to some 15 digits.
            Ok(value) => statement.raw_bind_parameter(place, value),
            Err(_) => statement.raw_bind_parameter(place, &**text),
        },
        Argument::Text(value) | Argument::Json(value) => statement.raw_bind_parameter(place, &**value),
        Argument::Bytes(value) => statement.raw_bind_parameter(place, &**value),
    }
}

/// Refuses what is too long before it is copied anywhere.
pub(super) fn check_sizes(arguments: &[Argument], most: u64) -> Result<(), Failure> {
    for (at, argument) in arguments.iter().enumerate() {
        let size = match argument {
            Argument::Number(value) | Argument::Text(value) | Argument::Json(value) => value.len(),
            Argument::Bytes(value) => value.len(),
            _ => 0,
        };
        if size as u64 > most {
            let detail = format!("Argument {} has {size} bytes; at most {most} are taken.", at + 1);
            return Err(
                Failure::client(Code::TooLarge, detail).with_hint("Raise `max_value` of the service.")
            );
        }
    }
    Ok(())
}
