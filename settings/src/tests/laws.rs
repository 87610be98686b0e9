//! Laws that hold for all settings.
