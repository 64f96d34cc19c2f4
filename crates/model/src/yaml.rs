//! YAML text to a tree with positions, and a tree back to text.
