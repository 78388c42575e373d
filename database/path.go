package database

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	"pulse-control-plane/models"
)

// pathMistake makes misconfigured, with the code "database_path", of the error of an
// embedded database whose file or folder cannot be created or opened for a reason
// that only the operator can change. Other errors are returned as they are.
func pathMistake(at Location, err error) error {
	lasting := []error{syscall.EACCES, syscall.EPERM, syscall.EROFS, syscall.EISDIR, syscall.ENOTDIR, syscall.ENAMETOOLONG}
	if at.URI != "" || !models.IsKind(err, models.KindUnavailable) || !slices.ContainsFunc(lasting, func(e error) bool { return errors.Is(err, e) }) {
		return err
	}
	return models.Misconfigured("database_path", fmt.Sprintf(
		"The embedded database cannot be opened at %s. Check DATA_DIR, MONGO_URI and the permissions of the process.", at.Path)).Because(errors.Unwrap(err))
}
