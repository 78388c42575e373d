package livekitevents

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"pulse-control-plane/services/livekit"
)

func is(token jsontext.Token, kind jsontext.Kind) error {
	if token.Kind() != kind {
		return fmt.Errorf("is %v", token.Kind())
	}
	return nil
}

func textOf(into *string, token jsontext.Token) error {
	if err := is(token, '"'); err != nil {
		return err
	}
	*into = token.String()
	if len(*into) > livekit.MaxName {
		return fmt.Errorf("has %d bytes", len(*into))
	}
	return nil
}

func flag(into *bool, token jsontext.Token) error {
	if token.Kind() != 't' && token.Kind() != 'f' {
		return is(token, 't')
	}
	*into = token.Bool()
	return nil
}

// whole reads an int64, which protojson writes as a string and takes as either
// (https://protobuf.dev/programming-guides/json).
func whole(into *int64, token jsontext.Token) error {
	if token.Kind() != '"' && token.Kind() != '0' {
		return is(token, '0')
	}
	n, err := strconv.ParseInt(token.String(), 10, 64)
	if err == nil {
		*into = n
		return nil
	}
	f, err := strconv.ParseFloat(token.String(), 64) // 1e3 and 1.0 are whole too
	if err != nil || f != math.Trunc(f) || math.Abs(f) >= 1<<63 {
		return errors.New("is not a whole number of 64 bits")
	}
	*into = int64(f)
	return nil
}

// enum reads the name of an enum's value; one that is not known here stays as
// it was sent.
func enum(into *string, token jsontext.Token, nameOf func(int32) (name string, known bool)) error {
	if token.Kind() == '"' {
		return textOf(into, token)
	}
	var n int64
	if err := whole(&n, token); err != nil {
		return err
	}
	name, known := "", false
	if n == int64(int32(n)) {
		name, known = nameOf(int32(n))
	}
	if !known {
		name = strconv.FormatInt(n, 10)
	}
	*into = name
	return nil
}

// camel gives protojson's own spelling of a field that may also be written as
// in the .proto file.
func camel(name string) string {
	if !strings.Contains(name, "_") {
		return name
	}
	out := make([]byte, 0, len(name))
	upper := false
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '_':
			upper = true
			continue
		case upper && 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		}
		upper = false
		out = append(out, c)
	}
	return string(out)
}

// isSecret names what a body says in clear that nobody else may learn, by the
// part of the event it stands in.
func isSecret(part, name string) bool {
	switch part {
	case "room":
		return name == "turnPassword"
	case ingressPart:
		return name == "streamKey"
	case "egressInfo":
		switch name {
		case "accessKey", "secret", "sessionToken", "credentials", "accountKey", "streamKey", "password":
			return true
		}
	}
	return false
}

// isMedia tells whether part of a body may have URLs with stream keys in it.
func isMedia(part string) bool { return part == "egressInfo" || part == ingressPart }

// ingressPart is where an event says what it does of an ingress.
const ingressPart = "ingressInfo"
