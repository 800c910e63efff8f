//! Texts of doubles in engines that write them as Java does: with an exponent below 1e-3 and from 1e7 up, no sign and no
//! second digit in it, and two digits before it at least.
//! <https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/lang/Double.html#toString(double)>

/// SQL of such an engine.
#[derive(Debug)]
pub(crate) struct JavaText {
    /// Java's text of a double.
    pub(crate) of: fn(&str) -> String,
    /// The condition that a double is whole.
    pub(crate) is_whole: fn(&str) -> String,
    /// The whole number that a text holds.
    pub(crate) number: fn(&str) -> String,
    pub(crate) text_type: &'static str,
}

impl JavaText {
    /// Makes what other engines write.
    pub(crate) fn text_of_double(&self, x: &str) -> String {
        let java = (self.of)(&format!("abs({x})"));
        let short = format!("replace({java}, '.0E', 'E')");
        let exponent = (self.number)(&format!("split_part({java}, 'E', 2)"));
        let digits = |exponent: &str| format!("replace(split_part({exponent}, 'E', 1), '.', '')");
        let all = digits(&java);
        // The two doubles that are told from their neighbours by one digit, and have two in Java.
        let smallest = format!("replace(replace({short}, '4.9E-324', '5E-324'), '9.9E-324', '1E-323')");
        let other = format!(
            "CASE WHEN {x} < 0 THEN '-' ELSE '' END || CASE \
             WHEN abs({x}) >= 1e15 THEN replace({short}, 'E', 'e+') \
             WHEN abs({x}) >= 1e7 THEN substr({all}, 1, {exponent} + 1) || '.' || substr({all}, {exponent} + 2) \
             WHEN abs({x}) >= 1e-3 THEN {java} \
             WHEN abs({x}) >= 1e-4 THEN '0.000' || {} \
             WHEN abs({x}) >= 1e-9 THEN replace({short}, 'E-', 'e-0') \
             ELSE replace({smallest}, 'E-', 'e-') END",
            digits(&short)
        );
        self.whole_or(x, &other)
    }

    /// Java's text, but of whole numbers that of an integer: one that tells doubles apart.
    pub(crate) fn unless_whole(&self, x: &str) -> String {
        self.whole_or(x, &(self.of)(x))
    }

    /// Up to 2^53 every whole double is an exact integer.
    fn whole_or(&self, x: &str, other: &str) -> String {
        format!(
            "CASE WHEN {} AND abs({x}) <= 9007199254740992 THEN CAST(CAST({x} AS BIGINT) AS {}) \
             WHEN {x} IS NOT NULL THEN {other} END",
            (self.is_whole)(x),
            self.text_type
        )
    }
}
