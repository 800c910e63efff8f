//! Decimal numbers as text, compared with the double that would hold them: a long id in a number property becomes
//! another number by rounding, which would go unnoticed.

use std::fmt::{self, Write};

/// Number of digits that every double keeps.
const SAFE_DIGITS: usize = f64::DIGITS as usize;

/// A text as a double: exact, rounded, or not at all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Double {
    Exact(f64),
    /// The double nearest to a fraction with more digits than a double has.
    Rounded(f64),
    /// No double: a whole number that would become another one.
    Other,
}

/// Reads a finite decimal number, also with an exponent, but not the words that Rust's parser knows.
pub(crate) fn double(text: &str) -> Option<Double> {
    if !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) {
        return None;
    }
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite())?;
    // Nearly all values end here.
    if text.len() <= SAFE_DIGITS && (number.is_normal() || text == "0") {
        return Some(Double::Exact(number));
    }
    let Some(decimal) = Decimal::of(text) else { return Some(Double::Exact(number)) };
    Some(decimal.held_by(number))
}

/// Reads a whole number, also one with a fraction of zeros or an exponent.
pub(crate) fn whole(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let (number, is_whole) = Decimal::of(text)?.floor()?;
    is_whole.then_some(number)
}

/// Returns the greatest whole number that is not above this one.
pub(crate) fn floor(text: &str) -> Option<i64> {
    Some(Decimal::of(text)?.floor()?.0)
}

/// The parts of a number's text: `digits` may have a point in it.
#[derive(Debug, Clone, Copy)]
struct Decimal<'a> {
    is_negative: bool,
    digits: &'a [u8],
    exponent: Option<i32>,
}

impl<'a> Decimal<'a> {
    fn of(text: &'a str) -> Option<Decimal<'a>> {
        let (is_negative, text) = match text.as_bytes() {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let at = text.iter().position(|byte| matches!(byte, b'e' | b'E'));
        let (digits, exponent) = match at {
            Some(at) => (&text[..at], Some(std::str::from_utf8(&text[at + 1..]).ok()?.parse().ok()?)),
            None => (text, None),
        };
        let points = digits.iter().filter(|byte| **byte == b'.').count();
        let is_number = points <= 1
            && digits.len() > points
            && digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.'));
        is_number.then_some(Decimal { is_negative, digits, exponent })
    }

    /// Returns all its digits, and the number of those before the point once the exponent is applied.
    fn parts(self) -> (impl Iterator<Item = u8> + Clone + 'a, i64) {
        let point = self.digits.iter().position(|byte| *byte == b'.').unwrap_or(self.digits.len());
        let before = point as i64 + i64::from(self.exponent.unwrap_or(0));
        (self.digits.iter().copied().filter(|byte| *byte != b'.'), before)
    }

    /// Returns the digits from the first to the last that is not zero, and their number.
    fn significant(self) -> (impl Iterator<Item = u8> + 'a, usize) {
        let (digits, _) = self.parts();
        let leading = digits.clone().take_while(|digit| *digit == b'0').count();
        let last = digits.clone().enumerate().filter(|(_, digit)| *digit != b'0').last();
        let count = last.map_or(0, |(place, _)| place + 1 - leading);
        (digits.skip(leading).take(count), count)
    }

    /// Returns the whole part, `None` beyond 64 bits, and `true` if nothing was cut off.
    fn floor(self) -> Option<(i64, bool)> {
        let (mut digits, before) = self.parts();
        let mut number: i64 = 0;
        let mut place = 0;
        while place < before {
            let Some(digit) = digits.next() else {
                // Only zeros follow: soon it is too large, unless it is zero.
                if number == 0 {
                    break;
                }
                number = number.checked_mul(10)?;
                place += 1;
                continue;
            };
            let digit = i64::from(digit - b'0');
            // Downwards, since there is one negative number more.
            number = number.checked_mul(10)?.checked_sub(digit)?;
            place += 1;
        }
        let is_whole = digits.all(|digit| digit == b'0');
        if self.is_negative {
            return Some((if is_whole { number } else { number.checked_sub(1)? }, is_whole));
        }
        Some((number.checked_neg()?, is_whole))
    }

    fn is_whole(self) -> bool {
        let (mut digits, before) = self.parts();
        let before = usize::try_from(before).unwrap_or(0);
        digits.by_ref().take(before).for_each(drop);
        before > 0 && digits.all(|digit| digit == b'0')
    }

    /// Compares the text with `number`, its nearest double.
    fn held_by(self, number: f64) -> Double {
        let (digits, count) = self.significant();
        let is_whole = self.is_whole();
        let is_exact = if count == 0 {
            true
        } else if is_whole && self.exponent.is_none() {
            // It is written out: to the last digit.
            let (digits, before) = self.parts();
            let digits = digits.take(usize::try_from(before).unwrap_or(0));
            let digits = digits.skip_while(|digit| *digit == b'0');
            is_written(format_args!("{:.0}", number.abs()), digits)
        } else if count <= SAFE_DIGITS && number.is_normal() {
            true
        } else {
            // As far as the text tells, or as short as it can be: where a double lies in the middle between two
            // decimals, these are two texts.
            let precision = count - 1;
            is_written(format_args!("{:.precision$e}", number.abs()), digits)
                || is_written(format_args!("{:e}", number.abs()), self.significant().0)
        };
        match is_exact {
            true => Double::Exact(number),
            false if is_whole => Double::Other,
            false => Double::Rounded(number),
        }
    }
}

/// Compares the digits of a number, as they are written up to its exponent, with these.
fn is_written(number: fmt::Arguments<'_>, digits: impl Iterator<Item = u8>) -> bool {
    let mut compared = Compared { digits, is_equal: true, is_over: false };
    let _ = compared.write_fmt(number);
    compared.is_equal && compared.digits.next().is_none()
}

/// A writer that compares its text instead of keeping it.
struct Compared<I> {
    digits: I,
    is_equal: bool,
    is_over: bool,
}

impl<I: Iterator<Item = u8>> Write for Compared<I> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.is_over |= byte == b'e';
            if byte.is_ascii_digit() && !self.is_over {
                self.is_equal &= self.digits.next() == Some(byte);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exact(text: &str) -> Option<f64> {
        match double(text) {
            Some(Double::Exact(number)) => Some(number),
            _ => None,
        }
    }

    #[test]
    fn numbers_are_decimal_and_finite() {
        assert_eq!(exact("1.0E+25"), Some(1.0e25));
        assert_eq!(exact("-12.50"), Some(-12.5));
        for zero in ["0", "-0.00", "0E9", "+0"] {
            assert_eq!(exact(zero), Some(0.0), "{zero}");
        }
        for text in ["N/A", "1234;5678", "inf", "NaN", "1e999", "", "1,5", "0x10", ".", "1e", "--1"] {
            assert_eq!(double(text), None, "{text}");
        }
    }

    #[test]
    fn a_long_whole_number_is_exact_or_no_double() {
        let other = [
            "9007199254740993",
            "-9007199254740993",
            "9007199254740993.0",
            "+0009007199254740993.000",
            "12345678901234567890",
            "100000000000000000000000",
            "9.007199254740993E15",
            "1234567890123456789.0E+3",
        ];
        for text in other {
            assert_eq!(double(text), Some(Double::Other), "{text}");
        }
        let held = ["9007199254740992", "9007199254740994", "1152921504606846976", "10000000000000000000000"];
        for text in held {
            assert_eq!(exact(text), text.parse().ok(), "{text}");
            assert_eq!(format!("{:.0}", exact(text).unwrap()), text);
        }
    }

    #[test]
    fn a_fraction_with_too_many_digits_is_rounded() {
        for text in ["0.1234567890123456789", "12345678901234567.5", "-1234567890123456789E-3", "1E-400"] {
            assert_eq!(double(text), Some(Double::Rounded(text.parse().unwrap())), "{text}");
        }
        // As Java writes doubles, and decimals made of them.
        let held = ["33.333333333333336", "0.30000000000000004", "5.6843418860808015E-14", "4.9E-324"];
        let tie = ["636390006831249.3", "636390006831249.2", "6.363900068312493E14"];
        let whole = ["0.1000000000000000055511151231257827021181583404541015625", "0.100000000000000000000"];
        for text in held.into_iter().chain(tie).chain(whole) {
            assert_eq!(exact(text), text.parse().ok(), "{text}");
        }
    }

    #[test]
    fn whole_numbers_come_in_many_shapes() {
        for (text, number) in [
            ("5.0", Some(5)),
            ("-1.50E1", Some(-15)),
            ("1e3", Some(1_000)),
            ("0E99999", Some(0)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808.0", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("1E19", None),
            ("1.5", None),
            ("1E-1", None),
            ("x", None),
            ("1e99999999999", None),
        ] {
            assert_eq!(whole(text), number, "{text}");
        }
        assert_eq!(
            (floor("1.5"), floor("-1.5"), floor("-1.0"), floor("15E-1")),
            (Some(1), Some(-2), Some(-1), Some(1))
        );
    }

    proptest! {
        #[test]
        fn every_double_is_exact_as_it_is_written(number in proptest::num::f64::NORMAL | proptest::num::f64::ZERO | proptest::num::f64::SUBNORMAL) {
            for text in [format!("{number:e}"), format!("{number:.16e}"), format!("{number:E}")] {
                prop_assert_eq!(exact(&text), Some(number), "{}", text);
            }
            if number.abs() < 1e15 {
                prop_assert_eq!(exact(&format!("{number}")), Some(number));
            }
        }

        #[test]
        fn a_whole_number_is_never_another_one(number in any::<i64>(), shift in 0..63_u32) {
            let number = number >> shift;
            match double(&number.to_string()) {
                Some(Double::Exact(held)) => prop_assert_eq!(held as i128, i128::from(number)),
                Some(Double::Other) => prop_assert!((number as f64) as i128 != i128::from(number)),
                other => prop_assert!(false, "{:?}", other),
            }
            for text in [number.to_string(), format!("{number}.000"), format!("{number}0E-1"), format!("+{number}").replace("+-", "-")] {
                prop_assert_eq!(whole(&text), Some(number));
                prop_assert_eq!(floor(&text), Some(number));
            }
        }

        #[test]
        fn as_many_digits_as_a_double_keeps_are_exact(digits in 0..1_000_000_000_000_000_u64, point in -20..20_i32) {
            let text = format!("{digits}E{point}");
            prop_assert_eq!(exact(&text), text.parse().ok());
        }

        #[test]
        fn no_text_is_too_odd(text in "[-+0-9.eE]{0,40}|.*") {
            let _ = (double(&text), whole(&text), floor(&text));
        }
    }
}
