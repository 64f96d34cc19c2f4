//! The files that services name, such as the authorities of their TLS: whether they can be used, said of every service at once
//! and under the path of the setting that names them.

use adapters::Registry;
use model::check::place;
use model::cluster_fields::CLUSTER;
use model::{Code, Failure, Problem, ServiceSpec};

/// Every file that cannot be used of those that these services name.
pub(crate) fn problems<'s>(services: impl IntoIterator<Item = &'s (String, ServiceSpec)>) -> Vec<Problem> {
    let services = services.into_iter();
    let refused = services.filter_map(|(name, service)| {
        let failure = adapters::driver(&service.kind)?.check_files(service).err()?;
        Some(below(name, &failure))
    });
    refused.flatten().collect()
}

/// That services cannot be made as they are asked for, in one failure. What is no fault of the document speaks for itself.
pub(crate) fn refuse(mut failures: Vec<(&str, Failure)>) -> Result<(), Failure> {
    if failures.is_empty() {
        return Ok(());
    }
    let other = failures.iter().position(|(_, failure)| failure.code() != Code::InvalidConfig);
    if let Some(at) = other {
        let (name, failure) = failures.swap_remove(at);
        return Err(failure.with_service(name.into()));
    }
    let problems = failures.iter().flat_map(|(name, failure)| below(name, failure)).collect();
    let refused = Failure::invalid(Code::InvalidConfig, problems);
    Err(match failures.as_slice() {
        [(name, _)] => refused.with_service((*name).into()),
        _ => refused,
    })
}

/// What is wrong with a service, as its cluster's document has it.
fn below(service: &str, failure: &Failure) -> Vec<Problem> {
    let path = format!("services.{service}");
    if failure.problems().is_empty() {
        let (message, suggestion) = (failure.detail().to_owned(), failure.hint().map(str::to_owned));
        return vec![Problem { path, message, suggestion, ..Problem::default() }];
    }
    let own = failure.problems().iter().cloned();
    own.map(|problem| Problem { path: format!("{path}.{}", problem.path), ..problem }).collect()
}

/// Gives those problems that have no place the one that their settings have in this text.
pub(crate) fn locate(problems: &mut [Problem], file: Option<&str>, text: &str) {
    let Ok(tree) = model::yaml::parse(text) else { return };
    for problem in problems.iter_mut().filter(|problem| problem.line.is_none() && problem.file.is_none()) {
        let at = place(&tree, CLUSTER, &Registry, &problem.path);
        problem.file = file.map(str::to_owned);
        (problem.line, problem.column) = (at.map(|at| at.line), at.map(|at| at.column));
    }
}

/// The same for a failure, whose words are made of its problems.
pub(crate) fn located(failure: Failure, file: &str, text: &str) -> Failure {
    if failure.problems().is_empty() {
        return failure;
    }
    let mut problems = failure.problems().to_vec();
    locate(&mut problems, Some(file), text);
    failure.with_problems(problems)
}
