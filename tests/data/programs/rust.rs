use std::collections::HashMap;
use std::fmt::{self, Display};

#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Token<'a> {
    Word(&'a str),
    Number { value: f64, digits: usize },
    End,
}

macro_rules! square {
    ($x:expr) => {
        $x * $x
    };
}

pub trait Visitor {
    type Output: Default;
    const DEPTH: usize = 8;
    fn visit(&mut self, token: &Token<'_>) -> Result<Self::Output, Box<dyn std::error::Error>>;
}

impl<'a> Display for Token<'a> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) if word.is_empty() => write!(f, "''"),
            Self::Word(word) => write!(f, "{word:>8}"),
            Self::Number { value, .. } => write!(f, "{:.2}", square!(value)),
            Token::End => Ok(()),
        }
    }
}

pub async fn counted<I, F>(tokens: I, keep: F) -> HashMap<String, usize>
where
    I: IntoIterator<Item = String>,
    F: Fn(&str) -> bool + Send + 'static,
{
    let mut counts = HashMap::new();
    for token in tokens.into_iter().filter(|each| keep(each)) {
        let Some(first) = token.chars().next() else { continue };
        *counts.entry(first.to_string()).or_insert(0) += 1;
    }
    let raw = r#"a "raw" string"#;
    if let Some(n @ 1..=9) = counts.get(raw).copied() {
        log(&raw[..n]).await.unwrap_or_default();
    }
    counts
}

async fn log(text: &str) -> Result<(), ()> {
    unsafe { std::ptr::read(text.as_ptr()) };
    Ok(())
}
