// Package deploy tests the files of deploy/ with the programs' own parsers:
// compose.yaml with Docker Compose's loader, the alerts with Prometheus' rule
// engine, and both alerts and dashboard against the metrics of the real binary.
package deploy
