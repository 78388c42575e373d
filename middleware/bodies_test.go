package middleware

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
)

// inPieces is a body that arrives in pieces.
type inPieces struct{ pieces []string }

func (b *inPieces) Read(p []byte) (int, error) {
	if len(b.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.pieces[0])
	if b.pieces[0] = b.pieces[0][n:]; b.pieces[0] == "" {
		b.pieces = b.pieces[1:]
	}
	return n, nil
}

// LiveKit sends all events from one address, and waits for their answers while the
// database is away.
func TestOnlyBodiesThatAreNotCompleteCountAgainstTheirCaller(t *testing.T) {
	gin.SetMode(gin.TestMode)
	const size, piece = 400, 200
	all := func(r io.Reader) error { _, err := io.ReadFull(r, make([]byte, size)); return err }
	toTheEnd := func(r io.Reader) error { _, err := io.ReadAll(r); return err }
	for name, row := range map[string]struct {
		length     int64
		read       func(io.Reader) error
		unfinished int64
	}{
		"complete by its length": {size, all, 0},
		"complete by its end":    {-1, toTheEnd, 0},
		"not known to be":        {-1, all, size},
	} {
		t.Run(name, func(t *testing.T) {
			bodies := NewBodies(10 * size)
			read, answer, done := make(chan error, 1), make(chan struct{}), make(chan struct{})
			e := gin.New()
			e.POST("/", bodies.Limit(size), func(c *gin.Context) {
				read <- row.read(c.Request.Body)
				<-answer
			})
			r := httptest.NewRequest(http.MethodPost, "/", &inPieces{[]string{strings.Repeat("x", piece), strings.Repeat("y", piece)}})
			r.ContentLength = row.length
			go func() { e.ServeHTTP(httptest.NewRecorder(), r); close(done) }()
			err := <-read
			var sum int64
			for _, n := range bodies.unfinished {
				sum += n
			}
			if used := bodies.used.Load(); err != nil || sum != row.unfinished || used != size {
				t.Errorf("%d bytes are unfinished and %d in memory, not %d and %d: %v", sum, used, row.unfinished, size, err)
			}
			close(answer)
			<-done
			if used := bodies.used.Load(); len(bodies.unfinished) > 0 || used != 0 {
				t.Errorf("after the request %v are unfinished and %d bytes in memory", bodies.unfinished, used)
			}
		})
	}
}
