//! Lists that come in pages, read as if they came in one.

use std::collections::VecDeque;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::address::with_query;
use crate::call::{Call, Outgoing, Patience};
use crate::client::Client;
use crate::error::Error;

/// The items of a list, fetched page by page as they are read.
///
/// ```no_run
/// # async fn example(client: throome_sdk::Client) -> Result<(), throome_sdk::Error> {
/// let mut keys = client.cluster("shop").cache().scan("user:*");
/// while let Some(key) = keys.next().await? {
///     println!("{key}");
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is fetched until it is read"]
#[derive(Debug)]
pub struct Paged<T> {
    client: Client,
    path: String,
    /// The field of the body that holds the items.
    plural: &'static str,
    patience: Patience,
    at_hand: VecDeque<T>,
    next: Next,
}

#[derive(Debug)]
enum Next {
    First,
    After(String),
    Nothing,
}

impl<T: DeserializeOwned> Paged<T> {
    pub(crate) fn new(client: Client, path: String, plural: &'static str, patience: Patience) -> Paged<T> {
        Paged { client, path, plural, patience, at_hand: VecDeque::new(), next: Next::First }
    }

    /// Begins after this cursor, which an earlier page gave.
    pub fn after(mut self, cursor: &str) -> Self {
        self.next = Next::After(cursor.to_owned());
        self
    }

    /// The next item; `None` after the last.
    ///
    /// # Errors
    /// A page could not be fetched; calling again fetches the same page.
    pub async fn next(&mut self) -> Result<Option<T>, Error> {
        loop {
            if let Some(item) = self.at_hand.pop_front() {
                return Ok(Some(item));
            }
            // A scan may answer an empty page with a cursor: that is not the end.
            let Some(mut page) = self.next_page().await? else { return Ok(None) };
            self.at_hand = serde_json::from_value(page[self.plural].take())
                .map_err(|source| Error::unreadable("the page is not what this list expects", source))?;
        }
    }

    /// The body of the next page as it came, in place of its items; `None` after the last.
    ///
    /// # Errors
    /// It could not be fetched; calling again fetches the same page.
    pub async fn next_page(&mut self) -> Result<Option<Value>, Error> {
        let path = match &self.next {
            Next::First => self.path.clone(),
            Next::After(cursor) => with_query(&self.path, &[("cursor", Some(cursor))]),
            Next::Nothing => return Ok(None),
        };
        let call: Call<Value> = self.client.call(Outgoing::get(path, self.patience));
        let body = call.await?;
        self.next = match &body["next_cursor"] {
            Value::String(cursor) if !cursor.is_empty() => Next::After(cursor.clone()),
            Value::Number(cursor) if cursor.as_u64() != Some(0) => Next::After(cursor.to_string()),
            _ => Next::Nothing,
        };
        Ok(Some(body))
    }

    /// All that is left, at most this many.
    ///
    /// # Errors
    /// A page could not be fetched.
    pub async fn collect(mut self, at_most: usize) -> Result<Vec<T>, Error> {
        let mut all = Vec::new();
        while all.len() < at_most {
            match self.next().await? {
                Some(item) => all.push(item),
                None => break,
            }
        }
        Ok(all)
    }

    /// All that is left, however many; for lists that are no longer than a configuration.
    ///
    /// # Errors
    /// A page could not be fetched.
    pub async fn all(self) -> Result<Vec<T>, Error> {
        self.collect(usize::MAX).await
    }
}
