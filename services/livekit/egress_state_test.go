package livekit

import (
	"strings"
	"testing"
)

func TestNoStreamKeyIsLeftInAURL(t *testing.T) {
	for text, want := range map[string]string{
		"rtmp://a.example.com/live/s3cr3t":                  "rtmp://a.example.com/live/***",
		"rtmps://user:s3cr3t@a.example.com:443/app/s3cr3t/": "rtmps://a.example.com:443/app/***",
		"rtmp://a.example.com/app/key?token=s3cr3t":         "rtmp://a.example.com/app/***",
		"mux://s3cr3t":                       "mux://***",
		"twitch://s3cr3t":                    "twitch://***",
		"rtmp://a.example.com/s3cr3t":        "rtmp://a.example.com/***",
		"rtmp://a.example.com/a b%zz/s3cr3t": "rtmp://***",
	} {
		if got := RedactStreamURL(text); got != want {
			t.Errorf("%s became %s", text, got)
		}
	}
	text := RedactText(`could not connect to "rtmp://a.example.com/live/s3cr3t", giving up`)
	if strings.Contains(text, "s3cr3t") || !strings.Contains(text, "giving up") {
		t.Error(text)
	}
}
