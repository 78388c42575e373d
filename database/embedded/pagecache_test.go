package embedded

import "testing"

func TestPagesOfAConnectionAreAllocatedInBulk(t *testing.T) {
	// Another connection in this process before the first of the package would have
	// SQLite refuse the setting.
	if err := allocatePagesInBulk(); err != nil {
		t.Fatal(err)
	}
}
