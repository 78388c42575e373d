// Package ferret runs FerretDB in the test's own process: a third-party server that speaks MongoDB's wire protocol
// in front of SQLite. With it the product's path through the MongoDB driver can be tested on a machine without MongoDB.
//
// It owns starting and stopping the server. It does not own expectations, and it does not hide how FerretDB 1.24
// differs from MongoDB; tests name such cases and skip them there:
//
//   - one connection only: use [Server.URI] as it is (it sets maxPoolSize=1), and small data;
//   - no TTL index (an error), and indexes are created one at a time and only when missing;
//   - a duplicate key on update comes as code 1 (InternalError), not 11000, and none names its index;
//   - two documents without a field are not duplicates in its unique index; partial indexes are an error;
//   - only the first accumulator of a $group gets the group's documents.
package ferret
