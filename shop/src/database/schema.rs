//! The tables, in words that both engines read.
//!
//! `$1` is a parameter in PostgreSQL and in SQLite; SQLite numbers parameters by their first
//! appearance, so every statement of the shop must name them in order.

/// The tables. SQLite needs `INTEGER PRIMARY KEY` where this says `BIGINT PRIMARY KEY`.
pub(crate) const TABLES: &str = "
CREATE TABLE category (id BIGINT PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE product (id BIGINT PRIMARY KEY, sku TEXT NOT NULL, name TEXT NOT NULL,
  description TEXT NOT NULL, category BIGINT NOT NULL, price BIGINT NOT NULL,
  stock BIGINT NOT NULL, updated BIGINT NOT NULL);
CREATE TABLE term (word TEXT NOT NULL, product BIGINT NOT NULL);
CREATE TABLE customer (id BIGINT PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL);
CREATE TABLE review (id BIGINT PRIMARY KEY, product BIGINT NOT NULL, customer BIGINT NOT NULL,
  stars BIGINT NOT NULL, title TEXT NOT NULL, body TEXT NOT NULL, written BIGINT NOT NULL);
CREATE TABLE purchase (id BIGINT PRIMARY KEY, customer BIGINT NOT NULL, placed BIGINT NOT NULL,
  total BIGINT NOT NULL, state TEXT NOT NULL);
CREATE TABLE line (purchase BIGINT NOT NULL, product BIGINT NOT NULL, quantity BIGINT NOT NULL,
  price BIGINT NOT NULL, PRIMARY KEY (purchase, product));
CREATE TABLE basket (customer BIGINT NOT NULL, product BIGINT NOT NULL, quantity BIGINT NOT NULL,
  PRIMARY KEY (customer, product));
CREATE TABLE receipt (token TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, purchase BIGINT NOT NULL);
CREATE TABLE letter (id BIGINT PRIMARY KEY, recipient TEXT NOT NULL, subject TEXT NOT NULL,
  body TEXT NOT NULL, sent BIGINT NOT NULL);
CREATE TABLE report (category BIGINT PRIMARY KEY, sold BIGINT NOT NULL, revenue BIGINT NOT NULL,
  written BIGINT NOT NULL);
CREATE TABLE about (products BIGINT NOT NULL, seed TEXT NOT NULL);
";

/// The indexes that the sin `missing-index` leaves out: name and what they are on.
pub(crate) const INDEXES: [(&str, &str); 4] = [
    ("review_product", "review (product)"),
    ("line_product", "line (product)"),
    ("term_word", "term (word, product)"),
    ("product_category", "product (category, id)"),
];

/// A change of the tables above changes this: it is part of the name of files.
pub(crate) const VERSION: u32 = 1;
