// Package secret keeps confidential values confidential: Value, which prints
// as [redacted] wherever it might be printed, and Box, which seals bytes at
// rest.
//
// It does not own hashing (utils/hashing) nor where keys come from (config).
//
// Invariants: only Reveal gives a Value's text; a Box opens only what was
// sealed under the same key for the same purpose, and tells nothing else apart.
package secret
