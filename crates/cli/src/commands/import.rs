//! `import`: a Compose file's services as a cluster's file, and what of it is left out.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::exit::Exit;
use crate::fault::Fault;
use crate::import::{self, Around, Imported};
use crate::output::Format;
use crate::session::Session;

/// No file of the kind is longer.
const LONGEST: u64 = 4 * 1024 * 1024;

/// What stands beside a Compose file and Compose would read unasked.
const OVERRIDES: &[(&str, &str)] = &[
    ("compose.yaml", "compose.override.yaml"),
    ("compose.yml", "compose.override.yml"),
    ("docker-compose.yml", "docker-compose.override.yml"),
    ("docker-compose.yaml", "docker-compose.override.yaml"),
];

#[derive(clap::Args, Debug)]
pub(crate) struct Import {
    /// A Compose file; `-` reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Write DIR/<cluster>/config.yaml, as in a clusters directory; left out, it is printed
    #[arg(long = "output", id = "directory", value_name = "DIR")]
    directory: Option<PathBuf>,
    /// What the cluster is called; left out, as the project is
    #[arg(long)]
    name: Option<String>,
    /// Take the services of this profile too; `*` for all
    #[arg(long = "profile", value_name = "NAME")]
    profiles: Vec<String>,
}

pub(crate) fn run(args: &Import, session: &mut Session<'_>) -> Result<Exit, Fault> {
    if session.global.output != Format::Table {
        return Err(Fault::usage("a cluster file has one form only").fix("leave -o out"));
    }
    let (shown, text) = read(&args.file, session)?;
    let from_input = args.file.as_os_str() == "-";
    let whole = if from_input { PathBuf::from("-") } else { args.file.clone() };
    let whole = std::path::absolute(&whole).unwrap_or(whole);
    let beside = whole.parent().unwrap_or(Path::new(".")).to_owned();
    let env = session.terminal.env;
    let around = Around {
        file: &shown,
        directory: beside.file_name().and_then(|name| name.to_str()),
        name: args.name.as_deref(),
        profiles: &args.profiles,
        env: &env,
        files: &|name| short(&beside.join(name)),
    };
    let imported = import::compose(&text, &around)
        .map_err(|problems| Fault::invalid(format!("{shown} cannot be imported"), &problems))?;
    let over = OVERRIDES.iter().find(|(file, _)| whole.ends_with(file)).map(|(_, over)| *over);
    if let Some(over) = over.filter(|over| beside.join(over).exists()) {
        session.say(&format!("note: {over} is beside it, and is not read"));
    }
    for note in &imported.notes {
        session.say(&format!("note: {note}"));
    }
    if imported.services.is_empty() {
        return Err(Fault::new(Exit::Invalid, format!("{shown} has no service that a cluster could have"))
            .fix("the notes above say why each is left out"));
    }
    match &args.directory {
        Some(directory) => write(directory, &imported, session),
        None => {
            session.terminal.data(imported.text.as_bytes())?;
            Ok(Exit::Done)
        }
    }
}

/// The file's text, and how it is named.
fn read(file: &Path, session: &mut Session<'_>) -> Result<(String, String), Fault> {
    let name = file.display().to_string();
    let (shown, read) = if name == "-" {
        let mut text = String::new();
        let input = &mut *session.terminal.input;
        ("standard input".to_owned(), input.take(LONGEST).read_to_string(&mut text).map(|_| text))
    } else {
        let read = short(file);
        (name, read)
    };
    match read {
        Ok(text) => Ok((shown, text)),
        Err(error) => {
            let gone = error.kind() == io::ErrorKind::NotFound;
            let exit = if gone { Exit::NotFound } else { Exit::Failed };
            Err(Fault::new(exit, format!("cannot read {shown}")).why(error.to_string()))
        }
    }
}

/// A file that is no longer than it may be.
fn short(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::other("it is longer than 4 MiB"));
    }
    Ok(text)
}

/// A new file for its owner alone, since passwords stand in it. One that is there is never written over.
fn write(directory: &Path, imported: &Imported, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let folder = directory.join(&imported.id);
    let path = folder.join("config.yaml");
    if path.exists() {
        return Err(Fault::new(Exit::Conflict, format!("{} is there already", path.display()))
            .fix("say another --name, or move it away"));
    }
    let made = folders(&folder).and_then(|()| {
        // A gateway that watches the directory sees the whole file or none.
        let draft = folder.join(".config.yaml.new");
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&draft)?;
        file.write_all(imported.text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &path)
    });
    made.map_err(|error| {
        Fault::new(Exit::Failed, format!("cannot write {}", path.display())).why(error.to_string())
    })?;
    let services = imported.services.join(", ");
    session.say(&format!("wrote {}: cluster `{}` with {services}", path.display(), imported.id));
    Ok(Exit::Done)
}

fn folders(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}
