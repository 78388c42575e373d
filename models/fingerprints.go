package models

// Fingerprint recognises the values of a secret that a database was made with,
// without revealing them.
type Fingerprint struct {
	// Name is the secret's setting, such as DATA_KEY.
	Name string `bson:"_id"`
	// Salt is random; each database has its own.
	Salt []byte `bson:"salt"`
	// Prints are those of the values in use: several while a secret is rotated.
	Prints []string `bson:"prints"`
	// Version counts the writes.
	Version int64 `bson:"version"`
}
