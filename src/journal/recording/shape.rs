//! How one value lies in a recording: JSON that says every field by its name.
//!
//! Every shape is written and read by the same list of fields, and the compiler refuses a list that forgets one. Figures
//! with a fraction are words, so that every bit of them comes back. Left out: what the values mean, and which there are
//! (`shapes`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use defib_engine::time::{Now, Tick, UnixMs};
use serde_json::{Map, Value};

/// What is wrong with a value, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misshapen {
    /// The fields that lead there, the innermost first.
    path: Vec<String>,
    what: String,
}

impl Misshapen {
    pub(crate) fn new(what: impl Into<String>) -> Misshapen {
        Misshapen { path: Vec::new(), what: what.into() }
    }

    fn within(mut self, name: impl Into<String>) -> Misshapen {
        self.path.push(name.into());
        self
    }
}

impl std::fmt::Display for Misshapen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path: Vec<&str> = self.path.iter().rev().map(String::as_str).collect();
        if path.is_empty() { f.write_str(&self.what) } else { write!(f, "{}: {}", path.join("."), self.what) }
    }
}

/// Something that a recording can hold.
pub(crate) trait Shape: Sized {
    fn put(&self) -> Value;
    fn take(value: &Value) -> Result<Self, Misshapen>;
}

/// One field of an object; a field that is not there is null.
pub(crate) fn field<T: Shape>(value: &Value, name: &str) -> Result<T, Misshapen> {
    let Value::Object(map) = value else { return Err(Misshapen::new("not an object")) };
    T::take(map.get(name).unwrap_or(&Value::Null)).map_err(|error| error.within(name))
}

/// A variant by its name, with what it carries.
pub(crate) fn tagged(name: &str, fields: Vec<(&str, Value)>) -> Value {
    if fields.is_empty() {
        return Value::String(name.to_owned());
    }
    let body: Map<String, Value> = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Value::Object(Map::from_iter([(name.to_owned(), Value::Object(body))]))
}

/// The name of a variant and what it carries.
pub(crate) fn tag(value: &Value) -> Result<(&str, &Value), Misshapen> {
    match value {
        Value::String(name) => Ok((name, &Value::Null)),
        Value::Object(map) if map.len() == 1 => {
            map.iter().next().map(|(name, body)| (name.as_str(), body)).ok_or_else(|| Misshapen::new("empty"))
        }
        _ => Err(Misshapen::new("neither a word nor a word with its fields")),
    }
}

/// Structs by their fields.
macro_rules! fields {
    ($($type:ident { $($field:ident),* $(,)? })*) => {$(
        impl Shape for $type {
            fn put(&self) -> Value {
                let $type { $($field),* } = self;
                Value::Object(Map::from_iter([$((stringify!($field).to_owned(), $field.put())),*]))
            }

            fn take(value: &Value) -> Result<Self, Misshapen> {
                Ok($type { $($field: field(value, stringify!($field))?),* })
            }
        }
    )*};
}

/// Enums by their variants: bare, with named fields, or with others, which are named here.
macro_rules! variants {
    ($($type:ident { $($variant:ident $(($($part:ident),*))? $({$($field:ident),*})?),* $(,)? })*) => {$(
        impl Shape for $type {
            fn put(&self) -> Value {
                match self {
                    $($type::$variant $(($($part),*))? $({$($field),*})? => tagged(
                        stringify!($variant),
                        vec![$($((stringify!($part), $part.put())),*)? $($((stringify!($field), $field.put())),*)?],
                    ),)*
                }
            }

            fn take(value: &Value) -> Result<Self, Misshapen> {
                let (name, body) = tag(value)?;
                let _ = body;
                match name {
                    $(stringify!($variant) => Ok($type::$variant
                        $(($(field(body, stringify!($part))?),*))?
                        $({$($field: field(body, stringify!($field))?),*})?),)*
                    other => Err(Misshapen::new(format!("{other:?} is no {}", stringify!($type)))),
                }
            }
        }
    )*};
}

pub(crate) use {fields, variants};

impl Shape for bool {
    fn put(&self) -> Value {
        Value::Bool(*self)
    }

    fn take(value: &Value) -> Result<Self, Misshapen> {
        value.as_bool().ok_or_else(|| Misshapen::new("neither true nor false"))
    }
}

impl Shape for String {
    fn put(&self) -> Value {
        Value::String(self.clone())
    }

    fn take(value: &Value) -> Result<Self, Misshapen> {
        value.as_str().map(str::to_owned).ok_or_else(|| Misshapen::new("not a text"))
    }
}

impl Shape for u64 {
    fn put(&self) -> Value {
        Value::from(*self)
    }

    fn take(value: &Value) -> Result<Self, Misshapen> {
        value.as_u64().ok_or_else(|| Misshapen::new("not a whole number from 0"))
    }
}

impl Shape for i64 {
    fn put(&self) -> Value {
        Value::from(*self)
    }

    fn take(value: &Value) -> Result<Self, Misshapen> {
        value.as_i64().ok_or_else(|| Misshapen::new("not a whole number"))
    }
}

/// Integers that fit into the wide ones.
macro_rules! narrow {
    ($($type:ident in $wide:ident),*) => {$(
        impl Shape for $type {
            fn put(&self) -> Value {
                $wide::from(*self).put()
            }

            fn take(value: &Value) -> Result<Self, Misshapen> {
                $type::try_from($wide::take(value)?).map_err(|_| Misshapen::new("too large"))
            }
        }
    )*};
}

narrow!(u16 in u64, i32 in i64);

impl Shape for f64 {
    fn put(&self) -> Value {
        Value::String(format!("{self:?}"))
    }

    fn take(value: &Value) -> Result<Self, Misshapen> {
        let text = value.as_str().ok_or_else(|| Misshapen::new("not a figure"))?;
        text.parse().map_err(|_| Misshapen::new(format!("{text:?} is not a figure")))
    }
}

impl Shape for Duration {
    fn put(&self) -> Value {
        Value::from(u64::try_from(self.as_nanos()).unwrap_or(u64::MAX))
    }

    fn take(value: &Value) -> Result<Self, Misshapen> {
        u64::take(value).map(Duration::from_nanos)
    }
}

impl Shape for Tick {
    fn put(&self) -> Value {
        self.0.put()
    }

    fn take(value: &Value) -> Result<Self, Misshapen> {
        u64::take(value).map(Tick)
    }
}

impl Shape for UnixMs {
    fn put(&self) -> Value {
        self.0.put()
    }

    fn take(value: &Value) -> Result<Self, Misshapen> {
        i64::take(value).map(UnixMs)
    }
}

fields! { Now { mono, wall } }

impl<T: Shape> Shape for Option<T> {
    fn put(&self) -> Value {
        self.as_ref().map_or(Value::Null, Shape::put)
    }

    fn take(value: &Value) -> Result<Self, Misshapen> {
        if value.is_null() { Ok(None) } else { T::take(value).map(Some) }
    }
}

impl<T: Shape> Shape for Box<T> {
    fn put(&self) -> Value {
        self.as_ref().put()
    }

    fn take(value: &Value) -> Result<Self, Misshapen> {
        T::take(value).map(Box::new)
    }
}

impl<T: Shape> Shape for Vec<T> {
    fn put(&self) -> Value {
        self.iter().map(Shape::put).collect()
    }

    fn take(value: &Value) -> Result<Self, Misshapen> {
        let list = value.as_array().ok_or_else(|| Misshapen::new("not a list"))?;
        let one = |(at, value)| T::take(value).map_err(|error: Misshapen| error.within(format!("[{at}]")));
        list.iter().enumerate().map(one).collect()
    }
}

impl<T: Shape + Ord> Shape for BTreeSet<T> {
    fn put(&self) -> Value {
        self.iter().map(Shape::put).collect()
    }

    fn take(value: &Value) -> Result<Self, Misshapen> {
        Vec::take(value).map(|list: Vec<T>| list.into_iter().collect())
    }
}

impl<T: Shape> Shape for BTreeMap<String, T> {
    fn put(&self) -> Value {
        self.iter().map(|(name, value)| (name.clone(), value.put())).collect()
    }

    fn take(value: &Value) -> Result<Self, Misshapen> {
        let map = value.as_object().ok_or_else(|| Misshapen::new("not an object"))?;
        let one = |(name, value): (&String, &Value)| match T::take(value) {
            Ok(value) => Ok((name.clone(), value)),
            Err(error) => Err(error.within(name)),
        };
        map.iter().map(one).collect()
    }
}

impl<A: Shape, B: Shape> Shape for (A, B) {
    fn put(&self) -> Value {
        Value::Array(vec![self.0.put(), self.1.put()])
    }

    fn take(value: &Value) -> Result<Self, Misshapen> {
        match value.as_array().map(Vec::as_slice) {
            Some([first, second]) => Ok((A::take(first)?, B::take(second)?)),
            _ => Err(Misshapen::new("not a pair")),
        }
    }
}

impl Shape for Result<(), String> {
    fn put(&self) -> Value {
        self.as_ref().err().map_or(Value::Null, Shape::put)
    }

    fn take(value: &Value) -> Result<Self, Misshapen> {
        let error: Option<String> = Shape::take(value)?;
        Ok(error.map_or(Ok(()), Err))
    }
}

impl Shape for [bool; 7] {
    fn put(&self) -> Value {
        self.iter().map(|on| Value::Bool(*on)).collect()
    }

    fn take(value: &Value) -> Result<Self, Misshapen> {
        let days: Vec<bool> = Vec::take(value)?;
        days.try_into().map_err(|_| Misshapen::new("not seven days"))
    }
}
