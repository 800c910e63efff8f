//! State of a feed's own types in the cursor, which all feeds share.
//!
//! A cursor that comes from a state is JSON, of which only its feed knows the types: it becomes a value of theirs when
//! the feed first asks for it, and is written as JSON again. Everybody else moves it around unseen.

use std::any::Any;
use std::fmt;
use std::ops::{Deref, DerefMut};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser};
use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Result};

/// A type of a feed's own: a slice, or what the feed keeps in a run or in the cursor.
pub(crate) trait FeedState:
    fmt::Debug + Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// Ids, or milliseconds, that are left to read; 0 where nothing can be cut.
    fn width(&self) -> u64 {
        0
    }

    /// Cuts the half off that is read last, for another reader. `None` when too little is left, judging by the ids or
    /// milliseconds that the last page spanned.
    fn split(&mut self, _page_span: u64) -> Option<Self> {
        None
    }
}

/// For a feed that keeps nothing of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Nothing {}

impl FeedState for Nothing {}

/// A value of a [`FeedState`], or the JSON of one that its feed has not asked for yet.
pub(crate) struct Own(Inner);

enum Inner {
    Json(Value),
    Typed(Box<dyn Erased>),
}

/// [`FeedState`], for values whose type is not known.
trait Erased: fmt::Debug + Send + Sync {
    fn boxed(&self) -> Box<dyn Erased>;
    fn json(&self) -> serde_json::Result<Value>;
    fn is(&self, other: &Own) -> bool;
    fn width(&self) -> u64;
    fn split(&mut self, page_span: u64) -> Option<Own>;
    fn any(&self) -> &dyn Any;
    fn any_mut(&mut self) -> &mut dyn Any;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl<T: FeedState> Erased for T {
    fn boxed(&self) -> Box<dyn Erased> {
        Box::new(self.clone())
    }

    fn json(&self) -> serde_json::Result<Value> {
        serde_json::to_value(self)
    }

    fn is(&self, other: &Own) -> bool {
        match &other.0 {
            Inner::Typed(other) => other.any().downcast_ref() == Some(self),
            Inner::Json(json) => T::deserialize(json).is_ok_and(|other| other == *self),
        }
    }

    fn width(&self) -> u64 {
        FeedState::width(self)
    }

    fn split(&mut self, page_span: u64) -> Option<Own> {
        FeedState::split(self, page_span).map(Own::new)
    }

    fn any(&self) -> &dyn Any {
        self
    }

    fn any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

impl Own {
    pub(super) fn new(value: impl FeedState) -> Own {
        Own(Inner::Typed(Box::new(value)))
    }

    /// 0 as long as the feed has not asked for it.
    pub(super) fn width(&self) -> u64 {
        match &self.0 {
            Inner::Json(_) => 0,
            Inner::Typed(value) => value.width(),
        }
    }

    pub(super) fn split(&mut self, page_span: u64) -> Option<Own> {
        match &mut self.0 {
            Inner::Json(_) => None,
            Inner::Typed(value) => value.split(page_span),
        }
    }

    /// The value, if the feed has asked for it before.
    pub(super) fn get<T: FeedState>(&self) -> Result<&T> {
        match &self.0 {
            Inner::Json(_) => Err(foreign()),
            Inner::Typed(value) => value.any().downcast_ref().ok_or_else(foreign),
        }
    }

    /// # Errors
    /// [`ErrorKind::Malformed`] for what another feed has written, or another program.
    pub(super) fn get_mut<T: FeedState>(&mut self) -> Result<&mut T> {
        if let Inner::Json(json) = &self.0 {
            let value = T::deserialize(json).map_err(|source| foreign().caused_by(source))?;
            *self = Own::new(value);
        }
        match &mut self.0 {
            Inner::Json(_) => Err(foreign()),
            Inner::Typed(value) => value.any_mut().downcast_mut().ok_or_else(foreign),
        }
    }

    /// # Errors
    /// As of [`get_mut`](Own::get_mut).
    pub(super) fn into_typed<T: FeedState>(mut self) -> Result<Box<T>> {
        self.get_mut::<T>()?;
        match self.0 {
            Inner::Json(_) => Err(foreign()),
            Inner::Typed(value) => value.into_any().downcast().map_err(|_| foreign()),
        }
    }
}

fn foreign() -> Error {
    let message = "the cursor holds what this feed has not written: put a copy of the state back, or remove the feed's \
                   cursor and read everything again with `--mode backfill` (merging twice is harmless)";
    Error::new(ErrorKind::Malformed, message)
}

/// Nothing is known.
impl Default for Own {
    fn default() -> Own {
        Own(Inner::Json(Value::Object(Map::new())))
    }
}

impl Clone for Own {
    fn clone(&self) -> Own {
        Own(match &self.0 {
            Inner::Json(json) => Inner::Json(json.clone()),
            Inner::Typed(value) => Inner::Typed(value.boxed()),
        })
    }
}

impl PartialEq for Own {
    fn eq(&self, other: &Own) -> bool {
        match (&self.0, &other.0) {
            (Inner::Json(json), Inner::Json(other)) => json == other,
            (Inner::Typed(value), _) => value.is(other),
            (_, Inner::Typed(value)) => value.is(self),
        }
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Inner::Json(json) => json.fmt(formatter),
            Inner::Typed(value) => value.fmt(formatter),
        }
    }
}

impl Serialize for Own {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Inner::Json(json) => json.serialize(serializer),
            Inner::Typed(value) => value.json().map_err(ser::Error::custom)?.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Own {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Own, D::Error> {
        Value::deserialize(deserializer).map(|json| Own(Inner::Json(json)))
    }
}

/// A cursor or a run, with what its feed keeps in it. It can be used as the cursor or the run itself.
#[derive(Debug)]
pub(crate) struct With<'a, T, O> {
    shared: &'a mut T,
    pub(super) own: &'a mut O,
}

impl<'a, T, O> With<'a, T, O> {
    pub(super) fn new(shared: &'a mut T, own: &'a mut O) -> With<'a, T, O> {
        With { shared, own }
    }

    /// The same for a feed that another one is made of.
    pub(super) fn part<P>(&mut self, part: impl FnOnce(&mut O) -> &mut P) -> With<'_, T, P> {
        With::new(self.shared, part(self.own))
    }
}

impl<T, O> Deref for With<'_, T, O> {
    type Target = T;

    fn deref(&self) -> &T {
        self.shared
    }
}

impl<T, O> DerefMut for With<'_, T, O> {
    fn deref_mut(&mut self) -> &mut T {
        self.shared
    }
}

/// A cursor or a run: something with a place for what its feed keeps in it.
pub(super) trait HasOwn {
    fn own(&mut self) -> &mut Own;
}

/// Takes what the feed keeps out of its place, and puts it back at the end, however that comes.
#[derive(Debug)]
pub(super) struct Taken<'a, T: HasOwn, O: FeedState> {
    shared: &'a mut T,
    own: Option<Box<O>>,
}

impl<'a, T: HasOwn, O: FeedState + Default> Taken<'a, T, O> {
    pub(super) fn of(shared: &'a mut T) -> Result<Taken<'a, T, O>> {
        shared.own().get_mut::<O>()?;
        let own = std::mem::take(shared.own()).into_typed()?;
        Ok(Taken { shared, own: Some(own) })
    }

    pub(super) fn with(&mut self) -> With<'_, T, O> {
        With::new(self.shared, self.own.get_or_insert_default())
    }
}

impl<T: HasOwn, O: FeedState> Drop for Taken<'_, T, O> {
    fn drop(&mut self) {
        if let Some(own) = self.own.take() {
            *self.shared.own() = Own(Inner::Typed(own));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
    struct Ids {
        #[serde(default)]
        ids: Vec<u64>,
    }

    impl FeedState for Ids {}

    fn own(json: &str) -> Own {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_value_is_what_its_json_says() {
        let mut typed = own(r#"{"ids":[7],"other":1}"#);
        let json = typed.clone();
        typed.get_mut::<Ids>().unwrap();
        assert_eq!(typed, json);
        assert_eq!(json, typed);
        assert_eq!(serde_json::to_string(&typed).unwrap(), r#"{"ids":[7]}"#);
        typed.get_mut::<Ids>().unwrap().ids.push(8);
        assert_ne!(typed, json);
        assert_ne!(json, typed);
    }

    #[test]
    fn what_another_feed_has_written_is_an_error() {
        let mut json = own(r#"{"ids":"x"}"#);
        let before = json.clone();
        assert_eq!(json.get_mut::<Ids>().unwrap_err().kind(), ErrorKind::Malformed);
        assert_eq!(json, before);
        let mut nothing = Own::new(Nothing {});
        assert!(nothing.get_mut::<Ids>().is_err() && nothing.get::<Ids>().is_err());
    }

    #[test]
    fn what_was_taken_is_put_back() {
        struct Cursor(Own);
        impl HasOwn for Cursor {
            fn own(&mut self) -> &mut Own {
                &mut self.0
            }
        }
        let mut cursor = Cursor(own(r#"{"ids":[7]}"#));
        {
            let mut taken = Taken::<_, Ids>::of(&mut cursor).unwrap();
            let mut with = taken.with();
            assert_eq!(*with.0.get_mut::<Ids>().unwrap(), Ids::default());
            with.own.ids.push(8);
        }
        assert_eq!(cursor.0.get::<Ids>().unwrap().ids, [7, 8]);
    }
}
