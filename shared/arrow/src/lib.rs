//! Stands in for the `arrow` crate, which the `duckdb` crate wants in version 58, whole: eleven crates beside those of
//! version 60 that write our Parquet files, an eighth of all that is compiled here. The `duckdb` crate calls only the
//! parts below (we read no rows as Arrow from it), and they are the same in both. The workspace's `[patch]` puts this
//! in its place; if a new version of the `duckdb` crate wants more, it does not compile.

pub mod array {
    pub use arrow_array::array::*;
}

pub mod datatypes {
    pub use arrow_array::types::*;
    pub use arrow_schema::{DataType, Field, FieldRef, Fields, IntervalUnit, Schema, SchemaRef, TimeUnit};
}

pub mod record_batch {
    pub use arrow_array::RecordBatch;
}

pub use arrow_array::ffi;
