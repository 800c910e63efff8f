//! Names of the collections that several feeds fill, or that a feed fills beside its own.

/// The collection of associations, which the feeds of all objects fill together.
pub const ASSOCIATIONS: &str = "associations";
/// That of their types, for feeds that fill [`ASSOCIATIONS`].
pub const ASSOCIATION_TYPES: &str = "association_types";
/// The lists of records, which the feed of contacts fills, and that of the lists of all other objects.
pub const LIST_MEMBERSHIPS: &str = "list_memberships";
/// The collection of past values, which the feeds of all objects fill together.
pub const PROPERTY_HISTORY: &str = "property_history";
/// Collections that feeds fill beside their own, where somebody wants them.
pub const SHARED: &[&str] =
    &[ASSOCIATIONS, ASSOCIATION_TYPES, LIST_MEMBERSHIPS, DEFINITIONS[0], DEFINITIONS[1], PROPERTY_HISTORY];
/// Those of them that the feeds of all objects fill together.
pub(crate) const OF_OBJECTS: &[&str] =
    &[ASSOCIATIONS, ASSOCIATION_TYPES, DEFINITIONS[0], DEFINITIONS[1], PROPERTY_HISTORY];
/// Those of the definitions of properties. A feed fills both or none.
pub const DEFINITIONS: [&str; 2] = ["properties", "property_options"];

/// `true`: several feeds fill the collection together.
pub fn is_shared(collection: &str) -> bool {
    SHARED.contains(&collection)
}
