//! Dates in the two forms that the suite writes (RFC 9110 §5.6.7).

const DAYS: [&str; 7] =
    ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The date of this second after 1970 as an IMF-fixdate.
pub fn fixdate(seconds: i64) -> String {
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let (name, month, clock) = (&weekday(seconds)[..3], MONTHS[month - 1], clock(seconds));
    format!("{name}, {day:02} {month} {year:04} {clock} GMT")
}

/// The same in the form of RFC 850, with two digits for the year.
pub fn rfc850(seconds: i64) -> String {
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let (name, month, clock) = (weekday(seconds), MONTHS[month - 1], clock(seconds));
    format!("{name}, {day:02}-{month}-{:02} {clock} GMT", year.rem_euclid(100))
}

fn weekday(seconds: i64) -> &'static str {
    DAYS[seconds.div_euclid(86_400).rem_euclid(7) as usize]
}

fn clock(seconds: i64) -> String {
    let second = seconds.rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
}

/// Year, month and day of a day counted from 1970-01-01: walks over the years, then the months.
fn civil(mut day: i64) -> (i64, usize, i64) {
    let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let length = |year| if leap(year) { 366 } else { 365 };
    let mut year = 1970;
    while day < 0 {
        year -= 1;
        day += length(year);
    }
    while day >= length(year) {
        day -= length(year);
        year += 1;
    }
    let february = if leap(year) { 29 } else { 28 };
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    (year, month, day + 1)
}

#[cfg(test)]
mod tests {
    use super::{fixdate, rfc850};

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
            (-1, "Wed, 31 Dec 1969 23:59:59 GMT"),
        ] {
            assert_eq!(fixdate(seconds), expected);
        }
        assert_eq!(rfc850(784_111_777), "Sunday, 06-Nov-94 08:49:37 GMT");
    }
}
