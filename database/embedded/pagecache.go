package embedded

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// allocatePagesInBulk has SQLite, in the whole process, take the first pages of
// each connection's cache as one allocation of readerCacheKiB
// (SQLITE_CONFIG_PAGECACHE without a buffer,
// https://www.sqlite.org/c3ref/c_config_covering_index_scan.html). A reader drops
// its cache whenever the writer wrote: single pages would go back to the allocator,
// and by it to the kernel, at each commit.
//
// SQLite takes the setting only before its first connection. Once something else
// in the process opened one, the setting is refused, and pages stay single: slower,
// but right. The error says so.
var allocatePagesInBulk = sync.OnceValue(func() error {
	tls := libc.NewTLS()
	defer tls.Close()
	// A pointer and two numbers, each in 8 bytes as libc.VaList writes them.
	arguments := libc.Xmalloc(tls, 3*libc.Tsize_t(unsafe.Sizeof(uint64(0))))
	if arguments == 0 {
		return errors.New("sqlite: out of memory")
	}
	defer libc.Xfree(tls, arguments)
	noBuffer, pageBytes, kib := uintptr(0), int32(0), int32(-readerCacheKiB)
	if code := sqlite3.Xsqlite3_config(tls, sqlite3.SQLITE_CONFIG_PAGECACHE, libc.VaList(arguments, noBuffer, pageBytes, kib)); code != sqlite3.SQLITE_OK {
		return fmt.Errorf("sqlite: SQLITE_CONFIG_PAGECACHE gave code %d", code)
	}
	return nil
})
