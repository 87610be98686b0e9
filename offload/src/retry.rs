//! Whether a try that failed is followed by another, and when. Pure.
