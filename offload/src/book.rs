//! All live jobs in memory, and which is next. Pure: it takes `now`, and knows neither disk nor clock.
