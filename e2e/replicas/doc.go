// Package replicas proves what holds while several processes of the product share one database: a MongoDB-compatible one
// (package mongowire) whose faults the tests choose for each process, and processes whose clocks are wrong.
package replicas
