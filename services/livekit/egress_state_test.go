package livekit

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/livekit/protocol/livekit"
	"github.com/twitchtv/twirp"

	"pulse-control-plane/models"
)

func TestNoStreamKeyIsLeftInAURL(t *testing.T) {
	for text, want := range map[string]string{
		"rtmp://a.example.com/live/s3cr3t":                  "rtmp://a.example.com/live/***",
		"rtmps://user:s3cr3t@a.example.com:443/app/s3cr3t/": "rtmps://a.example.com:443/app/***",
		"rtmp://a.example.com/app/key?token=s3cr3t":         "rtmp://a.example.com/app/***",
		"mux://s3cr3t":                        "mux://***",
		"twitch://s3cr3t":                     "twitch://***",
		"rtmp://a.example.com/s3cr3t":         "rtmp://a.example.com/***",
		"rtmp://a.example.com/a b%zz/s3cr3t":  "rtmp://***",
		"s3cr3t":                              "***",
		"s3cr3t s3cr3t://a b":                 "***",
		"":                                    "***",
		"https://user:s3cr3t@a.example.com/x": "https://a.example.com/***",
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

func TestNoSecretIsLeftInAURLThatIsPulled(t *testing.T) {
	for text, want := range map[string]string{
		"https://user:s3cr3t@a.example.com/live/a.m3u8?sig=s3cr3t#s3cr3t": "https://a.example.com/live/a.m3u8",
		"srt://a.example.com:9000?passphrase=s3cr3t":                      "srt://a.example.com:9000",
		"https://user:s3cr3t@/a":                                          "https://***",
		"https://user:s3cr3t@a%zz/":                                       "https://***",
		"user:s3cr3t@a.example.com":                                       "***",
	} {
		if got := RedactPullURL(text); got != want {
			t.Errorf("%s became %s", text, got)
		}
	}
	failed := called(twirp.NewError(twirp.Unavailable, `read "https://user:s3cr3t@a.example.com/live?sig=s3cr3t" and rtmp://a.example.com/live/s3cr3t`))
	var known *models.Error
	if text := fmt.Sprint(failed); strings.Contains(text, "s3cr3t") || !strings.Contains(text, "https://a.example.com/live") || !errors.As(failed, &known) {
		t.Error(text)
	}
	if text := egressState(&livekit.EgressInfo{Error: "open https://user:s3cr3t@a.example.com/page?token=s3cr3t"}).Error; text != "open https://a.example.com/page" {
		t.Error(text)
	}
}

func TestAShortStreamKeyGarblesNoText(t *testing.T) {
	for _, c := range []struct{ text, key, want string }{
		{"no video from a stream", "a", "no video from *** stream"},
		{"a key: aa a", "a", "*** key: aa ***"},
		{"no video", "", "no video"},
		{"key abc is wrong, not abcd", "abc", "key *** is wrong, not abcd"},
		{"xlong-keyx", "long-key", "x***x"},
	} {
		if got := WithoutKey(c.text, c.key); got != c.want {
			t.Errorf("%q without %q is %q, want %q", c.text, c.key, got, c.want)
		}
	}
}
