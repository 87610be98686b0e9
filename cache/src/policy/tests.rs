//! Decision tables, laws, and a second opinion.
