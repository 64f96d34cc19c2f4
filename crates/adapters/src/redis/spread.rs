//! Commands without a key that concern all nodes of a cluster, and how their answers are put together.

use redis::Value;

/// Which nodes a command is asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spread {
    /// The one that has the key, or any.
    One,
    /// All; the first answer stands for all, unless one refuses.
    Every,
    /// All; the numbers are added up.
    Sum,
    /// All; the lists are put behind each other.
    Concat,
    /// One after the other: a cursor says which of them is next.
    Walk,
}

/// What a command of this name is.
pub(super) fn of(name: &str) -> Spread {
    match name {
        "SCRIPT LOAD" | "SCRIPT FLUSH" | "FUNCTION LOAD" | "FUNCTION DELETE" | "FUNCTION FLUSH"
        | "FUNCTION RESTORE" | "FLUSHALL" | "FLUSHDB" | "CONFIG SET" | "CONFIG RESETSTAT" => Spread::Every,
        "DBSIZE" => Spread::Sum,
        "KEYS" => Spread::Concat,
        "SCAN" => Spread::Walk,
        _ => Spread::One,
    }
}

impl Spread {
    /// One answer from that of every node; a refusal is the answer of all. `None` when they do not belong together.
    pub(super) fn join(self, answers: Vec<Value>) -> Option<Value> {
        if let Some(refusal) = answers.iter().find(|answer| matches!(answer, Value::ServerError(_))) {
            return Some(refusal.clone());
        }
        match self {
            Spread::One | Spread::Every | Spread::Walk => answers.into_iter().next(),
            Spread::Sum => {
                let mut sum = 0_i64;
                for answer in &answers {
                    sum = sum.checked_add(super::reply::number(answer)?)?;
                }
                Some(Value::Int(sum))
            }
            Spread::Concat => {
                let mut all = Vec::new();
                for answer in answers {
                    let Value::Array(items) = answer else { return None };
                    all.extend(items);
                }
                Some(Value::Array(all))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_put_together() {
        let list = |items: &[i64]| Value::Array(items.iter().map(|item| Value::Int(*item)).collect());
        assert_eq!(of("DBSIZE").join(vec![Value::Int(2), Value::Int(3)]), Some(Value::Int(5)));
        assert_eq!(of("DBSIZE").join(vec![Value::Int(2), Value::Nil]), None);
        assert_eq!(of("KEYS").join(vec![list(&[1]), list(&[]), list(&[2, 3])]), Some(list(&[1, 2, 3])));
        assert_eq!(of("FLUSHDB").join(vec![Value::Okay, Value::Okay]), Some(Value::Okay));
        let Value::ServerError(refusal) = redis::parse_redis_value(b"-NOPERM no\r\n").unwrap() else {
            panic!("it is a refusal");
        };
        let refused = Value::ServerError(refusal);
        assert_eq!(of("FLUSHDB").join(vec![Value::Okay, refused.clone()]), Some(refused));
    }
}
