package routes

import _ "embed"

//go:embed openapi.yaml
var openAPI []byte

// OpenAPI gives the document that describes this package's routes, in YAML.
func OpenAPI() []byte { return openAPI }
