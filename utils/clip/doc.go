// Package clip shortens texts of others to what is kept of them.
package clip
