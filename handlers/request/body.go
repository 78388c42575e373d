package request

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"
	"github.com/go-playground/validator/v10"

	"pulse-control-plane/models"
)

// Reader reads bodies. It is safe for concurrent use; all handlers share one.
type Reader struct {
	validate *validator.Validate
	rules    sync.Map // reflect.Type to ruled
}

// NewReader makes a Reader.
func NewReader() *Reader { return &Reader{validate: newValidator()} }

// Body decodes the JSON body of a POST or PUT into a pointer to a zero struct.
// A field that is null counts as not sent. Errors: invalid with every wrong
// field, unsupported_media_type, too_large, timeout.
func (r *Reader) Body(c *gin.Context, into any) error { return r.read(c, into, nullIsAbsent) }

// Patch is Body for a PATCH: null clears a Clearable field and is wrong for
// any other.
func (r *Reader) Patch(c *gin.Context, into any) error { return r.read(c, into, nullIsWrong) }

// OptionalBody is Body for a request that may come without one. A chunked body
// of no bytes is none.
func (r *Reader) OptionalBody(c *gin.Context, into any) error {
	_, err := r.SentBody(c, into)
	return err
}

// SentBody is OptionalBody that also tells whether there was a body.
func (r *Reader) SentBody(c *gin.Context, into any) (sent bool, err error) {
	if c.Request.ContentLength == 0 {
		return false, nil
	}
	data, err := Bytes(c.Request)
	if err != nil || len(data) == 0 {
		return false, err
	}
	return true, r.decodeAs(c.Request, data, into, nullIsAbsent)
}

func (r *Reader) read(c *gin.Context, into any, null nulls) error {
	data, err := Bytes(c.Request)
	if err != nil {
		return err
	}
	return r.decodeAs(c.Request, data, into, null)
}

func (r *Reader) decodeAs(req *http.Request, data []byte, into any, null nulls) error {
	if len(data) > 0 { // without a body there is nothing Content-Type could say
		if err := jsonContent(req); err != nil {
			return err
		}
	}
	return r.decode(data, into, null)
}

// Bytes reads a body whose size middleware has bounded. Errors: those of Unread.
func Bytes(req *http.Request) ([]byte, error) {
	data, err := readAll(req)
	if err != nil {
		return nil, Unread(err)
	}
	return data, nil
}

// Unread turns an error of reading a body into too_large, timeout, or invalid for
// a body that ends early. A *models.Error stays as it is.
func Unread(err error) error {
	var known *models.Error
	var tooLarge *http.MaxBytesError
	var network net.Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.As(err, &tooLarge):
		return models.NewError(models.KindTooLarge, "body_too_large",
			fmt.Sprintf("The body must be at most %d bytes.", tooLarge.Limit))
	case errors.As(err, &network) && network.Timeout():
		return models.NewError(models.KindTimeout, "body_too_slow", "The body did not arrive in time.")
	}
	return models.Invalid(models.FieldError{Location: root, Message: "ended before it was complete"})
}

// readAll is io.ReadAll with one allocation of the right size for a short body
// of known length. Memory for a longer one grows as it arrives.
func readAll(req *http.Request) ([]byte, error) {
	const short = 4 << 10
	if n := req.ContentLength; 0 < n && n <= short {
		data := make([]byte, n)
		_, err := io.ReadFull(req.Body, data)
		return data, err
	}
	return io.ReadAll(req.Body)
}

// jsonContent accepts application/json and application/*+json in UTF-8.
func jsonContent(req *http.Request) error {
	const plain = "application/json"
	if coding := req.Header["Content-Encoding"]; len(coding) > 0 && !(len(coding) == 1 && strings.EqualFold(coding[0], "identity")) {
		// RFC 9110, section 8.4.
		return &models.Error{Kind: models.KindUnsupported, Code: "unsupported_media_type",
			Message: "The body must have no content coding.",
			Fields:  []models.FieldError{{Location: "header.Content-Encoding", Message: "must be absent"}}}
	}
	header := req.Header["Content-Type"]
	if len(header) == 1 && header[0] == plain {
		return nil
	}
	// Some clients and proxies repeat the line, and others make one of two.
	kinds := strings.Split(strings.Join(header, ","), ",")
	isJSON := true
	for _, text := range kinds {
		kind, params, err := mime.ParseMediaType(text)
		isJSON = isJSON && err == nil && isUTF8(params["charset"]) && strings.EqualFold(strings.TrimSpace(text), strings.TrimSpace(kinds[0])) &&
			(kind == plain || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json"))
	}
	if isJSON {
		return nil
	}
	return &models.Error{Kind: models.KindUnsupported, Code: "unsupported_media_type",
		Message: "The body must be application/json in UTF-8.",
		Fields:  []models.FieldError{{Location: "header.Content-Type", Message: "must be application/json"}}}
}

// isUTF8 knows the labels of UTF-8 in the WHATWG's Encoding Standard, in
// lower or upper case. JSON has no other encoding (RFC 8259, section 8.1).
func isUTF8(charset string) bool {
	switch strings.ToLower(charset) {
	case "", "utf-8", "utf8", "unicode-1-1-utf-8", "unicode11utf8", "unicode20utf8", "x-unicode20utf8":
		return true
	}
	return false
}
