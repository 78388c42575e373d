package livekitevents

import (
	"strings"
	"testing"
)

func TestNoStreamKeyOfAnEventIsKept(t *testing.T) {
	body := `{"event":"egress_updated","id":"EV_1","egressInfo":{"egressId":"EG_1","roomName":"r","status":"EGRESS_ACTIVE",
		"roomComposite":{"streamOutputs":[{"urls":["rtmp://a.example.com/live/s3cr3t","RTMPS://a.example.com/live/s3cr3t"]}]},
		"stream":{"info":[{"url":"rtmp://a.example.com/live/s3cr3t"}]},"streamResults":[{"url":"rtmp://a.example.com/live/s3cr3t"}],
		"error":"rtmp://a.example.com/live/s3cr3t is gone"},"ingressInfo":{"ingressId":"IN_1","url":"rtmp://a.example.com/x/s3cr3t","streamKey":"s3cr3t"}}`
	_, kept, err := readBody(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(kept, "s3cr3t") || !strings.Contains(kept, "rtmp://a.example.com/live/***") {
		t.Error(kept)
	}
}

func TestAnEventOfAPulledURLKeepsNoSecretAndItsTextsStayReadable(t *testing.T) {
	body := `{"event":"ingress_ended","id":"EV_1","ingressInfo":{"ingressId":"IN_1","name":"a","streamKey":"a","inputType":"URL_INPUT",
		"url":"https://user:s3cr3t@a.example.com/live?sig=s3cr3t","state":{"error":"a camera at https://user:s3cr3t@a.example.com/live is gone"}}}`
	_, kept, err := readBody(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(kept, "s3cr3t") || !strings.Contains(kept, `"*** camera at https://***.example.com/live is gone"`) {
		t.Error(kept)
	}
}
