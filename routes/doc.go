// Package routes is the whole URL space on one screen, and the OpenAPI
// document that says the same.
package routes
